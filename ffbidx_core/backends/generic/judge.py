"""The judgement of cells by the spots that they explain, for any backend: the cell to take next, and its false rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.chance import level as chance
from ...model.orientation import drifted, equal_lattices
from ...model.plan import SearchPlan
from ...model.records.batch import FLATTEST_WAVELENGTH, SpotBatch
from ...model.records.reason import FrameReason
from ...model.xp import XpArray
from ...parameters import Parameters
from ..cells import BestCells, CheckedCells, Judgement, Limits, OrientedCells
from .expected_false import expected_false

MOST_RADII = 32
"""Largest number of radii at which a single cell is examined."""
NO_LATTICE = 1e-3
"""Edge, angstrom, of a cubic cell that stands for none, because it is too small to equal any cell."""


def judge_cells(
    backend: Any, spots: SpotBatch, cells: XpArray, input_cell: XpArray, plan: SearchPlan, p: Parameters
) -> Judgement:
    """See `Backend.judge_cells`."""
    xp = spots.xp
    n_frames, every = len(cells), xp.arange(len(cells))
    rows = xp.flatnonzero((cells != 0).any(axis=(1, 2, 3)))
    if len(rows) < n_frames:
        nothing = xp.zeros(n_frames)
        found = Judgement(
            xp.full(n_frames, -1), xp.zeros((n_frames, 3, 3)), xp.full(n_frames, -1, dtype=xp.int32), *[nothing] * 3
        )
        if len(rows) == 0:
            return found
        some = judge_cells(backend, spots.take(rows), cells[rows], input_cell[rows], plan, p)
        return Judgement(*(_put(array, rows, values) for array, values in zip(found, some, strict=True)))
    radii = xp.asarray(plan.radii)[input_cell]
    counts = backend.count_within(spots, cells, radii)
    volumes = xp.asarray(plan.volumes)[input_cell][..., None]
    levels = chance.log10_tail(counts, spots.counts[:, None, None], radii, volumes, xp)
    lowest, at_lowest = _at_lowest(levels, levels, xp), _at_lowest(levels, radii, xp)
    # One radius per cell suffices to select the cell that is then examined at many radii.
    enough = xp.where(counts >= p.min_new_spots, levels, 0.0)
    k, within = _at_lowest(enough, counts, xp), _at_lowest(enough, radii, xp)
    false = expected_false(spots, k, within, input_cell, xp.asarray(plan.volumes), xp.asarray(plan.orders), p)
    best = xp.argmin(false, axis=1)
    there = xp.isfinite(false[every, best])
    return Judgement(
        xp.where(there, best, -1),
        xp.where(there[:, None, None], cells[every, best], 0.0),
        xp.where(there, input_cell[every, best], -1).astype(xp.int32),
        lowest[every, best],
        at_lowest[every, best],
        lowest.min(axis=1),
    )


def _put(array: XpArray, rows: XpArray, values: XpArray) -> XpArray:
    """A copy of an array with other values in some rows."""
    array = array.copy()
    array[rows] = values
    return array


def _at_lowest(levels: XpArray, values: XpArray, xp: Any) -> XpArray:
    """Values (F, Q) of an array (F, Q, T) at the radius with the lowest level."""
    best = xp.argmin(levels, axis=-1)[..., None]
    return xp.take_along_axis(values, best, axis=-1)[..., 0]


def lowest_false(
    backend: Any, spots: SpotBatch, cells: XpArray, input_cell: XpArray, plan: SearchPlan, p: Parameters
) -> XpArray:
    """See `Backend.lowest_false`."""
    xp = spots.xp
    distance = backend.distances(spots, cells[:, None])[0]
    frame, largest = spots.frame_of_spot, xp.asarray(plan.radii[:, -1])[input_cell]
    near = xp.flatnonzero(distance <= largest[frame])
    if len(near) == 0:
        return xp.full(spots.n_frames, xp.inf)
    frame, distance = frame[near], distance[near]
    ends = xp.searchsorted(frame, xp.arange(spots.n_frames + 1))
    total = xp.diff(ends)
    # A row for each frame with its distances in ascending order, filled up with the largest possible one.
    rows = xp.repeat(largest[:, None].astype(xp.float32), int(total.max()), axis=1)
    rows[frame, xp.arange(len(near)) - ends[frame]] = distance
    rows.sort(axis=1)
    counts = total[:, None] - -(-total // MOST_RADII)[:, None] * xp.arange(MOST_RADII)
    last = xp.take_along_axis(rows, xp.maximum(counts - 1, 0), axis=1).astype(xp.float64)
    radius = xp.maximum(last, xp.minimum(largest, chance.RADII[0])[:, None])
    volumes, orders = xp.asarray(plan.volumes), xp.asarray(plan.orders)
    return expected_false(spots, counts, radius, input_cell[:, None], volumes, orders, p).min(axis=1)


def best_cells(
    backend: Any, spots: SpotBatch, pool: OrientedCells, limit: float, plan: SearchPlan, p: Parameters
) -> tuple[BestCells, OrientedCells]:
    """See `Backend.best_cells`."""
    xp, every = spots.xp, spots.xp.arange(spots.n_frames)
    judged = backend.judge_cells(spots, pool.cells, pool.input_cell, plan, p)
    false = backend.lowest_false(spots, judged.cells, judged.input_cell, plan, p)
    passes = false <= limit
    left = xp.where(passes[:, None, None, None], pool.cells, 0.0)
    left[every, judged.slot] = 0.0
    best = BestCells(
        passes=passes,
        cells=xp.where(passes[:, None, None], judged.cells, 0.0),
        input_cell=judged.input_cell,
        scores=xp.where(passes, pool.scores[every, judged.slot], xp.inf),
        level=judged.level,
        radius=judged.radius,
        lowest=judged.lowest,
        false=false,
    )
    return best, pool._replace(cells=left)


def better_cells(
    best: BestCells, refined: XpArray, again: Judgement, limits: Limits, xp: Any = np
) -> tuple[XpArray, XpArray]:
    """See `Backend.better_cells`."""
    off = drifted(refined, limits.given[best.input_cell], limits.drift, xp)
    better = (again.level < best.level) & ~off
    return xp.where(better[:, None, None], refined, best.cells), xp.where(better, again.radius, best.radius)


def flat_frames(spots: SpotBatch) -> XpArray:
    """See `Backend.flat_frames`."""
    xp = spots.xp
    if spots.xyz.shape[1] == 0:
        return xp.zeros(spots.n_frames, dtype=bool)
    x, y, z = spots.xyz[:, xp.maximum(spots.offsets[1:] - 1, 0)].astype(xp.float64)
    return (spots.counts > 0) & (2 * xp.abs(z) < FLATTEST_WAVELENGTH * (x * x + y * y + z * z))


def check_cells(
    best: BestCells,
    fitted: XpArray,
    false: XpArray,
    radius: XpArray,
    cutoff: XpArray,
    known: XpArray,
    limits: Limits,
    xp: Any = np,
) -> CheckedCells:
    """See `Backend.check_cells`."""
    lost = false > limits.lost
    off = drifted(fitted, limits.given[best.input_cell], limits.drift, xp)
    kept = best.passes & ~lost & ~off
    is_new = kept
    if limits.merge > 0 and known.shape[1]:
        is_new = kept & ~equal_lattices(fitted[:, None], known, limits.merge, xp).any(axis=1)
    why = xp.where(lost, xp.uint8(FrameReason.LOST_IN_REFINEMENT), xp.uint8(FrameReason.DRIFTED))
    return CheckedCells(
        is_new=is_new,
        known=xp.where(is_new[:, None, None], fitted, NO_LATTICE * xp.eye(3)),
        reason=why * (best.passes & ~kept),
        cutoff=xp.where(kept, xp.maximum(radius, xp.minimum(cutoff, limits.largest[best.input_cell])), 0.0),
    )
