"""Acceptance by count: a cell is a crystal if enough spots are indexed by no better crystal (`--accept count`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, OrientedCells
from ..model.orientation import drifted
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch, to_host
from ..model.records.reason import FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters
from .reasons import best_levels, reason_of_level, with_vectors
from .search import CellTable, search


def accept_by_count(
    backend: Backend,
    spots: SpotBatch,
    cells: XpArray,
    scores: XpArray,
    threshold: float,
    min_spots: int,
    *,
    fractional: bool,
) -> XpArray:
    """Accept the cells that index at least `min_spots` spots which no better crystal indexes.

    Parameters
    ----------
    backend
        Backend that computes.
    spots
        Batch of spots.
    cells : (F, Q, 3, 3)
        Oriented cells, rows a, b, c, angstrom.
    scores : (F, Q)
        Scores of the cells, lower is better; nan and infinite scores come last.
    threshold
        Distance below which a spot is indexed: in 1/angstrom, or with `fractional` in fractional indices.
    min_spots
        Smallest number of spots that a cell must add to those of better crystals.

    Returns
    -------
    (F, Q) bool
        Whether each cell is a crystal.
    """
    xp = backend.xp
    covered = backend.distances(spots, cells, fractional=fractional) < threshold
    frame_of_spot = spots.frame_of_spot
    order = xp.argsort(xp.where(xp.isnan(scores), xp.inf, scores), axis=1, kind="stable")
    accepted = xp.zeros(scores.shape, dtype=bool)
    free = xp.ones(covered.shape[1], dtype=bool)
    each_frame, each_spot = xp.arange(spots.n_frames), xp.arange(covered.shape[1])
    for rank in range(scores.shape[1]):
        slot = order[:, rank]
        new = covered[slot[frame_of_spot], each_spot] & free
        is_crystal = spots.sum_per_frame(new) >= min_spots
        accepted[each_frame, slot] = is_crystal
        free &= ~(new & is_crystal[frame_of_spot])
    return accepted


def separate(
    backend: Backend,
    spots: SpotBatch,
    cells: XpArray,
    scores: XpArray,
    threshold: float,
    min_spots: int,
    *,
    fractional: bool,
) -> list[NDArray[np.int64]]:
    """The published function `crystals` for a batch; the parameters are those of `accept_by_count`.

    Returns
    -------
    list of (k,) int64
        Indices of the cells on each frame that are crystals, the best score first.
    """
    accepted = accept_by_count(backend, spots, cells, scores, threshold, min_spots, fractional=fractional)
    found = []
    for accepted_here, scores_here in zip(to_host(accepted), to_host(scores), strict=True):
        slots = np.flatnonzero(accepted_here)
        found.append(slots[np.argsort(scores_here[slots], kind="stable")].astype(np.int64))
    return found


def find_by_count(
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, given: XpArray
) -> tuple[CellTable, XpArray]:
    """Find crystals by the published method: refine all cells, and accept crystals by their count of spots.

    The parameters and the result are those of `by_chance.find_by_chance`.
    """
    xp = backend.xp
    pool, vectors = search(backend, spots, plan, p, p.num_halfsphere_points)
    cells, scores = backend.refine_cells(spots, pool.cells, pool.scores, p)
    input_cell = pool.input_cell
    frame, slot = xp.nonzero(xp.isfinite(scores))
    threshold, fractional = p.coverage
    off = xp.zeros(scores.shape, dtype=bool)
    off[frame, slot] = drifted(cells[frame, slot], given[input_cell[frame, slot]], p.max_drift, xp)
    candidates = xp.where(off[..., None, None], 0.0, cells)
    accepted = accept_by_count(
        backend, spots, candidates, scores, threshold, p.crystals_min_spots, fractional=fractional
    )
    reason = xp.zeros(spots.n_frames, dtype=xp.uint8)
    failed = xp.flatnonzero(~accepted.any(axis=1))
    if len(failed):
        rest, raw = spots.take(failed), OrientedCells(*(each[failed] for each in pool))
        why = _why_none(backend, rest, raw, cells[failed], off[failed], plan, p)
        reason[failed] = with_vectors(why, rest, vectors[failed], p, p.num_halfsphere_points)
    nan = xp.full(len(frame), xp.nan)
    found = CellTable(
        frame=frame,
        cells=cells[frame, slot],
        input_cell=input_cell[frame, slot],
        scores=scores[frame, slot],
        log10_chance=nan,
        log10_false=nan,
        is_crystal=accepted[frame, slot],
    )
    return found, reason


def _why_none(
    backend: Backend,
    spots: SpotBatch,
    raw: OrientedCells,
    cells: XpArray,
    off: XpArray,
    plan: SearchPlan,
    p: Parameters,
) -> XpArray:
    """Reasons (F,) why frames have no crystal.

    Parameters
    ----------
    raw, cells : (F, Q, 3, 3)
        Cells before and after the refinement.
    off : (F, Q)
        Whether each refined cell has drifted from its input cell.
    """
    xp = backend.xp
    threshold, fractional = p.coverage

    def passes(candidates: XpArray) -> XpArray:
        if fractional:
            covered = backend.distances(spots, candidates, fractional=True) < threshold
            counts = spots.sum_per_frame(covered).T
        else:
            counts = backend.count_within(spots, candidates, xp.full((*candidates.shape[:2], 1), threshold))[..., 0]
        return counts >= p.crystals_min_spots

    reason = reason_of_level(best_levels(backend, spots, raw.cells, raw.input_cell, plan), xp)
    reason[passes(raw.cells).any(axis=1)] = FrameReason.LOST_IN_REFINEMENT.value
    reason[(passes(cells) & off).any(axis=1)] = FrameReason.DRIFTED.value
    return reason
