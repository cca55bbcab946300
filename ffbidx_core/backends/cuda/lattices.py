"""The search for lattices of unknown cells beside a GPU: on the processors of its machine."""

from __future__ import annotations

import functools
from typing import Any

from ...model.records.batch import SpotBatch, to_host
from ...model.unknown.scan import VectorScan
from ..cpu.lattices.verbs import CpuLattices
from .device import CudaDevice


@functools.cache
def _processors() -> CpuLattices:
    return CpuLattices()


def _on_host(spots: SpotBatch) -> SpotBatch:
    return SpotBatch(to_host(spots.xyz), to_host(spots.offsets))


class CudaLattices(CudaDevice):
    """These verbs take and give arrays of the device, and compute with Numba; verdicts on lattices are the GPU's."""

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> Any:
        """Local maxima of C; see `Backend.scan_vectors`."""
        return self.xp.asarray(_processors().scan_vectors(_on_host(spots), scan))

    def refine_scanned(self, spots: SpotBatch, hits: Any, scan: VectorScan) -> Any:
        """Refined vectors; see `Backend.refine_scanned`."""
        return self.xp.asarray(_processors().refine_scanned(_on_host(spots), to_host(hits), scan))

    def join_vectors(self, spots: SpotBatch, vectors: Any) -> tuple[Any, Any]:
        """Lattices of three vectors; see `Backend.join_vectors`."""
        cells, scores = _processors().join_vectors(_on_host(spots), to_host(vectors))
        return self.xp.asarray(cells), self.xp.asarray(scores)
