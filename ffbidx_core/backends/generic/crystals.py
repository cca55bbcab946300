"""Spots and cells when a crystal is known, for any backend: its spots' removal, its setting, and what it indexes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.fits import FEWEST_LEFT_OUT, LEFT_OUT
from ...model.orientation import canonical_setting
from ...model.plan import SearchPlan
from ...model.records.batch import SpotBatch
from ...model.xp import XpArray
from ..cells import Coverage


def without_spots(backend: Any, spots: SpotBatch, cells: XpArray, cutoff: XpArray) -> SpotBatch:
    """See `Backend.without_spots`."""
    return spots.keep(backend.distances(spots, cells[:, None])[0] >= cutoff[spots.frame_of_spot])


def in_canonical_setting(cells: XpArray, input_cell: XpArray, plan: SearchPlan, xp: Any = np) -> XpArray:
    """See `Backend.in_canonical_setting`."""
    cells = cells.copy()
    for m, operators in enumerate(plan.operators):
        mine = input_cell == m
        cells[mine] = canonical_setting(cells[mine], xp.asarray(plan.cells[m]), xp.asarray(operators), xp)
    return cells


def coverage(backend: Any, spots: SpotBatch, cells: XpArray, threshold: float, *, fractional: bool) -> Coverage:
    """See `Backend.coverage`."""
    xp = spots.xp
    distance = backend.distances(spots, cells, fractional=fractional)
    inside = distance < threshold
    n_indexed = spots.sum_per_frame(inside)
    if fractional:
        distance = backend.distances(spots, cells)
    total = spots.sum_per_frame(xp.where(inside, distance, 0.0) ** 2)
    rms = xp.sqrt(total / xp.maximum(n_indexed, 1)).astype(xp.float32)
    return Coverage(n_indexed.T.astype(xp.int32), rms.T, _resolution(spots, inside, n_indexed).T)


def _resolution(spots: SpotBatch, inside: XpArray, n_indexed: XpArray) -> XpArray:
    """Resolution (Q, F), angstrom, up to which cells index spots; nan if they index too few.

    Parameters
    ----------
    inside : (Q, N) bool
        Whether the cell in each slot indexes each spot. A frame's spots ascend in |s|.
    n_indexed : (Q, F)
        Number of indexed spots of each cell.
    """
    xp = spots.xp
    resolution = xp.full(n_indexed.shape, xp.nan, dtype=xp.float32)
    wanted = n_indexed - xp.maximum(FEWEST_LEFT_OUT, n_indexed // LEFT_OUT)
    if inside.shape[1] == 0:
        return resolution
    running = xp.cumsum(inside, axis=1, dtype=xp.int64)
    starts = xp.minimum(spots.offsets[:-1], inside.shape[1] - 1)
    before = running[:, starts] - inside[:, starts]
    for slot in range(len(inside)):
        mine = xp.flatnonzero(wanted[slot] > 0)
        columns = xp.searchsorted(running[slot], before[slot, mine] + wanted[slot, mine])
        x, y, z = spots.xyz[:, columns].astype(xp.float64)
        resolution[slot, mine] = 1 / xp.sqrt(x * x + y * y + z * z)
    return resolution
