"""The search for lattices of unknown cells on the GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy as cp
import numpy as np

from ...model.records.batch import SpotBatch, to_host
from ...model.unknown.scan import (
    DISTINCT,
    LATTICES,
    PAIRED,
    PAIRS,
    SAME_LATTICE,
    SAME_TRIPLE,
    TRIED,
    VECTORS,
    Octave,
    VectorScan,
)
from ..kernels import SCAN_BINS
from .arrays import contiguous, of_spots
from .threes import CudaThrees

BLOCK = 128
"""Number of threads of a block of most of the kernels."""
PORTION = 64
"""Number of frames at once, which bounds the memory for the keys of triples: 3 MB a frame."""
NO_KEY = np.uint64(2**64 - 1)
"""Key of an empty slot, which is behind all others."""
PLACE = np.uint64(2**32 - 1)
"""The bits of a key that hold the place."""


class CudaLattices(CudaThrees):
    """The verbs that search for lattices; values are sorted with their places, so that equal ones keep their order."""

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> Any:
        """See `Backend.scan_vectors`."""
        return self._in_portions(spots, lambda some, _: self._scanned(some, scan))

    def refine_scanned(self, spots: SpotBatch, hits: Any, scan: VectorScan) -> Any:
        """See `Backend.refine_scanned`."""
        return self._in_portions(spots, lambda some, part: self._refined(some, hits[part], scan))

    def join_vectors(self, spots: SpotBatch, vectors: Any) -> tuple[Any, Any]:
        """See `Backend.join_vectors`."""
        joined = self._in_portions(spots, lambda some, part: self._joined(some, vectors[part]))
        return joined[..., :9].reshape(*joined.shape[:2], 3, 3), joined[..., 9]

    def _in_portions(self, spots: SpotBatch, task: Callable[[SpotBatch, slice], Any]) -> Any:
        """The results of a task on some frames at a time."""
        firsts = range(0, max(spots.n_frames, 1), PORTION)
        parts = [slice(first, min(first + PORTION, spots.n_frames)) for first in firsts]
        return cp.concatenate([task(SpotBatch(spots.xyz, spots.offsets[p.start : p.stop + 1]), p) for p in parts])

    def _scanned(self, spots: SpotBatch, scan: VectorScan) -> Any:
        low = _low_counts(spots, scan)
        most = int(low.max(initial=0))
        return cp.concatenate([self._octave(spots, cp.asarray(low), most, octave) for octave in scan.octaves], axis=1)

    def _octave(self, spots: SpotBatch, low: Any, most: int, octave: Octave) -> Any:
        """The vectors (F, `most`, 3) at the highest local maxima of an octave."""
        n_frames, n_directions = spots.n_frames, len(octave.directions)
        directions = cp.asarray(octave.directions)

        def launch(lowest: Any, room: int, counters: Any, keys: Any, stores: bool) -> None:
            self._launch(
                "scan_maxima",
                (-(-n_directions // BLOCK), n_frames),
                BLOCK,
                shared=4 * BLOCK * most,
                **of_spots(spots),
                low=low,
                directions=directions,
                n_directions=n_directions,
                first=octave.first,
                step=octave.step,
                n_lengths=octave.n_lengths,
                lowest=lowest,
                room=room,
                stores=int(stores),
                histogram=counters,
                keys=keys,
            )

        histogram = cp.zeros((n_frames, SCAN_BINS), cp.int32)
        launch(cp.zeros(n_frames, cp.int32), 0, histogram, cp.empty(0, cp.uint64), False)
        above = cp.cumsum(histogram[:, ::-1], axis=1, dtype=cp.int64)
        # The number of bins, from the highest on, that hold enough maxima, or all of them.
        bins = cp.minimum((above < octave.most).sum(axis=1), SCAN_BINS - 1)
        room = int(cp.take_along_axis(above, bins[:, None], axis=1).max()) if n_frames else 0
        keys = cp.full((n_frames, max(room, octave.most)), NO_KEY, cp.uint64)
        lowest = (SCAN_BINS - 1 - bins).astype(cp.int32)
        launch(lowest, keys.shape[1], cp.zeros_like(histogram), keys, True)
        keys = cp.sort(keys, axis=1)[:, : octave.most]
        place = (keys & PLACE).astype(cp.int64)
        there = keys != NO_KEY
        direction = cp.where(there, place // octave.n_lengths, 0)
        lengths = (octave.first + octave.step * (place % octave.n_lengths)).astype(cp.float32)
        return cp.where(there[..., None], directions[direction] * lengths[..., None], cp.float32(0))

    def _refined(self, spots: SpotBatch, hits: Any, scan: VectorScan) -> Any:
        n_frames, n_hits = hits.shape[:2]
        fitted, scores = cp.empty((n_frames, n_hits, 3)), cp.empty((n_frames, n_hits))
        self._launch(
            "refine_hits",
            (-(-n_hits // BLOCK), n_frames),
            BLOCK,
            **of_spots(spots),
            low=cp.asarray(_low_counts(spots, scan)),
            hits=cp.ascontiguousarray(hits, cp.float32),
            n_hits=n_hits,
            shortest=scan.shortest,
            longest=scan.reach,
            vectors=fitted,
            scores=scores,
        )
        vectors = cp.zeros((n_frames, VECTORS, 3))
        self._launch(
            "keep_vectors",
            (n_frames,),
            2 * BLOCK,
            vectors=fitted,
            scores=scores,
            order=cp.argsort(-scores, axis=1).astype(cp.int64),
            n_hits=n_hits,
            apart=DISTINCT / scan.resolution,
            n_kept=VECTORS,
            out=vectors,
        )
        return vectors

    def _joined(self, spots: SpotBatch, vectors: Any) -> Any:
        """The best lattices (F, `LATTICES`, 10): the nine elements of the cell, and its score."""
        vectors = contiguous(vectors)
        n_frames = len(vectors)
        cells = self._triples(spots, vectors)
        lengths, scores = cp.zeros((n_frames, TRIED, 7)), cp.full((n_frames, TRIED), -cp.inf)
        is_new, n_cells = cp.zeros((n_frames, TRIED), cp.int32), n_frames * TRIED
        self._launch("cell_lengths", (-(-n_cells // BLOCK),), BLOCK, cells=cells, n_cells=n_cells, lengths=lengths)
        self._launch("mark_new", (n_frames,), 2 * BLOCK, lengths=lengths, n=TRIED, tolerance=SAME_TRIPLE, is_new=is_new)
        self._launch(
            "fit_triples",
            (-(-n_cells * 32 // BLOCK),),
            BLOCK,
            **of_spots(spots),
            n_cells=n_cells,
            per_frame=TRIED,
            is_new=is_new,
            cells=cells,
            lengths=lengths,
            scores=scores,
        )
        chosen = cp.full((n_frames, LATTICES), -1, cp.int32)
        self._launch(
            "keep_lattices",
            (n_frames,),
            32,
            lengths=lengths,
            scores=scores,
            is_new=is_new,
            n=TRIED,
            tolerance=SAME_LATTICE,
            n_kept=LATTICES,
            chosen=chosen,
        )
        frame, there = cp.arange(n_frames)[:, None], chosen >= 0
        kept = cp.where(there, scores[frame, chosen], -cp.inf)
        found = cp.where(there[..., None], cells.reshape(n_frames, TRIED, 9)[frame, chosen], 0.0)
        order = cp.argsort(-kept, axis=1)
        return cp.concatenate([found[frame, order], kept[frame, order][..., None]], axis=2)

    def _triples(self, spots: SpotBatch, vectors: Any) -> Any:
        """The best triples of vectors (F, `TRIED`, 3, 3), the best first; empty slots are zero."""
        n_frames, n_vectors = vectors.shape[:2]
        n_paired = min(PAIRED, n_vectors)
        most = max(int((spots.offsets[1:] - spots.offsets[:-1]).max()), 1) if n_frames else 1
        densities = cp.empty((n_frames, n_vectors, most))
        grid = (-(-n_vectors // BLOCK), n_frames)
        self._launch(
            "vector_densities",
            grid,
            BLOCK,
            **of_spots(spots),
            vectors=vectors,
            n_vectors=n_vectors,
            most=most,
            densities=densities,
        )
        common = {
            "offsets": spots.offsets,
            "vectors": vectors,
            "n_vectors": n_vectors,
            "counts": (vectors != 0).any(axis=2).sum(axis=1).astype(cp.int32),
            "n_paired": n_paired,
            "most": most,
            "densities": densities,
        }
        keys = cp.full((n_frames, n_paired**2), NO_KEY, cp.uint64)
        self._launch("score_pairs", (n_paired, n_frames), BLOCK, **common, keys=keys)
        keys = cp.sort(keys, axis=1)[:, :PAIRS]
        pairs = cp.where(keys != NO_KEY, (keys & PLACE).astype(cp.int32), -1).astype(cp.int32)
        n_pairs = pairs.shape[1]
        rank = cp.full((n_frames, n_paired, n_paired), n_pairs, cp.int32)
        frame, p = cp.nonzero(pairs >= 0)
        i, j = pairs[frame, p] // n_paired, pairs[frame, p] % n_paired
        rank[frame, i, j] = rank[frame, j, i] = p
        keys = cp.full((n_frames, n_pairs * n_vectors), NO_KEY, cp.uint64)
        self._launch("score_thirds", (n_pairs, n_frames), BLOCK, **common, pairs=pairs, rank=rank, keys=keys)
        keys = cp.sort(keys, axis=1)[:, :TRIED]
        there = keys != NO_KEY
        place = cp.where(there, (keys & PLACE).astype(cp.int64), 0)
        frame = cp.arange(n_frames)[:, None]
        pair = pairs[frame, place // n_vectors]
        rows = cp.stack([pair // n_paired, pair % n_paired, place % n_vectors], axis=2)
        cells = cp.zeros((n_frames, TRIED, 3, 3))
        cells[:, : keys.shape[1]] = cp.where(there[..., None, None], vectors[frame[..., None], rows], 0.0)
        return cells


def _low_counts(spots: SpotBatch, scan: VectorScan) -> Any:
    """Number of spots on each frame (F,) over which the scan sums, int32 on the host."""
    offsets = to_host(spots.offsets)
    xyz = to_host(spots.xyz[:, int(offsets[0]) : int(offsets[-1])]).astype(np.float64)
    return scan.low_counts((xyz**2).sum(axis=0), offsets - offsets[0]).astype(np.int32)
