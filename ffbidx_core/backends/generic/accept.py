"""Acceptance by count, for any backend: a cell is a crystal if it indexes enough spots that no better crystal does."""

from __future__ import annotations

from typing import Any

from ...model.records.batch import SpotBatch
from ...model.xp import XpArray


def accept_by_count(
    backend: Any, spots: SpotBatch, cells: XpArray, scores: XpArray, threshold: float, min_spots: int, fractional: bool
) -> XpArray:
    """See `Backend.accept_by_count`."""
    xp = spots.xp
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
