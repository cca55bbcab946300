"""Steps 1 to 3 of the search on the CPU: the buffers of the Numba kernels and the calls of the kernels."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...model.plan import SearchPlan, half_sphere
from ...model.records.batch import SpotBatch
from ...parameters import Parameters
from ..cells import OrientedCells
from . import cells as turned
from . import scores, vectors
from .scores import TILE, UNROLLED
from .select import BINS
from .threads import FEWEST_PER_TASK, CpuThreads

CACHE_LINE = 64
"""Bytes of a cache line, which is also the width of the widest vector registers."""


def aligned(shape: int | tuple[int, ...]) -> NDArray[np.float32]:
    """A float32 array of zeros that begins on a cache line: vectors across two lines take half as long again."""
    size = 4 * math.prod(np.atleast_1d(shape).tolist())
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(np.float32).reshape(shape)


@functools.lru_cache(maxsize=4)
def _directions(n_points: int) -> tuple[Any, Any]:
    """Directions (P, 3) float64, and the same (3, P padded) float32 for the kernels."""
    points = half_sphere(n_points)
    tiled = aligned((3, -(-n_points // TILE) * TILE))
    tiled[:, :n_points] = points.T
    return points, tiled


def largest_frame(spots: SpotBatch) -> int:
    """Number of spots on the frame with the most spots."""
    return int(spots.counts.max(initial=0))


def sort_spots(spots: Any, offsets: Any, first: int, last: int, xyz: Any) -> None:
    """Fill xyz (3, N) with the spots (N, 3) of frames `first` to `last`, sorted within each frame by (|s|^2, x, y, z).

    The sorting makes results independent of the order of spots in the input.
    """
    # Some frames at a time, whose arrays stay in the cache.
    for some in range(first, last, FEWEST_PER_TASK):
        bounds = offsets[some : min(some + FEWEST_PER_TASK, last) + 1]
        begin, end = bounds[0], bounds[-1]
        unsorted = np.ascontiguousarray(spots[begin:end].T)
        x, y, z = unsorted.astype(np.float64)
        square = x * x + y * y + z * z
        frames = [slice(*pair) for pair in itertools.pairwise((bounds - begin).tolist())]
        order = np.concatenate([square[mine].argsort() + mine.start for mine in frames])
        ties = np.flatnonzero(np.diff(square[order]) == 0)
        for f in np.unique(np.searchsorted(bounds, ties + begin, side="right") - 1):
            mine = frames[f]
            order[mine] = np.lexsort((z[mine], y[mine], x[mine], square[mine])) + mine.start
        for r in range(3):
            xyz[r, begin:end] = unsorted[r, order]


class CpuSearch(CpuThreads):
    """Steps 1 to 3 of the search on the threads of the processor."""

    def load(self, spots: Any, offsets: Any) -> SpotBatch:
        """See `Backend.load`."""
        spots = np.ascontiguousarray(spots, dtype=np.float32).reshape(-1, 3)
        offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        xyz = np.empty((3, len(spots)), np.float32)
        self._each(len(offsets) - 1, lambda i, j: sort_spots(spots, offsets, i, j, xyz))
        return SpotBatch(xyz, offsets)

    def find_candidate_vectors(self, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> Any:
        """See `Backend.find_candidate_vectors`."""
        directions, tiled = _directions(n_points)
        out = np.zeros((spots.n_frames, len(plan.lengths), p.num_candidate_vectors, 3))
        pool, largest = p.num_candidate_vectors, 2.0
        if p.candidate_separation > 0:
            pool = p.candidate_pool
            largest = float(np.cos(p.candidate_separation * np.sqrt(2 * np.pi / n_points)))
        trims, n_padded = scores.trims(p, p.distance1), tiled.shape[1]
        n_racers = min(-(-p.race_directions // TILE) * TILE, n_padded) if p.race_spots else TILE
        n_scaled = min(largest_frame(spots), p.max_spots) + UNROLLED

        def task(first: int, last: int) -> None:
            vectors.find_candidates(
                spots.xyz,
                spots.offsets,
                first,
                last,
                p.max_spots,
                plan.lengths,
                directions,
                tiled,
                trims.values,
                trims.every,
                p.race_spots,
                p.race_directions,
                pool,
                largest,
                np.empty((3, n_scaled), np.float32),
                aligned((3, TILE)),
                aligned(n_padded),
                np.empty(n_points, np.float32),
                np.empty(n_points, np.int64),
                aligned((3, n_padded)),
                np.empty(n_points + 1, np.int64),
                aligned((3, n_racers)),
                np.empty(n_racers, np.int64),
                np.empty(BINS, np.int64),
                out,
            )

        # A frame takes about half a millisecond, which is worth a task of its own.
        self._each(spots.n_frames, task, fewest=1)
        return out

    def refine_vectors(self, spots: SpotBatch, vectors_: Any, plan: SearchPlan, p: Parameters) -> Any:
        """See `Backend.refine_vectors`."""
        out = np.array(vectors_, order="C")
        if p.vr_min_spots == 0:
            return out
        self._each(
            spots.n_frames,
            lambda i, j: vectors.refine_candidates(
                spots.xyz,
                spots.offsets,
                i,
                j,
                p.max_spots,
                plan.lengths,
                p.vr_min_spots,
                p.vector_tolerance,
                out,
            ),
        )
        return out

    def find_oriented_cells(self, spots: SpotBatch, vectors_: Any, plan: SearchPlan, p: Parameters) -> OrientedCells:
        """See `Backend.find_oriented_cells`."""
        shape = (spots.n_frames, p.n_output_cells)
        found = OrientedCells(np.zeros((*shape, 3, 3)), np.full(shape, np.inf), np.full(shape, -1, np.int32))
        vectors_ = np.ascontiguousarray(vectors_)
        tables, trims = plan.angle_tables, scores.trims(p, scores.square_limit(p.distance3))
        seeds = np.arange(len(plan.axis))
        along = np.stack([plan.base[seeds, (plan.axis + i) % 3, 2] for i in range(3)], axis=1).astype(np.float32)
        limits = np.array([p.triml, p.trimh, p.delta, p.distance3])
        n_rows, n_work = min(largest_frame(spots), p.max_spots) + UNROLLED, tables.shape[2]
        n_peaks = len(plan.group) * vectors_.shape[2] * min(p.angle_peaks or n_work, n_work)

        def task(first: int, last: int) -> None:
            turned.find_cells(
                spots.xyz,
                spots.offsets,
                first,
                last,
                p.max_spots,
                vectors_,
                plan.group,
                plan.input_cell,
                plan.n_angles,
                plan.turn,
                plan.base,
                along,
                tables,
                trims.values,
                trims.every,
                limits,
                p.angle_peaks,
                np.empty((5, n_rows), np.float32),
                aligned((3, n_work)),
                aligned(n_work),
                aligned((1, 4, n_work)),
                np.empty(n_work + 1, np.int64),
                aligned(n_work),
                np.empty(n_rows, np.int64),
                np.empty(n_peaks, np.float32),
                np.empty(n_peaks, np.int64),
                np.empty(n_peaks, np.float32),
                np.empty(n_peaks, np.int64),
                np.empty(BINS, np.int64),
                found.cells,
                found.scores,
                found.input_cell,
            )

        # A frame takes about half a millisecond, which is worth a task of its own.
        self._each(spots.n_frames, task, fewest=1)
        # The float32 keys are in the order of the scores only up to rounding.
        order, frames = np.argsort(found.scores, axis=1, kind="stable"), np.arange(spots.n_frames)[:, None]
        return OrientedCells(*(array[frames, order] for array in found))
