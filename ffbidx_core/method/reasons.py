"""The reason why a frame has no crystal, from the results of the steps; `model.records.reason` defines the reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, State
from ..model.chance import level as chance
from ..model.records.batch import SpotBatch
from ..model.records.reason import STANDS_OUT, FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters

LEAST_LEVEL = STANDS_OUT - chance.LOG10_ORIENTATIONS
"""Highest log10 chance level of a cell that stands out."""


def reason_of_level(level: NDArray[np.float64]) -> NDArray[np.uint8]:
    """EXPLAINED_BY_CHANCE if a cell of the given log10 chance level stands out, else NO_CELL."""
    stands_out = level <= LEAST_LEVEL
    return np.where(stands_out, FrameReason.EXPLAINED_BY_CHANCE.value, FrameReason.NO_CELL.value).astype(np.uint8)


def with_vectors(
    backend: Backend,
    reason: NDArray[np.uint8],
    spots: SpotBatch,
    counts: NDArray[np.int64],
    vectors: XpArray,
    p: Parameters,
    n_points: int,
) -> NDArray[np.uint8]:
    """Replace the reason NO_CELL by NO_VECTOR for frames on which no vector stands out.

    Parameters
    ----------
    backend
        Backend that computes.
    reason : (F,) uint8
        Reasons, as `FrameReason`, in host memory.
    spots
        Batch of spots.
    counts : (F,) int64
        Number of spots on each frame, in host memory.
    vectors : (F, G, C, 3)
        Candidate vectors of each length group, angstrom, the best first.
    p
        Parameters of the method.
    n_points
        Number of directions on which the vectors were searched.

    Returns
    -------
    (F,) uint8
    """
    rows = np.flatnonzero(reason == FrameReason.NO_CELL.value)
    if len(rows) == 0:
        return reason

    def steps(state: State, chosen: XpArray) -> tuple[State, Sequence[XpArray]]:
        spots, vectors = state
        return state, (vectors_stand_out(spots.take(chosen), vectors[chosen, :, 0], p, n_points),)

    key, chosen = ("vectors", n_points, p), backend.chosen_few(rows, counts)
    _, (stand_out,) = backend.run_steps(key, steps, (spots, vectors), chosen)
    reason = reason.copy()
    reason[rows[~stand_out[: len(rows)]]] = FrameReason.NO_VECTOR.value
    return reason


def vectors_stand_out(spots: SpotBatch, vectors: XpArray, p: Parameters, n_points: int) -> XpArray:
    """Whether any of a frame's vectors (F, G, 3) has more sampled spots close to its planes than chance, (F,) bool."""
    xp = spots.xp
    frame = spots.frame_of_spot
    own = vectors[frame]
    position = sum(own[:, :, i] * spots.xyz[i][:, None] for i in range(3))
    sampled = xp.arange(spots.xyz.shape[1]) - spots.offsets[:-1][frame] < p.max_spots
    distance = xp.where(sampled[:, None], xp.abs(position - xp.rint(position)), 1.0).T
    n = xp.minimum(spots.counts, p.max_spots)
    levels = [chance.log10_bound(spots.sum_per_frame(distance < t), n, 2 * t, xp) for t in chance.PLANE_DISTANCES]
    # An empty slot is a zero vector, to which all spots would be close.
    level = xp.where((vectors != 0).any(axis=-1).T, xp.stack(levels).min(axis=0), 0.0).min(axis=0)
    return level + math.log10(n_points * vectors.shape[1]) <= STANDS_OUT
