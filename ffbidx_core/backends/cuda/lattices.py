"""The search for lattices of unknown cells in the GPU backend, which computes it on the processors of the host."""

from __future__ import annotations

import functools
from typing import Any

from ...model.records.batch import SpotBatch, to_host
from ...model.unknown.scan import VectorScan
from ..cpu.lattices.verbs import CpuLattices
from .device import CudaDevice


@functools.cache
def _processors() -> CpuLattices:
    """The verbs on the host, whose threads are started once."""
    return CpuLattices()


def _on_host(spots: SpotBatch) -> SpotBatch:
    """A batch with its arrays copied to host memory."""
    return SpotBatch(to_host(spots.xyz), to_host(spots.offsets))


class CudaLattices(CudaDevice):
    """Verbs that take and return arrays of the device but compute with Numba on the host."""

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> Any:
        """See `Backend.scan_vectors`."""
        return self.xp.asarray(_processors().scan_vectors(_on_host(spots), scan))

    def refine_scanned(self, spots: SpotBatch, hits: Any, scan: VectorScan) -> Any:
        """See `Backend.refine_scanned`."""
        return self.xp.asarray(_processors().refine_scanned(_on_host(spots), to_host(hits), scan))

    def join_vectors(self, spots: SpotBatch, vectors: Any) -> tuple[Any, Any]:
        """See `Backend.join_vectors`."""
        cells, scores = _processors().join_vectors(_on_host(spots), to_host(vectors))
        return self.xp.asarray(cells), self.xp.asarray(scores)
