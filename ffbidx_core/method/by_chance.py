"""Acceptance by chance: the crystals of a frame are found one after another (`--accept chance`).

Every cell of a search is rotated onto the spots. The cell with the lowest expected number of false crystals is refined;
it becomes a crystal if that number is low enough, and its spots are removed. The other cells are then judged again on
the remaining spots. If no cell passes, the remaining spots are searched again. All frames of a batch go through the
passes together; the cells of a frame that is finished are zero, which every verb passes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, BestCells, CheckedCells, Limits, OrientedCells, Same, State
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.records.reason import FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters
from .last_fit import last_fit
from .planes import loss_to_planes
from .reasons import reason_of_level, with_vectors
from .search import CellTable, search

LOST = 3.0
"""log10 of the factor above the limit from which the expected number of false crystals shows that a cell is lost."""


def find_by_chance(
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, given: NDArray[np.float64]
) -> tuple[CellTable, NDArray[np.uint8]]:
    """Find all crystals on a batch by repeated search and removal of their spots.

    Parameters
    ----------
    backend
        Backend that computes.
    spots
        Batch of frames to search.
    plan
        Plan of the search for the batch's input cells.
    p
        Parameters of the method.
    given : (M, 3, 3)
        Primitive input cells against which drift is judged, rows a, b, c, angstrom.

    Returns
    -------
    found : CellTable
        Cells that were found; their scores are their chance levels.
    reason : (F,) uint8
        Reason why a frame has no crystal, as `FrameReason`; an array in host memory.
    """
    passes = _Passes(backend, plan, p, given)
    frames = np.arange(spots.n_frames)
    start: State = (spots,)
    for k in range(p.searches):
        n_points = p.num_halfsphere_points if k == 0 else min(p.research_points, p.num_halfsphere_points)
        found = passes.take_crystals(frames, start, n_points)
        if k == 0:
            # A frame without a crystal is not searched again.
            counts = np.diff(found.offsets)
            why = np.where(counts == 0, np.uint8(FrameReason.TOO_FEW_SPOTS.value), found.reason)
            reason = with_vectors(backend, why, spots, counts, found.vectors, p, n_points)
        fewest = np.maximum(p.research_min_spots, p.research_fraction * counts[frames])
        again = np.flatnonzero((found.reason == FrameReason.NONE.value) & (found.left >= fewest))
        if len(again) == 0:
            break
        chosen = backend.chosen_few(again, found.left)
        frames = frames[chosen]
        start, _ = backend.run_steps(("rest",), _rest, found.rest, chosen)
    return CellTable.joined(passes.done), reason


def _rest(state: State, chosen: XpArray) -> tuple[State, Sequence[XpArray]]:
    """The part of `_Searched.rest` that belongs to chosen frames."""
    spots, known, flat = state
    return (spots.take(chosen), known[chosen], flat[chosen]), ()


class _Cells(NamedTuple):
    """The state between two passes over F frames, in arrays of the backend.

    Attributes
    ----------
    spots : SpotBatch
        Spots that no crystal explains.
    pool : OrientedCells
        Cells of the search that have not been taken.
    best : BestCells
        The cells that are taken next.
    known : (F, K, 3, 3)
        Crystals of the earlier passes, or cells that equal none.
    flat : (F,) bool
        Whether the frames have a flat Ewald sphere.
    vectors : (F, G, C, 3)
        Candidate vectors of the search.
    """

    spots: SpotBatch
    pool: OrientedCells
    best: BestCells
    known: XpArray
    flat: XpArray
    vectors: XpArray


class _Pass(NamedTuple):
    """A pass over some frames of a batch, in host memory.

    Attributes
    ----------
    frames : (F,) int64
        Numbers of the frames in the batch.
    best : BestCells
        The cells that were taken.
    fitted : (F, 3, 3)
        These cells after their refinement, rows a, b, c, angstrom.
    checked : CheckedCells
        The fate of these cells.
    """

    frames: NDArray[np.int64]
    best: BestCells
    fitted: NDArray[np.float64]
    checked: CheckedCells

    def reason(self, limit: float) -> NDArray[np.uint8]:
        """Why each frame has no crystal, as `FrameReason`, under a limit on `best.false`."""
        by_planes = self.best.passes & (self.best.false > limit)
        return np.where(by_planes, np.uint8(FrameReason.EXPLAINED_BY_CHANCE.value), self.checked.reason)

    def table(self) -> CellTable:
        """The cells that passed."""
        rows, best = np.flatnonzero(self.best.passes), self.best
        return CellTable(
            frame=self.frames[rows],
            cells=self.fitted[rows],
            input_cell=best.input_cell[rows],
            scores=best.level[rows],
            log10_chance=best.level[rows],
            log10_false=best.false[rows],
            is_crystal=self.checked.is_new[rows],
        )


class _Searched(NamedTuple):
    """The outcome of a search for F frames, in host memory but for the candidate vectors.

    Attributes
    ----------
    offsets : (F + 1,) int64
        Offsets of the frames' spots before the search.
    vectors : (F, G, C, 3)
        Candidate vectors, angstrom; an array of the backend.
    rest : State
        Spots (`SpotBatch`) that no crystal explains, the crystals known so far (F, K, 3, 3), and whether the frames
        have a flat Ewald sphere (F,), in arrays of the backend, from which a further search starts.
    left : (F,) int64
        Numbers of these spots.
    reason : (F,) uint8
        Reason why a frame has no new crystal, as `FrameReason`; NO_CELL if no cell stands out.
    """

    offsets: NDArray[np.int64]
    vectors: XpArray
    rest: State
    left: NDArray[np.int64]
    reason: NDArray[np.uint8]


class _Passes:
    """The passes over a batch, with the cells that they have found so far."""

    def __init__(self, backend: Backend, plan: SearchPlan, p: Parameters, given: NDArray[np.float64]) -> None:
        self.backend, self.plan, self.p, self.xp = backend, plan, p, backend.xp
        self.limit = log10(p.max_false_rate)
        # A refined cell need not pass again, because its expected number of false crystals scatters: the spots of a
        # true crystal are as likely to lie just outside a radius as just inside.
        largest = backend.constant(plan.largest_cutoffs)
        self.limits = Limits(self.limit + LOST, p.max_drift, p.merge_tolerance, backend.constant(given), largest)
        self.key = Same(plan), p, Same(given)
        self.done: list[CellTable] = [CellTable.empty()]

    def take_crystals(self, frames: NDArray[np.int64], start: State, n_points: int) -> _Searched:
        """Search frames and take crystals from the cells of the search until no cell passes.

        A cell is taken once, whether it becomes a crystal or not. A frame whose best cell does not pass is finished.

        Parameters
        ----------
        frames : (F,)
            Numbers of the frames in the whole batch.
        start
            Spots of the frames, and for a further search what `_Searched.rest` has.
        n_points
            Number of directions of the search.
        """
        run = self.backend.run_steps
        state, (some_pass, level, offsets, flat) = run(
            ("search", n_points, *self.key), lambda start: self.search(start, n_points), start
        )
        vectors, first, passes, lowest = _Cells(*state).vectors, offsets, list[_Pass](), [level]
        while some_pass.any():
            planes = bool((some_pass & flat).any())
            state, (some_pass, level, offsets, *taken) = run(
                ("pass", planes, *self.key), lambda state, planes=planes: self.take(_Cells(*state), planes), state
            )
            n = len(BestCells._fields)
            passes.append(_Pass(frames, BestCells(*taken[:n]), taken[n], CheckedCells(*taken[n + 1 :])))
            lowest.append(level)
        self.done += [each.table() for each in passes]
        reason = reason_of_level(np.min(lowest, axis=0))
        reason = np.max([reason, *(each.reason(self.limit) for each in passes)], axis=0)
        for each in passes:
            reason[each.checked.is_new] = FrameReason.NONE.value
        cells = _Cells(*state)
        return _Searched(first, vectors, (cells.spots, cells.known, cells.flat), np.diff(offsets), reason)

    def search(self, start: State, n_points: int) -> tuple[State, Sequence[XpArray]]:
        """The state before the first pass over the cells of a search, and what the host needs of it."""
        backend, p, (spots, *more) = self.backend, self.p, start
        known, flat = more or (self.xp.zeros((spots.n_frames, 0, 3, 3)), backend.flat_frames(spots))
        pool, vectors = search(backend, spots, self.plan, p, n_points)
        if p.rigid_steps:
            pool = pool._replace(cells=backend.fit_rigid(spots, pool.cells, p))
        best, pool = backend.best_cells(spots, pool, self.limit, self.plan, p)
        return _Cells(spots, pool, best, known, flat, vectors), (best.passes, best.lowest, spots.offsets, flat)

    def take(self, cells: _Cells, planes: bool) -> tuple[State, Sequence[XpArray]]:
        """The state after a pass, and what the host needs: of the next pass, and then of this one.

        Parameters
        ----------
        planes
            Whether frames of a flat Ewald sphere are among those whose best cell passes.
        """
        backend, plan, p, (spots, pool, best, known, flat, vectors) = self.backend, self.plan, self.p, cells
        fitted, radius, cutoff = self.refined(spots, best)
        false = backend.lowest_false(spots, fitted, best.input_cell, plan, p)
        if planes:
            best = self.allowing_for_planes(spots, best, flat)
            false = self.xp.where(best.false > self.limit, self.xp.inf, false)
        checked = backend.check_cells(best, fitted, false, radius, cutoff, known, self.limits)
        known = self.xp.concatenate([known, checked.known[:, None]], axis=1)
        spots = backend.without_spots(spots, fitted, checked.cutoff)
        following, pool = backend.best_cells(spots, pool, self.limit, plan, p)
        wanted = following.passes, following.lowest, spots.offsets, *best, fitted, *checked
        return _Cells(spots, pool, following, known, flat, vectors), wanted

    def allowing_for_planes(self, spots: SpotBatch, best: BestCells, flat: XpArray) -> BestCells:
        """The best cells with larger expected numbers of false crystals on frames of a flat Ewald sphere."""
        loss = loss_to_planes(self.backend, spots, best, self.plan)
        return best._replace(false=self.xp.where(best.passes & flat, best.false + loss, best.false))

    def refined(self, spots: SpotBatch, best: BestCells) -> tuple[XpArray, XpArray, XpArray]:
        """The best cells (F, 3, 3) after the method and the last fit, and the radii and cut-offs (F,) of the fit."""
        xp, p = self.xp, self.p
        refined, _ = self.backend.refine_cells(spots, best.cells[:, None], best.scores[:, None], p)
        if p.polish == "none":
            return refined[:, 0], best.radius, xp.full(spots.n_frames, p.max_dist)
        again = self.backend.judge_cells(spots, refined, best.input_cell[:, None], self.plan, p)
        # If spots lie in a plane, the method may stretch a cell along its normal until all are near lattice points.
        start, radius = self.backend.better_cells(best, refined[:, 0], again, self.limits)
        cells, cutoff = last_fit(self.backend, spots, start, best.input_cell, radius, self.plan, p)
        return cells, radius, cutoff


def final_scores(backend: Backend, spots: SpotBatch, cells: XpArray, p: Parameters) -> XpArray:
    """Scores of cells (F, Q, 3, 3) in the measure of `p.method`, on all spots of their frames and without another fit.

    Returns
    -------
    (F, Q) float64
        Score of each cell; lower is better. Scores of zero cells have no meaning.
    """
    if p.method == "raw":
        return _raw_scores(backend, spots, cells, p)
    # dataclasses.replace skips the checks of `p.replace`, which take a tenth of the time of a single frame.
    return backend.refine_cells(spots, cells, backend.xp.zeros(cells.shape[:2]), replace(p, n_iter=0))[1]


def _raw_scores(backend: Backend, spots: SpotBatch, cells: XpArray, p: Parameters) -> XpArray:
    """The published scores gmean - count - 1 (F, Q) of cells, over the sampled spots."""
    xp = backend.xp
    distance = backend.distances(spots, cells, fractional=True).astype(xp.float64)
    rank = xp.arange(distance.shape[1]) - spots.offsets[:-1][spots.frame_of_spot]
    sampled = rank < p.max_spots
    factor = xp.where(sampled, xp.log(xp.clip(distance, p.triml, p.trimh) + p.delta), 0.0)
    mean = spots.sum_per_frame(factor) / xp.maximum(spots.sum_per_frame(sampled), 1)
    return (xp.exp(mean) - p.delta - spots.sum_per_frame(sampled & (distance < p.distance3)) - 1).T
