"""The verbs that find lattices of unknown cells, for the frames of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....model.records.batch import SpotBatch
from ....model.unknown import threes
from ....model.unknown.scan import DISTINCT, FLOOR, LANES, LATTICES, PAIRED, PAIRS, TRIED, VECTORS, Octave, VectorScan
from ..threads import CpuThreads

ROOM = 1 << 13
"""Number of hits that are held before the best are selected, in addition to those of `LANES` directions. Each selection
raises the threshold of the hits that follow, so more room makes the scan slower."""


PADDED = 8
"""Number of a multiple of which arrays of few spots have room, so that loops over spots vectorise."""


class CpuLattices(CpuThreads):
    """The search for unknown cells on the CPU; each frame is a task of its own, since it takes milliseconds.

    The kernels are imported by the verbs that need them, since a run with known cells would start later by them.
    """

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> Any:
        """See `Backend.scan_vectors`."""
        hits = np.zeros((spots.n_frames, sum(octave.most for octave in scan.octaves), 3), np.float32)
        low = _low_counts(spots, scan)

        def task(first: int, last: int) -> None:
            for f in range(first, last):
                begin = int(spots.offsets[f])
                xyz = np.ascontiguousarray(spots.xyz[:, begin : begin + low[f]])
                slot = 0
                for octave in scan.octaves:
                    found = _scan_octave(xyz, octave)
                    hits[f, slot : slot + len(found)] = found
                    slot += octave.most

        self._each(spots.n_frames, task, fewest=1)
        return hits

    def refine_scanned(self, spots: SpotBatch, hits: Any, scan: VectorScan) -> Any:
        """See `Backend.refine_scanned`."""
        from .vectors import keep_distinct, refine_hits

        vectors = np.zeros((spots.n_frames, VECTORS, 3))
        low, hits = _low_counts(spots, scan), np.ascontiguousarray(hits, np.float32)

        def task(first: int, last: int) -> None:
            for f in range(first, last):
                xyz = _spots_of(spots, f)
                mine = np.ascontiguousarray(hits[f][np.any(hits[f] != 0, axis=1)])
                fitted, scores = np.empty((len(mine), 3)), np.empty(len(mine))
                refine_hits(xyz, low[f], xyz.shape[1], mine, len(mine), scan.shortest, scan.reach, fitted, scores)
                order = np.argsort(-scores, kind="stable")
                keep_distinct(fitted, order[scores[order] > -1e299], DISTINCT / scan.resolution, vectors[f])

        self._each(spots.n_frames, task, fewest=1)
        return vectors

    def join_vectors(self, spots: SpotBatch, vectors: Any) -> tuple[Any, Any]:
        """See `Backend.join_vectors`."""
        from .triples import fit_triples, score_pairs, score_thirds

        vectors = np.ascontiguousarray(vectors)
        cells = np.zeros((spots.n_frames, LATTICES, 3, 3))
        scores = np.full((spots.n_frames, LATTICES), -np.inf)
        size = vectors.shape[1]
        n_pairs = min(size, PAIRED) * (min(size, PAIRED) - 1) // 2

        def task(first: int, last: int) -> None:
            values, codes = np.empty(n_pairs, np.float32), np.empty(n_pairs, np.int32)
            triple_values, triples = np.empty(PAIRS * size, np.float32), np.empty(PAIRS * size, np.int32)
            for f in range(first, last):
                xyz = _spots_of(spots, f)
                n, n_vectors = xyz.shape[1], int(np.any(vectors[f] != 0, axis=1).sum())
                density, pair = np.empty((size, n)), np.empty(n)
                found = score_pairs(xyz, n, vectors[f], n_vectors, density, values, codes)
                pairs = codes[_best(values[:found], PAIRS)]
                rank = np.full((size, size), len(pairs), np.int32)
                found = score_thirds(n, vectors[f], n_vectors, pairs, density, pair, rank, triple_values, triples)
                best = _best(triple_values[:found], TRIED)
                fit_triples(
                    xyz,
                    n,
                    vectors[f],
                    triples[best],
                    np.empty((3, 3)),
                    np.empty((4, 3)),
                    np.empty(7),
                    np.empty((3, n)),
                    np.empty((len(best), 7)),
                    np.empty((LATTICES, 7)),
                    cells[f],
                    scores[f],
                )
                order = np.argsort(-scores[f], kind="stable")
                cells[f], scores[f] = cells[f][order], scores[f][order]

        self._each(spots.n_frames, task, fewest=1)
        return cells, scores

    def join_threes(self, spots: SpotBatch, reach: float) -> tuple[Any, Any]:
        """See `Backend.join_threes`."""
        cells = np.zeros((spots.n_frames, threes.LATTICES, 3, 3), np.float32)
        scores = np.full((spots.n_frames, threes.LATTICES), -np.inf, np.float32)

        def task(first: int, last: int) -> None:
            for f in range(first, last):
                found, values = _lattices_of_threes(_spots_of(spots, f), reach)
                cells[f, : len(found)], scores[f, : len(found)] = found, values

        self._each(spots.n_frames, task, fewest=1)
        return cells, scores


def _lattices_of_threes(spots: Any, reach: float) -> tuple[Any, Any]:
    """The best lattices (k, 3, 3) that are whole at three spots of a frame (3, n), and their scores (k,)."""
    from .joint_threes import fit_lattices
    from .threes import CHUNK, fit_whole_vectors, whole_vectors
    from .triples_of_threes import BINS, distinct_triples, lowest_keys, score_triples

    n, best = spots.shape[1], threes.VECTORS
    padded = np.zeros((3, -(-n // PADDED) * PADDED))
    padded[:, :n] = spots
    bases, certainties = threes.chosen_threes(spots.T.astype(np.float64), reach)
    bases = threes.reduced(bases)
    vectors, values, work = np.empty((3, threes.ROOM)), np.empty(threes.ROOM), np.empty((2, CHUNK))
    density, pair, products = np.empty((padded.shape[1], best)), np.empty(padded.shape[1]), np.empty((2, best))
    keys, lowest = np.empty((2, len(threes.triples(best))), np.int64)
    counts, table = np.empty(BINS, np.int64), np.empty(4 << threes.FITTED.bit_length(), np.int64)
    chosen = np.empty((threes.FITTED, 3), np.int64)
    shortest, parts = threes.SHORTEST * reach, []
    for basis, certainty, sizes in zip(bases, certainties, threes.box(bases, reach), strict=True):
        found = whole_vectors(spots, n, basis, certainty, sizes, shortest, reach, vectors, work, values)
        whole = np.ascontiguousarray(vectors[:, _best(values[:found], best)])
        fitted = np.ascontiguousarray(whole.T)
        fit_whole_vectors(spots, n, certainty, fitted, len(fitted), density)
        found = score_triples(np.ascontiguousarray(fitted.T), len(fitted), n, density, pair, products, keys)
        found = lowest_keys(keys, found, threes.TRIED, counts, lowest)
        found = distinct_triples(whole, lowest[:found], table, chosen)
        cells, scores, lengths = np.empty((found, 3, 3)), np.empty(found), np.empty((found, 7))
        fit_lattices(padded, n, fitted, chosen[:found], cells, scores, lengths)
        parts.append((cells, scores, lengths))
    if not parts:
        return np.zeros((0, 3, 3)), np.zeros(0)
    cells, scores, lengths = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kept = threes.best_distinct(scores, lengths)
    return cells[kept], scores[kept]


def _low_counts(spots: SpotBatch, scan: VectorScan) -> Any:
    """Number of spots on each frame (F,) over which the scan sums."""
    squares = (spots.xyz.astype(np.float64) ** 2).sum(axis=0)
    return scan.low_counts(squares, spots.offsets)


def _spots_of(spots: SpotBatch, f: int) -> Any:
    """The spots (3, n) of a frame as a contiguous array."""
    return np.ascontiguousarray(spots.xyz[:, spots.offsets[f] : spots.offsets[f + 1]])


def _best(values: Any, most: int) -> Any:
    """Indices of at most `most` of the highest values, the highest first."""
    chosen = np.arange(len(values))
    if len(values) > most:
        # A partition of the values is several times faster than one of their indices.
        chosen = np.flatnonzero(values >= np.partition(values, -most)[-most])
    return chosen[np.argsort(-values[chosen], kind="stable")][:most]


def _scan_octave(spots: Any, octave: Octave) -> Any:
    """The vectors (m, 3) at the highest local maxima of an octave, for the spots of low resolution (3, n)."""
    from .scan import TOGETHER, UNROLLED, scan_directions

    n, n_rows = spots.shape[1], -(-octave.n_lengths // UNROLLED) * UNROLLED
    room = ROOM + LANES * (octave.n_lengths // 2 + 1)
    hits, values = np.empty((room, 3), np.float32), np.empty(room, np.float32)
    waves = np.zeros(-(-n // TOGETHER) * TOGETHER * 3 * LANES, np.float32)
    rows = np.empty(n_rows * LANES, np.float32)
    directions = np.ascontiguousarray(octave.directions.T)
    begin, found, threshold = 0, 0, FLOOR * n
    while True:
        begin, found = scan_directions(
            directions,
            spots,
            n,
            octave.first,
            octave.step,
            octave.n_lengths,
            begin,
            threshold,
            waves,
            rows,
            hits,
            values,
            found,
        )
        best = _best(values[:found], octave.most)
        if begin == len(octave.directions):
            return hits[best]
        # A maximum below the lowest of the best so far cannot be among the best of all.
        hits[: len(best)], values[: len(best)] = hits[best], values[best]
        found, threshold = len(best), float(values[len(best) - 1]) if len(best) == octave.most else threshold
