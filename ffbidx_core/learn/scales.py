"""Testing whether frames that do not fit their cell fit it at another scale, because a length or a unit is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import ConventionalCells, PrimitiveCells, as_primitive
from ..model.cell import cell_parameters
from ..model.chance.evidence import Evidence
from ..model.lattice import cell_option
from ..model.plan import SearchPlan
from ..model.records.ragged import evenly, fuller_half, rows_of
from ..parameters import Parameters
from .decoys import IndexedSpots, contest

NEAR = tuple(float(k) / 100 for k in range(70, 131) if k != 100)
"""Scales of a wrong distance, wavelength or cell; the steps are small enough for the last fit."""
UNITS = (10.0, 0.1, 2 * np.pi, 1 / (2 * np.pi))
"""Scales of a wrong unit, and of a missing or extra factor 2 pi."""
FRAMES = 12
FEWEST = 0.5
"""Smallest share of frames that must be indexed at another scale."""


@dataclass(frozen=True)
class Scale:
    """A scale at which frames fit their cell.

    Attributes
    ----------
    factor : float
        Factor by which the lengths of the cell must be multiplied to fit.
    indexed, before, of : int
        Number of frames indexed at this scale, indexed at the given scale, and tried.
    """

    factor: float
    indexed: int
    before: int
    of: int


def find_scale(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Scale | None:
    """The scale at which frames fit their primitive cells (M, 3, 3); None if none is clearly better than the given one.

    Some of the frames with more spots are indexed at all scales of `NEAR` and `UNITS`. The best scale must index half
    of them, and its crystals must do better than decoys.
    """
    half = fuller_half(offsets)
    frames = np.sort(evenly(half[np.diff(offsets)[half] >= p.learn_min_spots], FRAMES))
    if len(frames) < 2:
        return None
    rows, some = rows_of(offsets, frames)
    loose = p.replace(retry=False, searches=1, strain_prior=p.learn_prior)
    factors = (1.0, *NEAR, *UNITS)
    found = [
        Evidence.of(devices.index_frames(spots[rows], some, SearchPlan.make(scaled, loose), loose), p.accept)
        for scaled in (as_primitive(factor * cells) for factor in factors)
    ]
    best = max(range(len(factors)), key=lambda k: float(found[k].evidence.sum()))
    indexed = found[best].indexed
    if not found[best].is_better_than(found[0]) or indexed.sum() < max(FEWEST * len(frames), 2):
        return None
    mine, own = rows_of(some, np.flatnonzero(indexed))
    cell = as_primitive(factors[best] * cells[0])
    if len(cells) == 1 and contest(devices, IndexedSpots(spots[rows][mine], own, cell)).is_lost:
        return None
    return Scale(factors[best], int(indexed.sum()), int(found[0].indexed.sum()), len(frames))


def note_of_scale(scale: Scale, cell: ConventionalCells, centring: str) -> str:
    """A note on the wrong scale of the frames and their cell (3, 3), with its possible causes and the cell to give."""
    right = cell_option(cell_parameters(scale.factor * cell), centring)
    counts = f"{scale.indexed} of {scale.of} of the first frames are indexed instead of {scale.before}"
    if scale.factor in UNITS:
        causes = {
            10.0: "the cell is in nanometres, or the distance or the wavelength ten times too long",
            0.1: "the spots are in 1/nm, or the distance or the wavelength ten times too short",
            2 * np.pi: "the spots were divided by 2 pi, or the cell was",
            1 / (2 * np.pi): "the spots have a factor 2 pi, which they must not have",
        }
        return f"with a cell {scale.factor:.4g} times as large {counts}: {causes[scale.factor]}; try --cell {right}"
    share = abs(scale.factor - 1)
    long, small = ("long", "small") if scale.factor > 1 else ("short", "large")
    return (
        f"with a cell {share:.0%} {'larger' if scale.factor > 1 else 'smaller'} {counts}: the distance of the detector "
        f"or the wavelength is too {long} (divide either by {scale.factor:.2f}), or the cell is too {small}; try "
        f"--cell {right}"
    )
