"""Steps 1 to 3 of the search on the GPU: the buffers and launches of the kernels.

The two verbs that keep a score for each direction or angle process a batch in parts, so that their scratch memory
stays below `SCRATCH_BYTES`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import cupy as cp
import numpy as np
from numpy.typing import NDArray

from ...model.plan import SearchPlan
from ...model.records.batch import FEW_SPOTS, SpotBatch
from ...parameters import Parameters
from ..cells import OrientedCells
from .arrays import contiguous, of_spots, power_of_two
from .device import CudaDevice
from .recordings import FEWEST_SPOTS, MOST_FRAMES, chosen_few, padded
from .tables import directions_on_device, plan_on_device, trims_on_device

SCRATCH_BYTES = 1 << 29
"""Upper limit of the scratch memory of one part of a batch, bytes."""
SHARED_BYTES = 36 * 1024
"""Dynamic shared memory of a block, bytes, up to which kernels need no scratch memory."""
WORD_ITEMS = 2048
"""Number of items that a block of 256 threads may append at once, since each thread reads eight counts."""


FEW_FRAMES = 64
"""Number of frames up to which `choose_counted`, whose blocks then have processors of their own, has larger blocks."""


class CudaSearch(CudaDevice):
    """Steps 1 to 3 of the search on one GPU; see `CudaDevice` for the parameter."""

    def _trims(self, p: Parameters) -> Any:
        """The constants of the factors on the device."""
        return self._cached(("trims", p.triml, p.trimh, p.delta), lambda: trims_on_device(p))

    def _plan(self, plan: SearchPlan) -> Any:
        """The arrays of a plan on the device, after the plan itself."""
        # The plan is kept as well, so that no other object gets its id.
        return self._cached(("plan", id(plan)), lambda: (plan, *plan_on_device(plan)))

    def load(self, spots: Any, offsets: Any) -> SpotBatch:
        """See `Backend.load`."""
        host_offsets = np.ascontiguousarray(offsets.get() if hasattr(offsets, "get") else offsets, dtype=np.int64)
        if isinstance(spots, cp.ndarray):
            spots = cp.ascontiguousarray(cp.asarray(spots, dtype=cp.float32)).reshape(-1, 3)
            offsets = cp.asarray(host_offsets)
        else:
            spots, offsets = self.on_device(np.asarray(spots, dtype=np.float32).reshape(-1, 3), host_offsets)
        return self._sorted(spots, offsets, _largest(host_offsets))

    chosen_few = staticmethod(chosen_few)

    def load_few(self, spots: NDArray[Any], offsets: NDArray[np.int64]) -> SpotBatch:
        """See `Backend.load_few`."""
        if len(offsets) > MOST_FRAMES + 1 or len(spots) > FEW_SPOTS:
            return self.load(spots, offsets)
        rows, bounds = padded(spots, offsets)
        largest = max(_largest(bounds), FEWEST_SPOTS)
        (batch,), _ = self.run_steps(
            ("load", largest), lambda _, rows, bounds: ((self._sorted(rows, bounds, largest),), ()), (), rows, bounds
        )
        return cast("SpotBatch", batch)

    def _sorted(self, spots: Any, offsets: Any, largest: int) -> SpotBatch:
        """The batch of spots (N, 3) on the device, of which each frame has at most `largest`, a power of two."""
        n_frames, n_spots = len(offsets) - 1, len(spots)
        xyz = cp.empty((3, n_spots), cp.float32)
        small = largest * 16 <= SHARED_BYTES
        scratch = None if small else cp.empty((n_frames, largest, 2), cp.float64)
        self._launch(
            "sort_spots",
            (n_frames,),
            min(1024, max(32, largest // 2)),
            spots=spots,
            offsets=offsets,
            n_spots=n_spots,
            largest=largest,
            scratch=scratch,
            xyz=xyz,
            shared=largest * 16 if small else 0,
        )
        return SpotBatch(xyz, offsets, cp)

    def _parts(self, n_frames: int, bytes_per_frame: int) -> Iterator[tuple[int, int]]:
        """The first frame and the number of frames of each part of a batch."""
        step = max(1, min(n_frames, SCRATCH_BYTES // bytes_per_frame, 32768))
        for first in range(0, n_frames, step):
            yield first, min(step, n_frames - first)

    def find_candidate_vectors(self, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> Any:
        """See `Backend.find_candidate_vectors`."""
        _, lengths, lengths32, *_ = self._plan(plan)
        exact, directions = self._cached(("directions", n_points), lambda: directions_on_device(n_points))
        n_groups, trims = len(plan.lengths), self._trims(p)
        vectors = cp.empty((spots.n_frames, n_groups, p.num_candidate_vectors, 3))
        pool, largest = p.num_candidate_vectors, 2.0
        if p.candidate_separation > 0:
            pool = p.candidate_pool
            largest = math.cos(p.candidate_separation * math.sqrt(2 * math.pi / n_points))
        stride = -(-n_points // 8) * 8
        wanted = max(pool, p.race_directions if p.race_spots else 0)
        room = power_of_two(min(wanted, n_points) + WORD_ITEMS)
        small = room * 8 <= SHARED_BYTES
        common = of_spots(spots) | {
            "directions": directions,
            "n_directions": n_points,
            "stride": stride,
            "max_spots": p.max_spots,
            "race_spots": p.race_spots,
            "race_directions": min(p.race_directions, n_points),
            "limit": p.distance1,
        }
        for first, count in self._parts(spots.n_frames, n_groups * (2 * stride + (0 if small else 8 * room))):
            counts = cp.empty((count, n_groups, stride), cp.uint16)
            scratch = None if small else cp.empty((count, n_groups, room), cp.uint64)
            self._launch(
                "count_directions",
                (-(-stride // 1024), n_groups, count),
                256,
                **common,
                lengths=lengths32,
                first_frame=first,
                counts=counts,
            )
            self._launch(
                "choose_candidates",
                (n_groups, count),
                256,
                **common,
                counts=counts,
                exact_directions=exact,
                lengths=lengths,
                first_frame=first,
                pool=min(pool, n_points),
                largest_cosine=largest,
                trims=trims,
                n_candidates=p.num_candidate_vectors,
                room=room,
                scratch=scratch,
                vectors=vectors,
                shared=room * 8 if small else 0,
            )
        return vectors

    def refine_vectors(self, spots: SpotBatch, vectors: Any, plan: SearchPlan, p: Parameters) -> Any:
        """See `Backend.refine_vectors`."""
        vectors = contiguous(vectors)
        if not p.vr_min_spots:
            return vectors.copy()
        (_, lengths, *_), refined = self._plan(plan), cp.empty(vectors.shape)
        self._launch(
            "refine_vectors",
            (len(plan.lengths), spots.n_frames),
            256,
            **of_spots(spots),
            max_spots=p.max_spots,
            lengths=lengths,
            min_spots=p.vr_min_spots,
            tolerance=p.vector_tolerance,
            n_candidates=vectors.shape[2],
            start_vectors=vectors,
            vectors=refined,
        )
        return refined

    def find_oriented_cells(self, spots: SpotBatch, vectors: Any, plan: SearchPlan, p: Parameters) -> OrientedCells:
        """See `Backend.find_oriented_cells`."""
        _, _, _, seeds, turns = self._plan(plan)
        vectors = contiguous(vectors)
        n_frames, n_cells, trims = spots.n_frames, p.n_output_cells, self._trims(p)
        n_groups, n_candidates = vectors.shape[1], vectors.shape[2]
        cells = cp.empty((n_frames, n_cells, 3, 3))
        scores, input_cell = cp.empty((n_frames, n_cells)), cp.empty((n_frames, n_cells), cp.int32)
        largest, n_blocks = int(plan.n_angles.max()), len(plan.group) * n_candidates
        frames = cp.empty((*vectors.shape[:3], 9), cp.float32)
        n_vectors = frames.size // 9
        self._launch("frame_candidates", (-(-n_vectors // 128),), 128, vectors=vectors, n=n_vectors, frames=frames)
        width = min(p.angle_peaks, largest) if p.angle_peaks else -(-largest // 8) * 8
        n_items = n_blocks * width
        room = power_of_two(n_items if p.angle_peaks else n_cells + WORD_ITEMS)
        chosen_bytes, circle_bytes = 8 * (room + n_cells), 4 * largest
        items_fit, circle_fits = chosen_bytes <= SHARED_BYTES, circle_bytes <= SHARED_BYTES
        per_frame = n_items * 8 + chosen_bytes + (0 if circle_fits else n_blocks * circle_bytes)
        for first, count in self._parts(n_frames, per_frame):
            common = of_spots(spots) | {
                "seeds": seeds,
                "n_groups": n_groups,
                "n_candidates": n_candidates,
                "first_frame": first,
                "max_spots": p.max_spots,
                "limit": p.distance3,
            }
            choosing = common | {
                "n_items": n_items,
                "width": width,
                "vectors": vectors,
                "triml": p.triml,
                "trimh": p.trimh,
                "delta": p.delta,
                "n_cells": n_cells,
                "room": room,
                "scratch": None if items_fit else cp.empty((count, room + n_cells), cp.uint64),
                "cells": cells,
                "scores": scores,
                "input_cell": input_cell,
            }
            shared = chosen_bytes if items_fit else 0
            if p.angle_peaks:
                keys, angles = cp.empty((count, n_items), cp.float32), cp.empty((count, n_items), cp.int32)
                circle = None if circle_fits else cp.empty((count, n_blocks, largest), cp.float32)
                self._launch(
                    "turn_cells",
                    (n_blocks, count),
                    64,
                    **common,
                    turns=turns,
                    frames=frames,
                    reach=max(p.trimh, p.distance3),
                    trims=trims,
                    width=width,
                    largest=largest,
                    scratch=circle,
                    out_keys=keys,
                    out_angles=angles,
                    shared=circle_bytes if circle_fits else 0,
                )
                self._launch("choose_minima", (count,), 256, **choosing, keys=keys, angles=angles, shared=shared)
            else:
                counts = cp.empty((count, n_items), cp.uint16)
                self._launch(
                    "count_angles",
                    (n_blocks, count),
                    64,
                    **common,
                    turns=turns,
                    frames=frames,
                    stride=width,
                    largest=largest,
                    counts=counts,
                )
                block = 256 if count > FEW_FRAMES else 512
                self._launch("choose_counted", (count,), block, **choosing, counts=counts, shared=shared)
        return OrientedCells(cells, scores, input_cell)


def _largest(offsets: NDArray[np.int64]) -> int:
    """The smallest power of two that is at least the number of spots of every frame."""
    return power_of_two(int(np.diff(offsets).max(initial=1)))
