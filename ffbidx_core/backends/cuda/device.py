"""A GPU with its compiled kernels, its streams, and the arrays that stay in its memory."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import cupy as cp
import numpy as np
from numpy.typing import NDArray

from ...model.records.batch import SpotBatch
from .. import kernels
from ..kernels.signatures import Signature, signatures

ALIGNED = 256
"""Bytes to a multiple of which arrays begin that are copied together, as the memory of an array of its own does."""
MOST_SHARED = 32
"""Largest number of arrays, or sets of them, that are kept for many batches."""
STAGED, STAGERS = 1 << 21, 4
"""Bytes that are copied to pinned memory at once, and the number of threads that do so."""


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


def places(arrays: Sequence[Any]) -> tuple[list[int], int]:
    """Where arrays begin in memory that holds them one after the other, and the size of this memory, bytes."""
    sizes = (-(-array.nbytes // ALIGNED) * ALIGNED for array in arrays)
    *begins, end = itertools.accumulate(sizes, initial=0)
    return begins, max(end, ALIGNED)


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(0, int(n - 1).bit_length())


@functools.cache
def _stagers() -> ThreadPoolExecutor:
    """Threads that copy arrays into pinned memory, where one thread is slower than the copy to the device."""
    return ThreadPoolExecutor(STAGERS, "ffbidx-stage")


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
        self._in_use = threading.local()
        self._streams: list[Any] = []
        self._staging: dict[int, NDArray[np.uint8]] = {}

    @property
    def device(self) -> str:
        """Number and name of the GPU."""
        return f"GPU {self.number}, {cp.cuda.runtime.getDeviceProperties(self.number)['name'].decode()}"

    @contextlib.contextmanager
    def lane(self) -> Iterator[None]:
        """A context with a stream of its own, so that copies and kernels overlap with those of other threads.

        Streams are reused, together with the memory that CuPy keeps for each stream. The shared arrays that the lane
        takes are kept until all its work is done, even if they are no longer kept for others.
        """
        with cp.cuda.Device(self.number):
            try:
                stream = self._streams.pop()
            except IndexError:
                stream = cp.cuda.Stream(non_blocking=True)
            try:
                self._in_use.arrays = []
                with stream:
                    yield
            finally:
                try:
                    stream.synchronize()
                finally:
                    self._in_use.arrays = None
                self._streams.append(stream)

    def close(self) -> None:
        """Return all unused memory to the GPU, which CuPy's pools would otherwise keep."""
        self._plans.clear()
        self._streams.clear()
        self._staging.clear()
        with cp.cuda.Device(self.number):
            cp.get_default_memory_pool().free_all_blocks()
            cp.get_default_pinned_memory_pool().free_all_blocks()

    def constant(self, array: NDArray[Any]) -> Any:
        """See `Backend.constant`."""
        # The array in host memory is kept as well, so that no other object gets its id.
        return self._cached(("constant", id(array)), lambda: (array, cp.asarray(array)))[1]

    def on_host(self, *arrays: Any) -> list[NDArray[Any]]:
        """See `Backend.on_host`."""
        stream, arrays = cp.cuda.get_current_stream(), tuple(cp.ascontiguousarray(array) for array in arrays)
        begins, size = places(arrays)
        # The pool keeps memory of each size apart, and asks the driver for that of a new size.
        memory = cp.cuda.alloc_pinned_memory(power_of_two(size))
        for begin, array in zip(begins, arrays, strict=True):
            array.data.copy_to_host_async(memory.ptr + begin, array.nbytes, stream)
        stream.synchronize()
        # The memory goes back to its pool, hence the copies.
        return [
            np.frombuffer(memory, array.dtype, array.size, begin).reshape(array.shape).copy()
            for begin, array in zip(begins, arrays, strict=True)
        ]

    def on_device(self, *arrays: NDArray[Any]) -> list[Any]:
        """See `Backend.on_device`; several threads copy large arrays to pinned memory of the lane."""
        stream, (begins, size) = cp.cuda.get_current_stream(), places(arrays)
        out, staging = cp.empty(size, cp.uint8), self._staging.get(stream.ptr)
        # An earlier copy out of the memory, which may be replaced, may be under way.
        stream.synchronize()
        if staging is None or len(staging) < size:
            room = power_of_two(size)
            staging = self._staging[stream.ptr] = np.frombuffer(cp.cuda.alloc_pinned_memory(room), np.uint8, room)
        sources = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays]

        def stage(first: int) -> tuple[int, int]:
            last = min(first + STAGED, size)
            for source, begin in zip(sources, begins, strict=True):
                part = source[max(first - begin, 0) : max(last - begin, 0)]
                staging[max(first, begin) : max(first, begin) + len(part)] = part
            return first, last - first

        firsts = range(0, size, STAGED)
        for first, n in map(stage, firsts) if len(firsts) < 2 else _stagers().map(stage, firsts):
            (out.data + first).copy_from_host_async(staging.ctypes.data + first, n, stream)
        return [
            cp.ndarray(array.shape, array.dtype, out.data + begin) for array, begin in zip(arrays, begins, strict=True)
        ]

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
                if len(self._plans) >= MOST_SHARED:
                    self._plans.clear()
                self._plans[key] = make()
                # Another lane might use the arrays before the stream of this one has filled them.
                cp.cuda.get_current_stream().synchronize()
            found = self._plans[key]
        if (in_use := getattr(self._in_use, "arrays", None)) is not None:
            # Memory of arrays that are dropped is used again at once, while kernels of this lane may still read them.
            in_use.append(found)
        return found
