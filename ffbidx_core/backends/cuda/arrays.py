"""Arrays as kernels take them, and their copies between the memories of the host and of a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import cupy as cp
import numpy as np
from numpy.typing import NDArray

from ...model.records.batch import SpotBatch

ALIGNED = 256
"""Bytes to a multiple of which arrays begin that are copied together, as the memory of an array of its own does."""


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


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(0, int(n - 1).bit_length())


def places(arrays: Sequence[Any]) -> tuple[list[int], int]:
    """Where arrays begin in memory that holds them one after the other, and the size of this memory, bytes."""
    sizes = (-(-array.nbytes // ALIGNED) * ALIGNED for array in arrays)
    *begins, end = itertools.accumulate(sizes, initial=0)
    return begins, max(end, ALIGNED)


def copy_to_host(arrays: Sequence[Any], stream: Any) -> tuple[list[NDArray[Any]], Any]:
    """Copy arrays of a GPU to pinned memory, in the order of a stream.

    Returns
    -------
    copies : list of ndarray
        Views of the pinned memory, which have their values when the stream has come so far.
    kept : tuple
        The pinned memory, and arrays from which is copied; to be kept until then.
    """
    arrays = tuple(cp.ascontiguousarray(array) for array in arrays)
    begins, size = places(arrays)
    # The pool keeps memory of each size apart, and asks the driver for that of a new size.
    memory = cp.cuda.alloc_pinned_memory(power_of_two(size))
    for begin, array in zip(begins, arrays, strict=True):
        if array.nbytes:
            # CuPy's own methods refuse to copy while a stream is captured.
            cp.cuda.runtime.memcpyAsync(
                memory.ptr + begin, array.data.ptr, array.nbytes, cp.cuda.runtime.memcpyDeviceToHost, stream.ptr
            )
    return [view(memory, array, begin) for begin, array in zip(begins, arrays, strict=True)], (memory, arrays)


def view(memory: Any, array: Any, begin: int) -> NDArray[Any]:
    """The part of pinned memory that has the size, type and shape of an array."""
    return np.frombuffer(memory, array.dtype, array.size, begin).reshape(array.shape)
