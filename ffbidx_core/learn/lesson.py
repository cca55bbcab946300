"""Learning from the first frames of a run: the cell, the scatter of residuals and strains, and the beam shift."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import PrimitiveCells, as_primitive
from ..model.chance.evidence import Evidence
from ..model.crystal import Crystals
from ..model.detector.pixels import wavelength_of_spots
from ..model.misfit.equations import Spread
from ..model.misfit.misfit import Misfit, find_misfit
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..model.records.ragged import evenly, offsets_of, rows_of
from ..parameters import Parameters
from .cells import learn_cells
from .unseen import Unseen, predicted

MOST_JUDGED = 32
"""Largest number of indexed frames on which a lesson is judged."""


@dataclass(frozen=True)
class Lesson:
    """The cells, the scatter and the beam shift that were learned from some frames.

    Attributes
    ----------
    cells : (M, 3, 3) float64
        The corrected primitive input cells, rows a, b, c, angstrom.
    n_crystals : (M,) int64
        Number of crystals from which each cell was learned; 0 if the cell is unchanged.
    misfit : Misfit or None
        Beam shift and scatter from the residuals of these crystals; None if there are too few crystals, or if spots
        lie on no Ewald sphere around +z.
    evidence : Evidence
        Evidence of the frames with enough spots, indexed with the learned cells.
    predicts_by_spread : bool
        Whether crystals fitted with the scatter predict spots at least as well as crystals fitted without it.
    unseen : Unseen or None
        Number of unseen spots that the crystals predict; None if that was not judged.
    crystals : Crystals or None
        The crystals from whose residuals the misfit was found; None if there are none.
    assumed : Spread or None
        Scatter for the search where none was found; None for the typical one.
    """

    cells: PrimitiveCells
    n_crystals: NDArray[np.int64]
    misfit: Misfit | None
    evidence: Evidence
    predicts_by_spread: bool = True
    unseen: Unseen | None = None
    crystals: Crystals | None = None
    assumed: Spread | None = None

    @property
    def spread(self) -> Spread | None:
        """The scatter of residuals and strains for the search: the assumed one if none was found that predicts well."""
        return self.misfit.spread_with_shift if self.misfit is not None and self.predicts_by_spread else self.assumed


def learn(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Lesson:
    """Learn from some frames with the primitive input cells (M, 3, 3)."""
    learned, n_crystals = learn_cells(devices, spots, offsets, cells, p)
    may_teach = np.diff(offsets) >= p.learn_min_spots
    if not n_crystals.any():
        n = int(may_teach.sum())
        return Lesson(learned, n_crystals, None, Evidence(np.zeros(n, dtype=bool), np.zeros(n)))
    plan = SearchPlan.make(learned, p)
    result = devices.index_frames(spots, offsets, plan, p.replace(retry=False, searches=1), given_cells=cells)
    evidence = Evidence.of(result, p.accept)[may_teach]
    crystals = _crystals_of(spots, offsets, result, plan)
    misfit = None if crystals is None else find_misfit(crystals)
    lesson = Lesson(learned, n_crystals, misfit, evidence, crystals=crystals)
    frames = evenly(np.flatnonzero(may_teach)[evidence.indexed], MOST_JUDGED)
    rows, some = rows_of(offsets, frames)
    return _judged(lesson, cells, lambda plan: predicted(devices, spots[rows], some, plan, p, cells), len(frames), p)


def _judged(
    lesson: Lesson, given: PrimitiveCells, predict: Callable[[SearchPlan], Unseen], n_frames: int, p: Parameters
) -> Lesson:
    """The part of a lesson that predicts unseen spots best: all of it, the cells without the scatter, or nothing.

    A lesson is not changed if fewer than half of the halves of its frames have enough spots to be indexed.
    """
    without = replace(lesson, predicts_by_spread=False)
    as_they_were = as_primitive(np.array(given, dtype=np.float64))
    nothing = replace(without, cells=as_they_were, n_crystals=np.zeros_like(lesson.n_crystals))
    parts = [without, nothing] if lesson.spread is None else [lesson, without, nothing]
    found = [predict(SearchPlan.make(part.cells, p, part.spread)) for part in parts]
    if max(unseen.indexed for unseen in found) < n_frames:
        return lesson
    gains = [unseen.over(found[-1]) for unseen in found]
    # A count n has an error of its square root; among parts equal within the error the most complete one is taken.
    best = next(k for k, gain in enumerate(gains) if gain >= max(gains) - found[-1].error)
    return replace(parts[best], unseen=found[best])


def _crystals_of(
    spots: NDArray[Any], offsets: NDArray[np.int64], result: BatchResult, plan: SearchPlan
) -> Crystals | None:
    """The crystals of the frames whose spots lie on an Ewald sphere; None if there is no such frame."""
    frames = [spots[begin:end].astype(np.float64) for begin, end in itertools.pairwise(offsets)]
    wavelengths = [wavelength_of_spots(frame) for frame in frames]
    kept = [f for f, wavelength in enumerate(wavelengths) if wavelength is not None]
    rows = [np.arange(*result.crystal_offsets[f : f + 2]) for f in kept]
    if not rows:
        return None
    crystals = result.crystals[np.concatenate(rows)]
    return Crystals(
        np.concatenate([frames[f] for f in kept]),
        offsets_of([len(frames[f]) for f in kept]),
        np.array([wavelengths[f] for f in kept], dtype=np.float64),
        as_primitive(result.cells[crystals].astype(np.float64)),
        offsets_of([len(row) for row in rows]),
        result.input_cell[crystals].astype(np.int64),
        plan.cells,
        plan.operators,
    )


def learned_plan(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> SearchPlan:
    """The search plan for primitive input cells (M, 3, 3), learned from these frames without moving the beam."""
    lesson = learn(devices, spots, offsets, cells, p)
    return SearchPlan.make(lesson.cells, p, lesson.spread)
