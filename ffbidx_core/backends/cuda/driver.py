"""What GPUs there are, found without importing CuPy."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
from typing import Any, NamedTuple

from ...errors import BackendUnavailable, ParameterError

DRIVER, MANAGEMENT = ("nvcuda.dll", "nvml.dll") if sys.platform == "win32" else ("libcuda.so.1", "libnvidia-ml.so.1")
"""The driver's libraries: of computing, and of what is known of itself."""
NO_DEVICE = 100
"""What cuInit says where the driver shows no GPU."""
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""Attributes of a device in the driver's counting."""
OLDEST_CUDA = 12
"""Oldest version that there is a CuPy for."""


class Gpu(NamedTuple):
    """A GPU as the driver describes it.

    Attributes
    ----------
    number : int
    name : str
    memory : int
        Bytes in all.
    compute_capability : (2,) int
    """

    number: int
    name: str
    memory: int
    compute_capability: tuple[int, int]


@functools.cache
def _driver() -> tuple[Any, str]:
    """The driver's library, ready for use, or None and why not."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None, f"no NVIDIA driver on this machine ({DRIVER} is not there)"
    status = driver.cuInit(0)
    if status not in (0, NO_DEVICE):
        return None, f"the NVIDIA driver does not start: cuInit gives {_error_name(driver, status)}"
    return driver, ""


def _error_name(driver: Any, status: int) -> str:
    name = ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(name))
    return name.value.decode() if name.value else f"error {status}"


@functools.cache
def gpu_count() -> tuple[int, str]:
    """Number of GPUs that the driver shows, and why there is none."""
    driver, reason = _driver()
    if driver is None:
        return 0, reason
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value:
        return count.value, ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return 0, "the NVIDIA driver shows no GPU" + ("" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})")


def gpus() -> list[Gpu]:
    """The GPUs that the driver shows, in its order."""
    driver, _ = _driver()
    return [_gpu(driver, number) for number in range(gpu_count()[0])]


def _gpu(driver: Any, number: int) -> Gpu:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(device), number)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = ctypes.c_int(), ctypes.c_int()
    for value, attribute in zip(capability, (CAPABILITY_MAJOR, CAPABILITY_MINOR), strict=True):
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return Gpu(number, name.value.decode(), memory.value, (capability[0].value, capability[1].value))


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the driver can do; None without a driver."""
    driver, _ = _driver()
    version = ctypes.c_int(0)
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def driver_version() -> str:
    """The driver's own version, such as 580.95.05; empty where it does not say."""
    try:
        management = ctypes.CDLL(MANAGEMENT)
    except OSError:
        return ""
    version = ctypes.create_string_buffer(96)
    if management.nvmlInit_v2() != 0:
        return ""
    try:
        return version.value.decode() if management.nvmlSystemGetDriverVersion(version, len(version)) == 0 else ""
    finally:
        management.nvmlShutdown()


def has_cupy() -> bool:
    """Whether CuPy is installed; it is not imported."""
    return importlib.util.find_spec("cupy") is not None


def cupy_packages() -> dict[str, str]:
    """Installed packages of CuPy with their versions; more than one disturb each other."""
    names = (d.metadata["Name"] for d in importlib.metadata.distributions())
    found = {name for name in names if name and re.fullmatch(r"cupy(-cuda\d+x?)?", name.lower())}
    return {name: importlib.metadata.version(name) for name in sorted(found)}


def why_no_cuda() -> str:
    """Why the GPU backend cannot be used, and what to do; empty where it can."""
    count, reason = gpu_count()
    if count == 0:
        return reason
    cuda = driver_cuda() or (0, 0)
    if cuda[0] < OLDEST_CUDA:
        return f"the NVIDIA driver does CUDA {cuda[0]}.{cuda[1]} only: install one that does {OLDEST_CUDA} or newer"
    if not has_cupy():
        return f"CuPy is not installed: pip install 'ffbidx[cuda{min(cuda[0], 13)}]'"
    return ""


def device_numbers(device: str | int | None) -> list[int]:
    """The GPUs that a user names: `all`, or numbers with commas between them; empty where none is named.

    Raises
    ------
    BackendUnavailable, ParameterError
        As `device_number`; also when a GPU is named twice, or `all` and there is none.
    """
    given = os.environ.get("INDEXER_GPU_DEVICE") if device is None else device
    if given == "all":
        if count := gpu_count()[0]:
            return list(range(count))
        raise BackendUnavailable(f"no GPU backend: {why_no_cuda()}")
    parts = "" if given is None else str(given)
    numbers = [device_number(part.strip()) for part in parts.split(",")]
    named = [number for number in numbers if number is not None]
    if len(set(named)) < len(named):
        raise ParameterError("device", given, "each GPU once")
    return named


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
    count, reason = gpu_count()
    if not 0 <= number < count:
        there = reason or f"this machine has {count}, numbered from 0"
        raise BackendUnavailable(f"there is no GPU {number}: {there}")
    return number
