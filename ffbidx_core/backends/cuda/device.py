"""A GPU with its compiled kernels, its streams, and the arrays that stay in its memory."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, NamedTuple

import cupy as cp

# Operators of CuPy's arrays with numbers import it when they are first used, .1 s of a run, and lanes several at once.
import cupyx.scipy.special  # noqa: F401
import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..kernels.signatures import Signature, signatures
from ..memory import State, Steps
from .arrays import copy_to_host, places, power_of_two
from .recordings import SHARE_OF_MEMORY, NotOnDevice, Recordings, replay

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


@functools.cache
def _stagers() -> ThreadPoolExecutor:
    """Threads that copy arrays into pinned memory, where one thread is slower than the copy to the device."""
    return ThreadPoolExecutor(STAGERS, "ffbidx-stage")


class Lane(NamedTuple):
    """What a thread uses for a batch, and the next batch afterwards.

    Attributes
    ----------
    stream : cupy.cuda.Stream
        Stream of the kernels and copies.
    recordings : Recordings
        Steps that were recorded on the stream.
    shared : list
        Arrays for many batches that the present batch has taken.
    """

    stream: Any
    recordings: Recordings
    shared: list[Any]


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
        self._memory: int = cp.cuda.runtime.getDeviceProperties(self.number)["totalGlobalMem"]
        self._plans: dict[Any, Any] = {}
        self._plans_lock = threading.Lock()
        self._lanes: list[Lane] = []
        self._used = threading.local()
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
                lane = self._lanes.pop()
            except IndexError:
                lane = Lane(cp.cuda.Stream(non_blocking=True), Recordings(self._memory * SHARE_OF_MEMORY), [])
            try:
                self._used.lane = lane
                lane.recordings.make_room()
                with lane.stream:
                    yield
            finally:
                try:
                    lane.stream.synchronize()
                finally:
                    self._used.lane = None
                    lane.shared.clear()
                self._lanes.append(lane)

    def close(self) -> None:
        """Return all unused memory to the GPU, which CuPy's pools would otherwise keep."""
        self._plans.clear()
        self._lanes.clear()
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
        stream = cp.cuda.get_current_stream()
        copies, _memory = copy_to_host(arrays, stream)
        stream.synchronize()
        # The memory goes back to its pool.
        return [each.copy() for each in copies]

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

    def run_steps(
        self, key: Hashable, steps: Steps, state: State, *inputs: NDArray[Any]
    ) -> tuple[State, Sequence[NDArray[Any]]]:
        """See `Backend.run_steps`; steps on few frames are recorded and replayed."""
        if (lane := self._lane()) is not None:
            recording = lane.recordings.find(key, steps, state, inputs, lane.shared)
            if recording is not None:
                return replay(recording, inputs)
        state, wanted = steps(state, *(self.on_device(*inputs) if inputs else ()))
        return state, self.on_host(*wanted) if wanted else ()

    def _lane(self) -> Lane | None:
        """The lane of this thread; None outside of one."""
        return getattr(self._used, "lane", None)

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
        lane = self._lane()
        with self._plans_lock:
            if key not in self._plans:
                if lane is not None and lane.recordings.is_recording:
                    raise NotOnDevice
                while len(self._plans) >= MOST_SHARED:
                    del self._plans[next(iter(self._plans))]
                self._plans[key] = make()
                # Another lane might use the arrays before the stream of this one has filled them.
                cp.cuda.get_current_stream().synchronize()
            # The arrays that are used last are dropped last.
            found = self._plans[key] = self._plans.pop(key)
        if lane is not None:
            # Memory of arrays that are dropped is used again at once, while kernels of this lane may still read them.
            lane.shared.append(found)
        return found
