"""The GPUs of this machine, found through the NVIDIA driver without importing CuPy."""

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
"""Libraries of the driver, for computing and for management (NVML)."""
NO_DEVICE = 100
"""Status of cuInit if the driver shows no GPU (CUDA_ERROR_NO_DEVICE)."""
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""Numbers of the device attributes that give the compute capability."""
OLDEST_CUDA = 12
"""Oldest major version of CUDA for which there is a CuPy package."""


class Gpu(NamedTuple):
    """A GPU as the driver describes it.

    Attributes
    ----------
    number : int
        Number of the GPU, counted from 0.
    name : str
        Name of the model.
    memory : int
        Total memory, bytes.
    compute_capability : (2,) int
        Major and minor compute capability.
    """

    number: int
    name: str
    memory: int
    compute_capability: tuple[int, int]


@functools.cache
def _driver() -> tuple[Any, str]:
    """The initialised library of the driver and an empty text, or None and the reason why there is none."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None, f"no NVIDIA driver on this machine ({DRIVER} is not there)"
    status = driver.cuInit(0)
    if status not in (0, NO_DEVICE):
        return None, f"the NVIDIA driver does not start: cuInit gives {_error_name(driver, status)}"
    return driver, ""


def _error_name(driver: Any, status: int) -> str:
    """Name of a status of the driver."""
    name = ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(name))
    return name.value.decode() if name.value else f"error {status}"


@functools.cache
def gpu_count() -> tuple[int, str]:
    """Number of GPUs that the driver shows, and the reason if there is none."""
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
    """The description of the GPU with a number."""
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(device), number)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = ctypes.c_int(), ctypes.c_int()
    for value, attribute in zip(capability, (CAPABILITY_MAJOR, CAPABILITY_MINOR), strict=True):
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return Gpu(number, name.value.decode(), memory.value, (capability[0].value, capability[1].value))


def make_context(number: int) -> None:
    """Make the context of a GPU in which CuPy will compute, which takes .1 s or .2 s; CuPy will meet its errors."""
    driver, _ = _driver()
    device, context = ctypes.c_int(), ctypes.c_void_p()
    if driver is not None and driver.cuDeviceGet(ctypes.byref(device), number) == 0:
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)


def driver_cuda() -> tuple[int, int] | None:
    """The newest version of CUDA that the driver supports, major and minor; None without a driver."""
    driver, _ = _driver()
    version = ctypes.c_int(0)
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def driver_version() -> str:
    """Version of the driver, such as 580.95.05; empty if it is not known."""
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
    """Versions of the installed CuPy packages by name; more than one package conflict with each other."""
    names = (d.metadata["Name"] for d in importlib.metadata.distributions())
    found = {name for name in names if name and re.fullmatch(r"cupy(-cuda\d+x?)?", name.lower())}
    return {name: importlib.metadata.version(name) for name in sorted(found)}


def why_no_cuda() -> str:
    """The reason why the GPU backend cannot be used, with its remedy; empty if it can be used."""
    count, reason = gpu_count()
    if count == 0:
        return reason
    cuda = driver_cuda() or (0, 0)
    if cuda[0] < OLDEST_CUDA:
        return f"the NVIDIA driver supports only CUDA {cuda[0]}.{cuda[1]}: install one for {OLDEST_CUDA} or newer"
    if not has_cupy():
        return f"CuPy is not installed: pip install 'ffbidx[cuda{min(cuda[0], 13)}]'"
    return ""


def device_numbers(device: str | int | None) -> list[int]:
    """Numbers of the GPUs that a user names, as `all` or as numbers separated by commas; empty if none is named.

    Raises
    ------
    BackendUnavailable
        If there is no GPU of a given number, or `all` is given and there is no GPU.
    ParameterError
        If a part is not a number, or a GPU is named twice.
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
    """Number of the GPU that a user names, else of the one in `INDEXER_GPU_DEVICE`; None for the current one.

    Raises
    ------
    BackendUnavailable
        If there is no GPU with this number.
    ParameterError
        If the text is not a number.
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
