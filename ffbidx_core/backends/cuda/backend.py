"""The GPU backend: buffers and launches for whole batches; the computations are in `backends/kernels`."""

from __future__ import annotations

from typing import Any

import cupy as cp

from ...model.misfit.equations import Spread
from ...model.records.batch import SpotBatch
from ...parameters import Parameters
from ..shared import GenericVerbs
from .arrays import contiguous, of_spots
from .judging import CudaJudging
from .lattices import CudaLattices
from .search import CudaSearch

METHODS = {"ifss": 1, "ifse": 2, "ifssr": 3}


class CudaBackend(CudaSearch, CudaJudging, CudaLattices, GenericVerbs):
    """The backend of one GPU; see `CudaDevice` for its parameter. The verbs defined here refine, fit and count."""

    name = "cuda"

    def _per_cell(self, kernel: str, spots: SpotBatch, cells: Any, **arguments: Any) -> None:
        """Launch a kernel with one warp for each of the cells (F, Q, 3, 3)."""
        n_cells, per_frame = cells.shape[0] * cells.shape[1], cells.shape[1]
        self._launch_warps(
            kernel, n_cells, **of_spots(spots), cells=cells, n_cells=n_cells, per_frame=per_frame, **arguments
        )

    def refine_cells(self, spots: SpotBatch, cells: Any, scores: Any, p: Parameters) -> tuple[Any, Any]:
        """See `Backend.refine_cells`."""
        cells, scores = contiguous(cells), contiguous(scores)
        if p.method == "raw":
            return cells.copy(), scores.copy()
        refined, measured = cp.empty(cells.shape), cp.empty(scores.shape)
        self._per_cell(
            "refine_cells",
            spots,
            refined,
            method=METHODS[p.method],
            contraction=p.contraction,
            max_dist=p.max_dist,
            min_spots=p.min_spots,
            n_iter=p.n_iter,
            start=cells,
            raw_scores=scores,
            scores=measured,
        )
        return refined, measured

    def fit_rigid(self, spots: SpotBatch, cells: Any, p: Parameters) -> Any:
        """See `Backend.fit_rigid`."""
        fitted = cp.empty(cells.shape)
        self._per_cell("fit_rigid", spots, fitted, steps=p.rigid_steps, start=contiguous(cells))
        return fitted

    def count_within(self, spots: SpotBatch, cells: Any, radii: Any) -> Any:
        """See `Backend.count_within`."""
        radii = contiguous(radii)
        out, every = cp.empty(radii.shape, cp.int32), cp.arange(radii.shape[0] * radii.shape[1], dtype=cp.int32)
        self._per_cell(
            "count_within", spots, contiguous(cells), input_cell=every, radii=radii, n_radii=radii.shape[2], counts=out
        )
        return out

    def fit_constrained(
        self, spots: SpotBatch, cells: Any, reference: Any, radius: Any, prior: float
    ) -> tuple[Any, Any]:
        """See `Backend.fit_constrained`."""
        fitted, cutoff = cp.empty((len(cells), 3, 3)), cp.empty(len(cells))
        self._per_frame(
            "fit_constrained",
            spots,
            reference=contiguous(reference),
            radius=contiguous(radius),
            prior=prior,
            start=contiguous(cells),
            cells=fitted,
            cutoff=cutoff,
        )
        return fitted, cutoff

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
        fitted = cp.empty((len(cells), 3, 3))
        self._per_frame(
            "fit_whitened",
            spots,
            reference=contiguous(reference),
            cutoff=contiguous(cutoff),
            across=spread.across,
            along=spread.along,
            stiffness=prior**-2,
            start=contiguous(cells),
            cells=fitted,
        )
        return fitted

    def _per_frame(self, kernel: str, spots: SpotBatch, **arguments: Any) -> None:
        """Launch a kernel with one warp for each frame."""
        n_frames = spots.n_frames
        self._launch_warps(kernel, n_frames, block=64, **of_spots(spots), n_frames=n_frames, **arguments)
