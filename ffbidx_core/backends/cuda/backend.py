"""The GPU backend: buffers and launches of whole batches; the science is in `kernels`."""

from __future__ import annotations

from typing import Any

import cupy as cp
import numpy as np

from ...model.misfit.equations import Spread
from ...model.records.batch import SpotBatch
from ...parameters import Parameters
from ..shared import GenericVerbs
from .device import contiguous
from .search import CudaSearch

METHODS = {"ifss": 1, "ifse": 2, "ifssr": 3}


class CudaBackend(CudaSearch, GenericVerbs):
    """One GPU; see `CudaDevice` for the parameter. The verbs here refine, fit and count."""

    name = "cuda"

    def _per_cell(self, kernel: str, spots: SpotBatch, cells: Any, *args: Any) -> None:
        """Launch a kernel of a warp a cell, cells (F, Q, 3, 3)."""
        n_cells = cells.shape[0] * cells.shape[1]
        self._launch(
            kernel,
            (-(-n_cells // 4),),
            128,
            spots.xyz,
            np.int64(spots.xyz.shape[1]),
            spots.offsets,
            *args,
        )

    def refine_cells(self, spots: SpotBatch, cells: Any, scores: Any, p: Parameters) -> tuple[Any, Any]:
        """Step 4; see `Backend.refine_cells`."""
        cells = cp.array(cells, dtype=cp.float64, order="C")
        scores = cp.array(scores, dtype=cp.float64, order="C")
        if p.method != "raw":
            self._per_cell(
                "refine_cells",
                spots,
                cells,
                np.int64(scores.size),
                np.int32(cells.shape[1]),
                np.int32(METHODS[p.method]),
                np.float64(p.contraction),
                np.float64(p.max_dist),
                np.int32(p.min_spots),
                np.int32(p.n_iter),
                cells,
                scores,
            )
        return cells, scores

    def fit_rigid(self, spots: SpotBatch, cells: Any, p: Parameters) -> Any:
        """Turn cells onto the spots; see `Backend.fit_rigid`."""
        cells = cp.array(cells, dtype=cp.float64, order="C")
        self._per_cell(
            "fit_rigid",
            spots,
            cells,
            np.int64(cells.shape[0] * cells.shape[1]),
            np.int32(cells.shape[1]),
            np.int32(p.rigid_steps),
            cells,
        )
        return cells

    def count_within(self, spots: SpotBatch, cells: Any, radii: Any) -> Any:
        """Spots within each radius; see `Backend.count_within`."""
        cells = contiguous(cells)
        radii = contiguous(radii)
        out = cp.empty(radii.shape, cp.int32)
        self._per_cell(
            "count_within",
            spots,
            cells,
            cells,
            radii,
            np.int64(cells.shape[0] * cells.shape[1]),
            np.int32(cells.shape[1]),
            np.int32(radii.shape[2]),
            out,
        )
        return out

    def fit_constrained(
        self, spots: SpotBatch, cells: Any, reference: Any, radius: Any, prior: float
    ) -> tuple[Any, Any]:
        """The last fit; see `Backend.fit_constrained`."""
        cells, cutoff = cp.array(cells, dtype=cp.float64, order="C"), cp.empty(len(cells))
        self._per_frame(
            "fit_constrained", spots, contiguous(reference), contiguous(radius), np.float64(prior), cells, cutoff
        )
        return cells, cutoff

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
        cells = cp.array(cells, dtype=cp.float64, order="C")
        self._per_frame(
            "fit_whitened",
            spots,
            contiguous(reference),
            contiguous(cutoff),
            np.float64(spread.across),
            np.float64(spread.along),
            np.float64(prior**-2),
            cells,
        )
        return cells

    def _per_frame(self, kernel: str, spots: SpotBatch, *args: Any) -> None:
        """Launch a kernel of a warp a frame."""
        self._launch(
            kernel,
            (-(-spots.n_frames // 2),),
            64,
            spots.xyz,
            np.int64(spots.xyz.shape[1]),
            spots.offsets,
            np.int32(spots.n_frames),
            *args,
        )

    def expected_false(
        self, spots: SpotBatch, counts: Any, radii: Any, input_cell: Any, volumes: Any, orders: Any, p: Parameters
    ) -> Any:
        """False crystals expected; see `Backend.expected_false`."""
        counts = cp.ascontiguousarray(cp.asarray(counts, dtype=cp.int64))
        input_cell = cp.ascontiguousarray(cp.asarray(input_cell, dtype=cp.int64))
        out = cp.empty(counts.shape)
        self._launch(
            "expected_false",
            (-(-counts.size // 128),),
            128,
            spots.xyz,
            np.int64(spots.xyz.shape[1]),
            spots.offsets,
            np.int64(counts.size),
            np.int32(counts.shape[1]),
            counts,
            contiguous(radii),
            input_cell,
            np.int32(input_cell.shape[1] == 1),
            contiguous(volumes),
            contiguous(orders),
            np.int32(len(volumes)),
            np.int32(p.max_spots),
            np.int32(p.n_output_cells),
            np.int32(p.min_new_spots),
            out,
        )
        return out

    def distances(self, spots: SpotBatch, cells: Any, *, fractional: bool = False) -> Any:
        """Distances of all spots to their predicted ones; see `Backend.distances`."""
        cells = contiguous(cells)
        out = cp.empty((cells.shape[1], spots.xyz.shape[1]), cp.float32)
        self._launch(
            "distances",
            (cells.shape[1], spots.n_frames),
            128,
            spots.xyz,
            np.int64(spots.xyz.shape[1]),
            spots.offsets,
            cells,
            np.int32(fractional),
            out,
        )
        return out
