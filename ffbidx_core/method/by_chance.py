"""Acceptance by chance: the crystals of a frame are found one after another (`--accept chance`).

Every cell of a search is rotated onto the spots. The cell with the lowest expected number of false crystals is refined;
it becomes a crystal if that number is low enough, and its spots are removed. The other cells are then judged again on
the remaining spots. If no cell passes, the remaining spots are searched again. All frames of a batch go through the
passes together; the cells of a frame that is finished are zero, which every verb passes over.
"""

from __future__ import annotations

from dataclasses import replace
from math import log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, BestCells, CheckedCells, Limits, OrientedCells
from ..model.cell import Array
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch, to_host
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
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, given: XpArray
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
    xp = backend.xp
    passes = _Passes(backend, spots, plan, p, given)
    frames, rest = np.arange(spots.n_frames), spots
    for k in range(p.searches):
        n_points = p.num_halfsphere_points if k == 0 else min(p.research_points, p.num_halfsphere_points)
        pool, vectors = search(backend, rest, plan, p, n_points)
        cells = backend.fit_rigid(rest, pool.cells, p) if p.rigid_steps else pool.cells
        rest, why = passes.take_crystals(frames, rest, pool._replace(cells=cells))
        if k == 0:
            # A frame without a crystal is not searched again.
            reason = with_vectors(why, spots, vectors, p, n_points)
            # Not before, because this waits for all that a GPU has been given to do.
            counts = np.diff(to_host(spots.offsets))
        left = np.diff(to_host(rest.offsets))
        fewest = np.maximum(p.research_min_spots, p.research_fraction * counts[frames])
        again = np.flatnonzero((why == FrameReason.NONE.value) & (left >= fewest))
        if len(again) == 0:
            break
        chosen = xp.asarray(again)
        frames, rest = frames[again], rest.take(chosen)
        passes.known, passes.flat = passes.known[chosen], passes.flat[chosen]
    return CellTable.joined(passes.done), reason


class _Pass(NamedTuple):
    """A pass over some frames of a batch: their numbers, the best cells, the refined cells, and what became of them."""

    frames: NDArray[np.int64]
    best: BestCells
    fitted: XpArray
    checked: CheckedCells

    def on_host(self, backend: Backend) -> _Pass:
        """The same in host memory."""
        best, checked = self.best, self.checked
        n, arrays = len(best), backend.on_host(*best, self.fitted, *checked)
        return _Pass(self.frames, BestCells(*arrays[:n]), arrays[n], CheckedCells(*arrays[n + 1 :]))

    def reason(self, limit: float) -> NDArray[np.uint8]:
        """Why each frame has no crystal from a pass in host memory, as `FrameReason`, under a limit on `best.false`."""
        by_planes = self.best.passes & (self.best.false > limit)
        return np.where(by_planes, np.uint8(FrameReason.EXPLAINED_BY_CHANCE.value), self.checked.reason)

    def table(self) -> CellTable:
        """The cells that passed, of a pass in host memory."""
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


class _Passes:
    """The passes over a batch, with the cells that they have found so far."""

    def __init__(self, backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, given: XpArray) -> None:
        self.backend, self.plan, self.p, self.xp = backend, plan, p, backend.xp
        self.limit = log10(p.max_false_rate)
        # A refined cell need not pass again, because its expected number of false crystals scatters: the spots of a
        # true crystal are as likely to lie just outside a radius as just inside.
        largest = backend.constant(plan.largest_cutoffs)
        self.limits = Limits(self.limit + LOST, p.max_drift, p.merge_tolerance, given, largest)
        # The crystals (F, K, 3, 3) that the earlier passes found on the frames of the present search.
        self.known = backend.xp.zeros((spots.n_frames, 0, 3, 3))
        # Whether the frames of the present search have a flat Ewald sphere, (F,).
        self.flat = backend.flat_frames(spots)
        self.done: list[CellTable] = [CellTable.empty()]

    def take_crystals(
        self, frames: NDArray[np.int64], spots: SpotBatch, pool: OrientedCells
    ) -> tuple[SpotBatch, NDArray[np.uint8]]:
        """Take crystals from a pool of cells until no cell passes.

        A cell is taken once, whether it becomes a crystal or not. A frame whose best cell does not pass is finished.

        Parameters
        ----------
        frames : (F,)
            Numbers of these frames in the whole batch.
        spots
            Spots of these frames.
        pool : OrientedCells
            Cells of these frames, with their scores from the search.

        Returns
        -------
        rest : SpotBatch
            The same frames without the spots of their crystals.
        reason : (F,) uint8
            Reason why a frame has no new crystal, as `FrameReason`; NO_CELL if no cell stands out.
        """
        backend, plan, p, passes, lowest = self.backend, self.plan, self.p, list[_Pass](), list[Array]()
        while True:
            best, pool = backend.best_cells(spots, pool, self.limit, plan, p)
            some_pass, level, flat = backend.on_host(best.passes, best.lowest, self.flat)
            lowest.append(level)
            if not some_pass.any():
                break
            fitted, radius, cutoff = self.refined(spots, best)
            false = backend.lowest_false(spots, fitted, best.input_cell, plan, p)
            if (some_pass & flat).any():
                best = self.allowing_for_planes(spots, best)
                false = self.xp.where(best.false > self.limit, self.xp.inf, false)
            checked = backend.check_cells(best, fitted, false, radius, cutoff, self.known, self.limits)
            self.known = self.xp.concatenate([self.known, checked.known[:, None]], axis=1)
            spots = backend.without_spots(spots, fitted, checked.cutoff)
            passes.append(_Pass(frames, best, fitted, checked))
        passes = [each.on_host(backend) for each in passes]
        self.done += [each.table() for each in passes]
        reason = reason_of_level(np.min(lowest, axis=0))
        reason = np.max([reason, *(each.reason(self.limit) for each in passes)], axis=0)
        for each in passes:
            reason[each.checked.is_new] = FrameReason.NONE.value
        return spots, reason

    def allowing_for_planes(self, spots: SpotBatch, best: BestCells) -> BestCells:
        """The best cells with larger expected numbers of false crystals on frames of a flat Ewald sphere."""
        loss = loss_to_planes(self.backend, spots, best, self.plan)
        return best._replace(false=self.xp.where(best.passes & self.flat, best.false + loss, best.false))

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
