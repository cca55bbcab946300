"""Learning from a run's first frames: the cell, the scatter of residuals and strains, a beam that is off."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.cell import Array
from ..model.chance.evidence import Evidence
from ..model.crystal import Crystals
from ..model.detector.pixels import wavelength_of_spots
from ..model.misfit.equations import Spread
from ..model.misfit.misfit import Misfit, find_misfit
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..model.records.ragged import offsets_of
from ..parameters import Parameters
from .cells import learn_cells


@dataclass(frozen=True)
class Lesson:
    """The cells, the scatter and the beam shift that were learned from some frames.

    Attributes
    ----------
    cells : (M, 3, 3) float64
        The input cells, corrected.
    n_crystals : (M,) int64
        Number of crystals that each cell was learned from; 0 where the cell is unchanged.
    misfit : Misfit or None
        Beam shift and scatter from the residuals of these crystals; None where crystals are too few, or spots lie on
        no Ewald sphere around +z.
    evidence : Evidence
        How well the frames that have spots enough to learn from are indexed with the learned cells.
    """

    cells: Array
    n_crystals: NDArray[np.int64]
    misfit: Misfit | None
    evidence: Evidence

    @property
    def spread(self) -> Spread | None:
        """The scatter of residuals and strains, as the search takes it; None where it was not found."""
        return None if self.misfit is None else self.misfit.spread_with_shift


def learn(devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: Array, p: Parameters) -> Lesson:
    """Learn from some frames, whose input cells are (M, 3, 3)."""
    learned, n_crystals = learn_cells(devices, spots, offsets, cells, p)
    may_teach = np.diff(offsets) >= p.learn_min_spots
    if not n_crystals.any():
        n = int(may_teach.sum())
        return Lesson(learned, n_crystals, None, Evidence(np.zeros(n, dtype=bool), np.zeros(n)))
    plan = SearchPlan.make(learned, p)
    result = devices.index_frames(spots, offsets, plan, p.replace(retry=False, searches=1), given_cells=cells)
    evidence = Evidence.of(result, p.accept)[may_teach]
    return Lesson(learned, n_crystals, _misfit_of(spots, offsets, result, plan), evidence)


def _misfit_of(spots: NDArray[Any], offsets: NDArray[np.int64], result: BatchResult, plan: SearchPlan) -> Misfit | None:
    frames = [spots[begin:end].astype(np.float64) for begin, end in itertools.pairwise(offsets)]
    wavelengths = [wavelength_of_spots(frame) for frame in frames]
    kept = [f for f, wavelength in enumerate(wavelengths) if wavelength is not None]
    rows = [np.arange(*result.crystal_offsets[f : f + 2]) for f in kept]
    if not rows:
        return None
    crystals = result.crystals[np.concatenate(rows)]
    return find_misfit(
        Crystals(
            np.concatenate([frames[f] for f in kept]),
            offsets_of([len(frames[f]) for f in kept]),
            np.array([wavelengths[f] for f in kept], dtype=np.float64),
            result.cells[crystals].astype(np.float64),
            offsets_of([len(row) for row in rows]),
            result.input_cell[crystals].astype(np.int64),
            plan.cells,
            plan.operators,
        )
    )


def learned_plan(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: Array, p: Parameters
) -> SearchPlan:
    """The search plan for input cells (M, 3, 3) of a run that begins with these frames; the beam is not moved."""
    lesson = learn(devices, spots, offsets, cells, p)
    return SearchPlan.make(lesson.cells, p, lesson.spread)
