"""What GPUs there are, found without importing CuPy."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys

from ..errors import BackendUnavailable, ParameterError


@functools.cache
def gpu_count() -> tuple[int, str]:
    """Number of GPUs that the driver shows, and why there is none."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0, f"no NVIDIA driver on this machine ({library} is not there)"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0, "the NVIDIA driver finds no GPU"
    return count.value, "" if count.value else "the NVIDIA driver finds no GPU"


def has_cupy() -> bool:
    """Whether CuPy is installed; it is not imported."""
    return importlib.util.find_spec("cupy") is not None


def why_no_cuda() -> str:
    """Why the GPU backend cannot be used, and what to do; empty where it can."""
    count, reason = gpu_count()
    if count == 0:
        return reason
    if not has_cupy():
        return "CuPy is not installed: pip install 'ffbidx[cuda13]' (or [cuda12] for an older driver)"
    return ""


def device_number(device: str | int | None) -> int | None:
    """A GPU's number from what a user gave, else from `INDEXER_GPU_DEVICE`; None for the current one.

    Raises
    ------
    BackendUnavailable
        When there is no such GPU.
    ParameterError
        When it is not a number.
    """
    given = os.environ.get("INDEXER_GPU_DEVICE") if device is None else device
    if given is None or given == "":
        return None
    try:
        number = int(given)
    except ValueError:
        raise ParameterError("device", given, "the number of a GPU") from None
    count, _ = gpu_count()
    if not 0 <= number < count:
        raise BackendUnavailable(f"there is no GPU {number}: this machine has {count}, numbered from 0")
    return number
