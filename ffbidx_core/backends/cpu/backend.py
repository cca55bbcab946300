"""The CPU backend: Numba kernels that process ranges of frames, spread over threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.fits import CONSTRAINED_SMALLEST_START, rigid_cutoffs
from ...model.misfit.equations import Spread
from ...model.records.batch import SpotBatch
from ...parameters import Parameters
from . import constrained, fits, refine, whitened
from .lattices.verbs import CpuLattices
from .search import CpuSearch, largest_frame


class CpuBackend(CpuSearch, CpuLattices):
    """The CPU backend; see `CpuThreads` for its parameter. The verbs defined here refine, fit and count."""

    name = "cpu"

    def refine_cells(self, spots: SpotBatch, cells: Any, scores_: Any, p: Parameters) -> tuple[Any, Any]:
        """See `Backend.refine_cells`."""
        cells, scores_ = np.array(cells, order="C"), np.array(scores_, order="C")
        if p.method != "raw":
            n = largest_frame(spots)
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
        """See `Backend.fit_rigid`."""
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
        """See `Backend.count_within`."""
        out, cells = np.zeros(radii.shape, np.int32), np.ascontiguousarray(cells)
        squared_radii, n = np.ascontiguousarray(radii**2, dtype=np.float32), largest_frame(spots)
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
        """See `Backend.fit_constrained`."""
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
        """See `Backend.fit_whitened`."""
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
        """See `Backend.distances`."""
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
