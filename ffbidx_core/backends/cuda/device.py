"""A GPU with its compiled kernels, its streams, and the arrays that stay in its memory."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cupy as cp

from ...model.records.batch import SpotBatch
from .. import kernels
from ..kernels.signatures import Signature, signatures


@functools.lru_cache(maxsize=8)
def _kernels(device: int) -> dict[str, tuple[Any, Signature]]:
    """Each compiled kernel and its signature, by name."""
    with cp.cuda.Device(device):
        module = cp.RawModule(code=kernels.source(), options=kernels.OPTIONS)
        return {
            name: (module.get_function(name), Signature(name, signatures()[name], cp.ndarray))
            for name in kernels.KERNELS
        }


def of_spots(spots: SpotBatch) -> dict[str, Any]:
    """The arguments with which a kernel takes a batch of spots."""
    return {"xyz": spots.xyz, "n_spots": spots.xyz.shape[1], "offsets": spots.offsets}


def contiguous(array: Any) -> Any:
    """An array converted to float64 in C order, as kernels take it."""
    return as_kernels_take(array, cp.float64)


def as_kernels_take(array: Any, dtype: Any) -> Any:
    """An array converted to a type in C order; one that is so already is returned as it is, which costs no call."""
    if array.dtype == dtype and array.flags.c_contiguous:
        return array
    return cp.ascontiguousarray(array.astype(dtype))


def copied(array: Any) -> Any:
    """A copy of an array in float64 and C order, for a kernel that changes it in place."""
    return array.astype(cp.float64, order="C", copy=True)


class CudaDevice:
    """One GPU.

    Parameters
    ----------
    device
        Number of the GPU; None for the current one.
    """

    lanes = 3
    memory_errors: tuple[type[Exception], ...] = (cp.cuda.memory.OutOfMemoryError,)

    def __init__(self, device: int | None = None) -> None:
        self.xp: ModuleType = cp
        self.most_frames = sys.maxsize
        self.number = cp.cuda.runtime.getDevice() if device is None else device
        self._functions = _kernels(self.number)
        self._plans: dict[Any, Any] = {}
        self._plans_lock = threading.Lock()
        self._streams: list[Any] = []

    @property
    def device(self) -> str:
        """Number and name of the GPU."""
        return f"GPU {self.number}, {cp.cuda.runtime.getDeviceProperties(self.number)['name'].decode()}"

    @contextlib.contextmanager
    def lane(self) -> Iterator[None]:
        """A context with a stream of its own, so that copies and kernels overlap with those of other threads.

        Streams are reused, together with the memory that CuPy keeps for each stream.
        """
        with cp.cuda.Device(self.number):
            try:
                stream = self._streams.pop()
            except IndexError:
                stream = cp.cuda.Stream(non_blocking=True)
            try:
                with stream:
                    yield
            finally:
                self._streams.append(stream)

    def close(self) -> None:
        """Return all unused memory to the GPU, which CuPy's pools would otherwise keep."""
        self._plans.clear()
        self._streams.clear()
        with cp.cuda.Device(self.number):
            cp.get_default_memory_pool().free_all_blocks()
            cp.get_default_pinned_memory_pool().free_all_blocks()

    def _launch(self, kernel: str, grid: tuple[int, ...], block: int, *, shared: int = 0, **arguments: Any) -> None:
        """Launch a kernel on the current stream, with arguments by the names of its parameters in the source."""
        if 0 not in grid:
            function, signature = self._functions[kernel]
            function(grid, (block,), signature.arguments(arguments), shared_mem=shared)

    def _launch_warps(self, kernel: str, n: int, block: int = 128, **arguments: Any) -> None:
        """Launch a kernel with a warp for each of n items."""
        self._launch(kernel, (-(-32 * n // block),), block, **arguments)

    def _launch_each(self, kernel: str, n: int, **arguments: Any) -> None:
        """Launch a kernel with a thread for each of n items."""
        self._launch(kernel, (-(-n // 128),), 128, n=n, **arguments)

    def _cached(self, key: Any, make: Any) -> Any:
        """Arrays on the device that many batches share, made on first use; only a few recent ones are kept."""
        with self._plans_lock:
            if key not in self._plans:
                if len(self._plans) > 16:
                    self._plans.clear()
                self._plans[key] = make()
                # Another lane might use the arrays before the stream of this one has filled them.
                cp.cuda.get_current_stream().synchronize()
            return self._plans[key]
