"""The reference backend: the verbs in float64 NumPy, against which the other backends are tested.

Every formula is written as `Backend` states it, one frame at a time and without shortcuts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...model.cell import Array
from ...model.plan import SearchPlan
from ...model.records.batch import SpotBatch
from ...model.unknown.scan import LATTICES, VECTORS, VectorScan
from ...parameters import Parameters
from ..cells import OrientedCells
from ..shared import OnHost
from .constrained import fit_constrained
from .fits import distances, fit_rigid, refine_cell
from .lattices import best_lattices, best_vectors, octave_maxima
from .search import candidate_vectors, oriented_cells, refine_vector, separate_vectors
from .threes import join_threes

__all__ = ["ReferenceBackend"]


def _spots_of_frames(spots: SpotBatch, most: int | None = None) -> Iterator[Array]:
    """The spots (n, 3) of each frame, at most the first `most` of them."""
    for first, last in zip(spots.offsets[:-1], spots.offsets[1:], strict=True):
        yield spots.xyz[:, first:last].T.astype(np.float64)[:most]


class ReferenceBackend(OnHost):
    """The oracle of the tests; `Backend` defines each verb."""

    name = "reference"
    device = "NumPy float64"
    join_threes = staticmethod(join_threes)

    def load(self, spots: ArrayLike, offsets: ArrayLike) -> SpotBatch:
        """See `Backend.load`."""
        packed, bounds = np.asarray(spots, dtype=np.float32).reshape(-1, 3), np.asarray(offsets, dtype=np.int64)
        x, y, z = packed.T.astype(np.float64)
        frame = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        order = np.lexsort((z, y, x, x * x + y * y + z * z, frame))
        return SpotBatch(np.ascontiguousarray(packed[order].T), bounds)

    def find_candidate_vectors(self, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> Array:
        """See `Backend.find_candidate_vectors`."""
        vectors = np.zeros((spots.n_frames, len(plan.lengths), p.num_candidate_vectors, 3))
        for f, s in enumerate(_spots_of_frames(spots, p.max_spots)):
            for g, length in enumerate(plan.lengths):
                found = candidate_vectors(s, float(length), p, n_points)
                vectors[f, g, : len(found)] = found
        return vectors

    def refine_vectors(self, spots: SpotBatch, vectors: Array, plan: SearchPlan, p: Parameters) -> Array:
        """See `Backend.refine_vectors`."""
        if p.vr_min_spots == 0:
            return vectors
        refined = np.zeros_like(vectors)
        for f, s in enumerate(_spots_of_frames(spots, p.max_spots)):
            for g, length in enumerate(plan.lengths):
                fitted = [refine_vector(s, v, float(length), p) for v in vectors[f, g] if v.any()]
                kept = separate_vectors(fitted, 0.1 * p.vector_tolerance * float(length))
                refined[f, g, : len(kept)] = kept
        return refined

    def find_oriented_cells(self, spots: SpotBatch, vectors: Array, plan: SearchPlan, p: Parameters) -> OrientedCells:
        """See `Backend.find_oriented_cells`."""
        shape = (spots.n_frames, p.n_output_cells)
        cells, scores = np.zeros((*shape, 3, 3)), np.full(shape, np.inf)
        input_cell = np.full(shape, -1, dtype=np.int32)
        for f, s in enumerate(_spots_of_frames(spots, p.max_spots)):
            found = oriented_cells(s, vectors[f], plan, p)
            n = len(found.scores)
            cells[f, :n], scores[f, :n], input_cell[f, :n] = found
        return OrientedCells(cells, scores, input_cell)

    def refine_cells(self, spots: SpotBatch, cells: Array, scores: Array, p: Parameters) -> tuple[Array, Array]:
        """See `Backend.refine_cells`."""
        cells, scores = cells.copy(), scores.copy()
        for f, s in enumerate(_spots_of_frames(spots)):
            for q in range(cells.shape[1]):
                cells[f, q], scores[f, q] = refine_cell(s, cells[f, q], float(scores[f, q]), p)
        return cells, scores

    def fit_rigid(self, spots: SpotBatch, cells: Array, p: Parameters) -> Array:
        """See `Backend.fit_rigid`."""
        cells = cells.copy()
        for f, s in enumerate(_spots_of_frames(spots)):
            for q in range(cells.shape[1]):
                cells[f, q] = fit_rigid(s, cells[f, q], p.rigid_steps)
        return cells

    def count_within(self, spots: SpotBatch, cells: Array, radii: Array) -> NDArray[np.int32]:
        """See `Backend.count_within`."""
        counts = np.zeros(radii.shape, dtype=np.int32)
        for f, s in enumerate(_spots_of_frames(spots)):
            for q in range(cells.shape[1]):
                counts[f, q] = (distances(s, cells[f, q]) < radii[f, q][:, None]).sum(axis=1)
        return counts

    def fit_constrained(
        self, spots: SpotBatch, cells: Array, reference: Array, radius: Array, prior: float
    ) -> tuple[Array, Array]:
        """See `Backend.fit_constrained`."""
        cells, cutoff = cells.copy(), np.empty(len(cells))
        for f, s in enumerate(_spots_of_frames(spots)):
            cells[f], cutoff[f] = fit_constrained(s, cells[f], reference[f], float(radius[f]), prior)
        return cells, cutoff

    def distances(self, spots: SpotBatch, cells: Array, *, fractional: bool = False) -> NDArray[np.float32]:
        """See `Backend.distances`."""
        out = np.empty((cells.shape[1], spots.xyz.shape[1]), dtype=np.float32)
        for f, s in enumerate(_spots_of_frames(spots)):
            for q in range(cells.shape[1]):
                out[q, spots.offsets[f] : spots.offsets[f + 1]] = distances(s, cells[f, q], fractional=fractional)
        return out

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> NDArray[np.float32]:
        """See `Backend.scan_vectors`."""
        hits = np.zeros((spots.n_frames, sum(octave.most for octave in scan.octaves), 3), np.float32)
        for f, (s, n_low) in enumerate(zip(_spots_of_frames(spots), _low_counts(spots, scan), strict=True)):
            slot = 0
            for octave in scan.octaves:
                found = octave_maxima(s[:n_low], octave)[0][: octave.most]
                hits[f, slot : slot + len(found)] = found
                slot += octave.most
        return hits

    def refine_scanned(self, spots: SpotBatch, hits: NDArray[np.float32], scan: VectorScan) -> Array:
        """See `Backend.refine_scanned`."""
        vectors = np.zeros((spots.n_frames, VECTORS, 3))
        for f, (s, n_low) in enumerate(zip(_spots_of_frames(spots), _low_counts(spots, scan), strict=True)):
            found = best_vectors(s, n_low, hits[f][hits[f].any(axis=1)].astype(np.float64), scan)
            vectors[f, : len(found)] = found
        return vectors

    def join_vectors(self, spots: SpotBatch, vectors: Array) -> tuple[Array, Array]:
        """See `Backend.join_vectors`."""
        cells = np.zeros((spots.n_frames, LATTICES, 3, 3))
        scores = np.full((spots.n_frames, LATTICES), -np.inf)
        for f, s in enumerate(_spots_of_frames(spots)):
            found, values = best_lattices(s, vectors[f][vectors[f].any(axis=1)])
            cells[f, : len(found)], scores[f, : len(found)] = found, values
        return cells, scores


def _low_counts(spots: SpotBatch, scan: VectorScan) -> NDArray[np.int64]:
    """Number of spots on each frame (F,) over which the scan sums."""
    return scan.low_counts((spots.xyz.astype(np.float64) ** 2).sum(axis=0), spots.offsets)
