"""The CPU backend: Numba kernels over ranges of frames, spread over threads."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...model.fits import CONSTRAINED_SMALLEST_START, rigid_cutoffs
from ...model.misfit.equations import Spread
from ...model.plan import SearchPlan, half_sphere
from ...model.records.batch import SpotBatch
from ...parameters import Parameters
from .. import OnHost, OrientedCells
from . import cells as turned
from . import constrained, fits, order, refine, scores, vectors, whitened
from .scores import TILE, UNROLLED
from .select import BINS

CACHE_LINE = 64
"""Bytes; also the width of the widest vectors."""
FEWEST_PER_TASK, MOST_PER_TASK = 4, 32
"""Frames that a thread takes at a time: enough to hide the hand-over, few enough to share out evenly."""


@functools.lru_cache(maxsize=4)
def _directions(n_points: int) -> tuple[Any, Any]:
    """Directions (P, 3) float64, and (3, P padded) float32 for the kernels."""
    points = half_sphere(n_points)
    tiled = aligned((3, -(-n_points // TILE) * TILE))
    tiled[:, :n_points] = points.T
    return points, tiled


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def aligned(shape: int | tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros in float32 that begin on a cache line: vectors that straddle two cost half as much again."""
    size = 4 * math.prod(np.atleast_1d(shape).tolist())
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size].view(np.float32).reshape(shape)


class CpuBackend(OnHost):
    """Numba on all cores.

    Parameters
    ----------
    threads
        Threads that share out the frames of a batch; None: one for each processor that may be used.
    """

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self.threads = threads or available_threads()
        self._pool = ThreadPoolExecutor(self.threads, "ffbidx") if self.threads > 1 else None

    @property
    def device(self) -> str:
        """What it runs on, in words."""
        return f"{self.threads} thread{'s' * (self.threads > 1)}"

    def _each(self, n_frames: int, task: Callable[[int, int], None]) -> None:
        """Call task(first, last) on ranges of frames, in the threads."""
        if self._pool is None or n_frames <= FEWEST_PER_TASK:
            task(0, n_frames)
            return
        # Two rounds for each thread, so that none waits long for the last.
        size = min(max(-(-n_frames // (2 * self.threads)), FEWEST_PER_TASK), MOST_PER_TASK)
        for _ in self._pool.map(lambda first: task(first, min(first + size, n_frames)), range(0, n_frames, size)):
            pass

    def load(self, spots: Any, offsets: Any) -> SpotBatch:
        """Pack and sort; see `Backend.load`."""
        spots = np.ascontiguousarray(spots, dtype=np.float32).reshape(-1, 3)
        offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        xyz = np.empty((3, len(spots)), np.float32)
        self._each(len(offsets) - 1, lambda i, j: order.sort_spots(spots, offsets, i, j, xyz))
        return SpotBatch(xyz, offsets)

    def find_candidate_vectors(self, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> Any:
        """Step 1; see `Backend.find_candidate_vectors`."""
        directions, tiled = _directions(n_points)
        out = np.zeros((spots.n_frames, len(plan.lengths), p.num_candidate_vectors, 3))
        pool, largest = p.num_candidate_vectors, 2.0
        if p.candidate_separation > 0:
            pool = p.candidate_pool
            largest = float(np.cos(p.candidate_separation * np.sqrt(2 * np.pi / n_points)))
        trims, n_padded = scores.trims(p, p.distance1), tiled.shape[1]
        n_racers = min(-(-p.race_directions // TILE) * TILE, n_padded) if p.race_spots else TILE
        n_scaled = min(_largest(spots), p.max_spots) + UNROLLED

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
                aligned((3, n_racers)),
                np.empty(n_racers, np.int64),
                np.empty(BINS, np.int64),
                out,
            )

        self._each(spots.n_frames, task)
        return out

    def refine_vectors(self, spots: SpotBatch, vectors_: Any, plan: SearchPlan, p: Parameters) -> Any:
        """Step 2; see `Backend.refine_vectors`."""
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
        """Step 3; see `Backend.find_oriented_cells`."""
        shape = (spots.n_frames, p.n_output_cells)
        found = OrientedCells(np.zeros((*shape, 3, 3)), np.full(shape, np.inf), np.full(shape, -1, np.int32))
        vectors_ = np.ascontiguousarray(vectors_)
        tables, trims = plan.angle_tables(), scores.trims(p, p.distance3)
        seeds = np.arange(len(plan.axis))
        along = np.stack([plan.base[seeds, (plan.axis + i) % 3, 2] for i in range(3)], axis=1).astype(np.float32)
        limits = np.array([p.triml, p.trimh, p.delta, p.distance3])
        n_rows, n_work = min(_largest(spots), p.max_spots) + UNROLLED, tables.shape[2]
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
                np.empty(n_peaks, np.float32),
                np.empty(n_peaks, np.int64),
                np.empty(n_peaks, np.float32),
                np.empty(n_peaks, np.int64),
                np.empty(BINS, np.int64),
                found.cells,
                found.scores,
                found.input_cell,
            )

        self._each(spots.n_frames, task)
        # The order of the float32 keys is that of the scores up to rounding.
        order, frames = np.argsort(found.scores, axis=1, kind="stable"), np.arange(spots.n_frames)[:, None]
        return OrientedCells(*(array[frames, order] for array in found))

    def refine_cells(self, spots: SpotBatch, cells: Any, scores_: Any, p: Parameters) -> tuple[Any, Any]:
        """Step 4; see `Backend.refine_cells`."""
        cells, scores_ = np.array(cells, order="C"), np.array(scores_, order="C")
        if p.method != "raw":
            n = _largest(spots)
            self._each(
                spots.n_frames,
                lambda i, j: refine.refine_cells(
                    spots.xyz,
                    spots.offsets,
                    i,
                    j,
                    refine.CODES[p.method],
                    p.contraction,
                    p.max_dist,
                    p.min_spots,
                    p.n_iter,
                    np.empty(n),
                    cells,
                    scores_,
                ),
            )
        return cells, scores_

    def fit_rigid(self, spots: SpotBatch, cells: Any, p: Parameters) -> Any:
        """Turn cells onto the spots; see `Backend.fit_rigid`."""
        cells = np.array(cells, order="C")
        longest = np.maximum(np.linalg.norm(cells, axis=-1).max(axis=-1), 1e-3)
        inverse_squares = np.ascontiguousarray(rigid_cutoffs(longest, p.rigid_steps) ** -2, dtype=np.float32)
        self._each(
            spots.n_frames,
            lambda i, j: fits.fit_rigid(
                spots.xyz,
                spots.offsets,
                i,
                j,
                inverse_squares,
                cells,
            ),
        )
        return cells

    def count_within(self, spots: SpotBatch, cells: Any, radii: Any) -> Any:
        """Spots within each radius; see `Backend.count_within`."""
        out, cells = np.zeros(radii.shape, np.int32), np.ascontiguousarray(cells)
        squared_radii, n = np.ascontiguousarray(radii**2, dtype=np.float32), _largest(spots)
        self._each(
            spots.n_frames,
            lambda i, j: fits.count_within(
                spots.xyz,
                spots.offsets,
                i,
                j,
                cells,
                squared_radii,
                np.empty(n, np.float32),
                out,
            ),
        )
        return out

    def fit_constrained(
        self, spots: SpotBatch, cells: Any, reference: Any, radius: Any, prior: float
    ) -> tuple[Any, Any]:
        """The last fit; see `Backend.fit_constrained`."""
        cells, reference = np.array(cells, order="C")[:, None], np.ascontiguousarray(reference)
        cutoff = 1.3 * np.maximum(radius, CONSTRAINED_SMALLEST_START)
        self._each(
            spots.n_frames,
            lambda i, j: constrained.fit_constrained(
                spots.xyz,
                spots.offsets,
                i,
                j,
                reference,
                prior**-2,
                cells,
                cutoff,
            ),
        )
        return cells[:, 0], cutoff

    def fit_whitened(
        self,
        spots: SpotBatch,
        cells: Any,
        reference: Any,
        cutoff: Any,
        spread: Spread,
        prior: float,
        symmetry: Any = None,
    ) -> Any:
        """Rotation and strain, residuals weighed; see `Backend.fit_whitened`."""
        if symmetry is not None:
            return super().fit_whitened(spots, cells, reference, cutoff, spread, prior, symmetry)
        cells, reference = np.array(cells, order="C")[:, None], np.ascontiguousarray(reference)
        cutoff = np.ascontiguousarray(cutoff)
        self._each(
            spots.n_frames,
            lambda i, j: whitened.fit_whitened(
                spots.xyz,
                spots.offsets,
                i,
                j,
                reference,
                cutoff,
                spread.across,
                spread.along,
                prior**-2,
                cells,
            ),
        )
        return cells[:, 0]

    def distances(self, spots: SpotBatch, cells: Any, *, fractional: bool = False) -> Any:
        """Distances of all spots to their predicted ones; see `Backend.distances`."""
        out, cells = np.empty((cells.shape[1], spots.xyz.shape[1]), np.float32), np.ascontiguousarray(cells)
        self._each(
            spots.n_frames,
            lambda i, j: fits.distances(
                spots.xyz,
                spots.offsets,
                i,
                j,
                cells,
                fractional,
                out,
            ),
        )
        return out


def _largest(spots: SpotBatch) -> int:
    """Spots of the largest frame."""
    return int(spots.counts.max(initial=0))
