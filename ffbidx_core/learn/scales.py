"""Testing whether frames that do not fit their cell fit it at another scale, because a length or a unit is wrong.

A wrong wavelength or cell scales the spots exactly; a wrong detector distance scales the spots at high angles less than
those near the beam. Therefore distances are tried as well, around the best scale.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import ConventionalCells, PrimitiveCells, as_primitive
from ..model.cell import cell_parameters
from ..model.chance.evidence import CLEARLY, Evidence
from ..model.detector.beam_shift import NO_SHIFT
from ..model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..model.lattice import cell_option
from ..model.plan import SearchPlan
from ..model.records.ragged import evenly, fuller_half, rows_of
from ..parameters import Parameters
from .decoys import IndexedSpots, contest

NEAR = tuple(float(k) / 100 for k in range(70, 131) if k != 100)
"""Scales of a wrong distance, wavelength or cell; the steps are small enough for the last fit."""
UNITS = (10.0, 0.1, 2 * np.pi, 1 / (2 * np.pi))
"""Scales of a wrong unit, and of a missing or extra factor 2 pi."""
STEPS = (-0.02, -0.01, 0.0, 0.01, 0.02)
"""Differences between the best scale and the distances that are tried, as factors of the distance."""
OF_SPOTS = {
    10.0: "the cell is in nanometres, or the distance or the wavelength ten times too long",
    0.1: "the spots are in 1/nm, or the distance or the wavelength ten times too short",
    2 * np.pi: "the spots were divided by 2 pi, or the cell was",
    1 / (2 * np.pi): "the spots have a factor 2 pi, which they must not have",
}
"""Causes of the scales in `UNITS` if it is not known how the spots were computed."""
OF_CELL = OF_SPOTS | {
    0.1: "the distance or the wavelength is ten times too short, or the cell ten times too large",
    2 * np.pi: "the cell was divided by 2 pi",
    1 / (2 * np.pi): "the cell has a factor 2 pi, which it must not have",
}
"""Causes of the scales in `UNITS` if the spots were computed from pixels, so that their units are right."""
FRAMES = 12
FEWEST = 0.5
"""Smallest share of frames that must be indexed at another scale."""


class Cause(Enum):
    """Lengths that may make a scale wrong, as far as the frames distinguish between them."""

    ANY = (
        "the distance of the detector or the wavelength is too {long} (divide either by {factor:.2f}), or the cell is "
        "too {small}"
    )
    DISTANCE = "the distance of the detector is too {long} (divide it by {distance:.2f})"
    NOT_DISTANCE = (
        "the wavelength is too {long} (divide it by {factor:.2f}), or the cell is too {small}; it is not the distance"
    )


@dataclass(frozen=True)
class Scale:
    """A scale at which frames fit their cell.

    Attributes
    ----------
    factor : float
        Factor by which the lengths of the cell must be multiplied to fit.
    indexed, before, of : int
        Number of frames indexed at this scale, indexed at the given scale, and tried.
    cause : Cause
        Lengths that may be wrong.
    distance : float
        Number by which the detector distance must be divided to fit best.
    """

    factor: float
    indexed: int
    before: int
    of: int
    cause: Cause = Cause.ANY
    distance: float = 1.0

    @property
    def is_unit(self) -> bool:
        """Whether the factor is that of a wrong unit, or 2 pi."""
        return self.factor in UNITS


def find_scale(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Scale | None:
    """The scale at which frames fit their primitive cells (M, 3, 3); None if none is clearly better than the given one.

    Some of the frames with more spots are indexed at all scales of `NEAR` and `UNITS`, and with distances around the
    best scale if it is one of `NEAR`. The best scale or distance must index half of the frames, and its crystals must
    do better than decoys.
    """
    half = fuller_half(offsets)
    chosen = np.sort(evenly(half[np.diff(offsets)[half] >= p.learn_min_spots], FRAMES))
    if len(chosen) < 2:
        return None
    rows, some = rows_of(offsets, chosen)
    loose = p.replace(retry=False, searches=1, strain_prior=p.learn_prior)

    def tried(factor: float, at_distance: bool) -> _Tried | None:
        moved = _at_distance(spots[rows], some, factor) if at_distance else spots[rows]
        if moved is None:
            return None
        scaled = cells if at_distance else as_primitive(factor * cells)
        result = devices.index_frames(moved, some, SearchPlan.make(scaled, loose), loose)
        return _Tried(factor, moved, scaled, Evidence.of(result, p.accept))

    scales = [each for factor in (1.0, *NEAR, *UNITS) if (each := tried(factor, at_distance=False)) is not None]
    given, scaled = scales[0], max(scales, key=_Tried.total)
    steps = [scaled.factor + step for step in STEPS] if scaled.factor in NEAR else []
    distances = [each for factor in steps if (each := tried(factor, at_distance=True)) is not None]
    best = max([scaled, *distances], key=_Tried.total)
    indexed = best.found.indexed
    if not best.found.is_better_than(given.found) or indexed.sum() < max(FEWEST * len(chosen), 2):
        return None
    mine, own = rows_of(some, np.flatnonzero(indexed))
    if len(cells) == 1 and contest(devices, IndexedSpots(best.spots[mine], own, as_primitive(best.cells[0]))).is_lost:
        return None
    cause, distance = Cause.ANY, scaled.factor
    if distances:
        nearest = max(distances, key=_Tried.total)
        distance = nearest.factor
        if nearest.found.gain_over(scaled.found) > CLEARLY:
            cause = Cause.DISTANCE
        elif scaled.found.gain_over(nearest.found) > CLEARLY:
            cause = Cause.NOT_DISTANCE
    return Scale(scaled.factor, int(indexed.sum()), int(given.found.indexed.sum()), len(chosen), cause, distance)


@dataclass(frozen=True)
class _Tried:
    """Outcome of the frames at another scale or distance."""

    factor: float
    spots: NDArray[Any]
    cells: PrimitiveCells
    found: Evidence

    def total(self) -> float:
        """Sum of the evidence of the frames."""
        return float(self.found.evidence.sum())


def _at_distance(spots: NDArray[Any], offsets: NDArray[np.int64], factor: float) -> NDArray[np.float32] | None:
    """Spots computed for a distance divided by a factor; None if the spots of a frame lie on no Ewald sphere."""
    moved = spots.astype(np.float64)
    for begin, end in itertools.pairwise(offsets):
        wavelength = wavelength_of_spots(moved[begin:end])
        if wavelength is None:
            return None
        along = np.full(end - begin, wavelength)
        moved[begin:end] = spots_of_moved_detector(moved[begin:end], along, NO_SHIFT.radian, factor - 1)
    return moved.astype(np.float32)


def note_of_scale(scale: Scale, cell: ConventionalCells, centring: str, *, from_pixels: bool = False) -> str:
    """A note on the wrong scale of the frames and their cell (3, 3), with its possible causes and the cell to give.

    `from_pixels` says whether the spots were computed from pixels, so that their units are right.
    """
    right = scaled_cell(scale, cell, centring)
    counts = f"{scale.indexed} of {scale.of} of the first frames are indexed instead of {scale.before}"
    if scale.is_unit:
        causes = OF_CELL if from_pixels else OF_SPOTS
        return f"with a cell {scale.factor:.4g} times as large {counts}: {causes[scale.factor]}; try --cell {right}"
    share = abs(scale.factor - 1)
    long, small = ("long", "small") if scale.factor > 1 else ("short", "large")
    possible = scale.cause.value.format(long=long, small=small, factor=scale.factor, distance=scale.distance)
    words = f"with a cell {share:.0%} {'larger' if scale.factor > 1 else 'smaller'} {counts}: {possible}"
    return words if scale.cause == Cause.DISTANCE else f"{words}; try --cell {right}"


def scaled_cell(scale: Scale, cell: ConventionalCells, centring: str) -> str:
    """A cell (3, 3) multiplied by a scale, as the value of an option."""
    return cell_option(cell_parameters(scale.factor * cell), centring)
