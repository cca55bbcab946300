"""Steps on few frames as CUDA graphs: the kernels that the host would launch one by one start in a single launch.

A call on few frames takes longer to launch than to compute. Frames are therefore padded to a few sizes (`padded`), for
which the same kernels run with the same arguments in every call, and `Recordings` captures them in a graph.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import cupy as cp
import numpy as np
from numpy.typing import NDArray

from ...model.records.batch import SpotBatch
from ..memory import State, Steps
from .arrays import copy_to_host, places, power_of_two, view

_log = logging.getLogger("ffbidx")

MOST_FRAMES = 64
"""Number of frames up to which a batch is padded; a larger one takes longer to compute than to launch."""
FEWEST_SPOTS = 256
"""Smallest number of spots to which a frame is padded for its sorting."""
MOST_KEYS = 512
"""Number of different steps above which a lane forgets its recordings: their plans may never be used again."""
SHARE_OF_MEMORY = 1 / 32
"""Share of the GPU's memory above which a lane forgets its recordings, each of which keeps some megabytes."""


def padded(spots: NDArray[np.float32], offsets: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A small batch with at least one further frame, which has no spots, and with rows behind its spots.

    The numbers of frames and of spots are powers of two, so that few sizes occur.
    """
    n_frames = power_of_two(len(offsets))
    rows = np.zeros((power_of_two(max(len(spots), FEWEST_SPOTS // 2 * n_frames)), 3), np.float32)
    rows[: len(spots)] = spots
    every = np.full(n_frames + 1, len(spots), np.int64)
    every[: len(offsets)] = offsets
    return rows, every


def chosen_few(frames: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """See `Backend.chosen_few`; the number of frames is then a power of two."""
    empty = np.flatnonzero(counts == 0)
    if len(empty) == 0 or len(frames) > MOST_FRAMES:
        return frames
    chosen = np.full(power_of_two(len(frames) + 1), empty[-1])
    chosen[: len(frames)] = frames
    return chosen


class NotOnDevice(Exception):
    """Steps that are recorded need an array of the host that has to be copied first."""


class Recording(NamedTuple):
    """A graph with the memory that it uses.

    Attributes
    ----------
    graph : cupy.cuda.Graph
        The kernels and copies.
    staged : list of ndarray
        Pinned memory from which the graph copies its inputs.
    state : tuple
        State after the steps, in arrays that each replay writes anew.
    results : list of ndarray
        Pinned memory to which the graph copies what the host needs.
    kept : tuple
        Everything else that must not be freed.
    n_bytes : int
        Memory of the GPU that is kept, bytes.
    """

    graph: Any
    staged: list[NDArray[Any]]
    state: State
    results: list[NDArray[Any]]
    kept: tuple[Any, ...]
    n_bytes: int


class Recordings:
    """The recordings of a lane, which are replayed on its stream.

    Steps are recorded if they start from inputs alone or from arrays of other recordings, which stay where they are,
    and if they have run before, so that their kernels are loaded and their constants on the device.

    Parameters
    ----------
    most_bytes
        Memory of the GPU above which recordings are forgotten, bytes.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes = most_bytes
        self.is_recording = False
        self._forget()

    def _forget(self) -> None:
        self._made: dict[tuple[Hashable, ...], Recording] = {}
        self._arrays: set[int] = set()
        self._run_before: set[Hashable] = set()
        self._cannot: set[Hashable] = set()
        self._n_bytes = 0

    def make_room(self) -> None:
        """Forget all recordings if there are too many, while none of them runs."""
        if self._n_bytes > self._most_bytes or len(self._run_before) > MOST_KEYS:
            self._forget()

    def find(
        self, key: Hashable, steps: Steps, state: State, inputs: Sequence[NDArray[Any]], shared: list[Any]
    ) -> Recording | None:
        """The recording of steps from a state, which is made if need be; None if the steps are not recorded.

        Parameters
        ----------
        shared
            Arrays of the device that were used so far; those that the steps use are added to it.
        """
        identity = _identity(state)
        if not self._arrays.issuperset(identity):
            return None
        place = (key, identity, *((array.shape, array.dtype.str) for array in inputs))
        found = self._made.get(place)
        if found is not None:
            return found
        if key not in self._run_before or key in self._cannot:
            self._run_before.add(key)
            return None
        self.is_recording = True
        try:
            recording = self._made[place] = _recorded(steps, state, inputs, shared)
        except NotOnDevice:
            return None
        except (RuntimeError, MemoryError) as error:
            # Steps that wait for the device, as some of CuPy's functions do, cannot be captured.
            _log.debug("%s is not recorded: %s", key, error)
            self._cannot.add(key)
            return None
        finally:
            self.is_recording = False
        self._arrays.update(_identity(recording.state))
        self._n_bytes += recording.n_bytes
        return recording


def replay(recording: Recording, inputs: Sequence[NDArray[Any]]) -> tuple[State, list[NDArray[Any]]]:
    """The state and the results, copied, of recorded steps for some inputs."""
    stream = cp.cuda.get_current_stream()
    if inputs:
        # An earlier replay may still copy from the pinned memory.
        stream.synchronize()
        for place, array in zip(recording.staged, inputs, strict=True):
            place[...] = array
    recording.graph.launch(stream)
    if recording.results:
        stream.synchronize()
    return _fresh(recording.state), [result.copy() for result in recording.results]


def _recorded(steps: Steps, state: State, inputs: Sequence[NDArray[Any]], shared: list[Any]) -> Recording:
    """Capture steps in a graph; its arrays have a memory pool of their own, and are used by no other work."""
    stream, pool, copy = cp.cuda.get_current_stream(), cp.cuda.MemoryPool(), cp.cuda.runtime.memcpyAsync
    begins, size = places(inputs)
    pinned = cp.cuda.alloc_pinned_memory(size)
    with cp.cuda.using_allocator(pool.malloc):
        memory = cp.empty(size, cp.uint8)
        arrays = [cp.ndarray(a.shape, a.dtype, memory.data + begin) for a, begin in zip(inputs, begins, strict=True)]
        stream.begin_capture()
        try:
            if inputs:
                copy(memory.data.ptr, pinned.ptr, size, cp.cuda.runtime.memcpyHostToDevice, stream.ptr)
            # What a batch keeps of its arrays must not come from work that is only recorded.
            after, wanted = steps(_fresh(state), *arrays)
            results, held = copy_to_host(wanted, stream) if wanted else ([], None)
        finally:
            graph = stream.end_capture()
    staged = [view(pinned, array, begin) for array, begin in zip(inputs, begins, strict=True)]
    kept = pool, memory, steps, state, wanted, held, tuple(shared)
    return Recording(graph, staged, after, results, kept, pool.total_bytes())


def _fresh(state: State) -> State:
    """A state with batches of its own, because a batch keeps what is computed from its arrays, which now changes."""
    return tuple(SpotBatch(each.xyz, each.offsets, cp) if isinstance(each, SpotBatch) else each for each in state)


def _identity(state: State) -> tuple[int, ...]:
    """Numbers by which the arrays of a state are known again, which are distinct as long as a recording keeps them."""
    found: list[int] = []
    for each in state:
        if isinstance(each, SpotBatch):
            found += id(each.xyz), id(each.offsets)
        else:
            found += map(id, each) if isinstance(each, tuple) else (id(each),)
    return tuple(found)
