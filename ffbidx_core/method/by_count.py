"""Acceptance by count: a cell is a crystal if enough spots are indexed by no better crystal (`--accept count`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, OrientedCells
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch, to_host
from ..model.records.reason import FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters
from .reasons import reason_of_level, with_vectors
from .search import CellTable, search


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
    """The published function `crystals` for a batch; the parameters are those of `Backend.accept_by_count`.

    Returns
    -------
    list of (k,) int64
        Indices of the cells on each frame that are crystals, the best score first.
    """
    accepted = backend.accept_by_count(spots, cells, scores, threshold, min_spots, fractional=fractional)
    found = []
    for accepted_here, scores_here in zip(to_host(accepted), to_host(scores), strict=True):
        slots = np.flatnonzero(accepted_here)
        found.append(slots[np.argsort(scores_here[slots], kind="stable")].astype(np.int64))
    return found


def find_by_count(
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, given: NDArray[np.float64], *, keep_all: bool
) -> tuple[CellTable, NDArray[np.uint8]]:
    """Find crystals by the published method: refine all cells, and accept crystals by their count of spots.

    The parameters and the result are those of `by_chance.find_by_chance`, but for `keep_all`: whether the table has the
    refined cells that are not crystals as well. The scores are those of the refinement.
    """
    xp = backend.xp
    pool, vectors = search(backend, spots, plan, p, p.num_halfsphere_points)
    cells, scores = backend.refine_cells(spots, pool.cells, pool.scores, p)
    there = xp.isfinite(scores)
    own = backend.constant(given)[pool.input_cell.ravel()]
    off = backend.drifted(cells.reshape(-1, 3, 3), own, p.max_drift).reshape(scores.shape)
    off &= there
    threshold, fractional = p.coverage
    candidates = xp.where(off[..., None, None], 0.0, cells)
    accepted = backend.accept_by_count(
        spots, candidates, scores, threshold, p.crystals_min_spots, fractional=fractional
    )
    has_crystals, offsets = backend.on_host(accepted.any(axis=1), spots.offsets)
    counts = np.diff(offsets)
    reason = np.where(counts == 0, FrameReason.TOO_FEW_SPOTS.value, FrameReason.NONE.value).astype(np.uint8)
    failed = np.flatnonzero(~has_crystals & (counts > 0))
    if len(failed):
        chosen = xp.asarray(failed)
        rest, raw = spots.take(chosen), OrientedCells(*(each[chosen] for each in pool))
        why = _why_none(backend, rest, raw, cells[chosen], off[chosen], plan, p)
        reason[failed] = with_vectors(backend, why, rest, counts[failed], vectors[chosen], p, p.num_halfsphere_points)
    frame, slot = xp.nonzero(there if keep_all else accepted)
    rows = (array[frame, slot] for array in (cells, pool.input_cell, scores, accepted))
    of_frame, of_cell, source, score, is_crystal = backend.on_host(frame, *rows)
    nan = np.full(len(of_frame), np.nan)
    found = CellTable(
        frame=of_frame,
        cells=of_cell,
        input_cell=source,
        scores=score,
        log10_chance=nan,
        log10_false=nan,
        is_crystal=is_crystal,
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
) -> NDArray[np.uint8]:
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

    reason = reason_of_level(to_host(backend.judge_cells(spots, raw.cells, raw.input_cell, plan, p).lowest))
    reason[to_host(passes(raw.cells).any(axis=1))] = FrameReason.LOST_IN_REFINEMENT.value
    reason[to_host((passes(cells) & off).any(axis=1))] = FrameReason.DRIFTED.value
    return reason
