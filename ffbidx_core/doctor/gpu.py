"""The GPUs of the machine, and the software that they need."""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Iterator
from typing import Any

from ..backends.cuda import driver as devices
from .finding import Finding, State
from .machine import GIB

OLDEST_CAPABILITY = (7, 5)
"""Oldest compute capability that the kernels support."""
OFFLINE_ARCHITECTURE = "sm_90"
"""Architecture for which kernels are compiled if there is no GPU."""


def driver() -> Finding:
    """The finding about the NVIDIA driver."""
    cuda, version = devices.driver_cuda(), devices.driver_version()
    if cuda is None:
        return Finding("NVIDIA driver", State.ABSENT, devices.gpu_count()[1], {"version": None, "cuda": None})
    newest = "{}.{}".format(*cuda)
    text = f"{version or 'version unknown'}, supports CUDA up to {newest}"
    data = {"version": version or None, "cuda": newest}
    if cuda[0] < devices.OLDEST_CUDA:
        return Finding("NVIDIA driver", State.ATTENTION, f"{text}; {devices.OLDEST_CUDA} is needed", data)
    return Finding("NVIDIA driver", State.OK, text, data)


def gpus() -> Iterator[Finding]:
    """Yield a finding for each GPU with its name, memory and compute capability; without a driver there are none."""
    found = devices.gpus()
    if not found and devices.driver_cuda() is not None:
        yield Finding("GPU", State.ABSENT, devices.gpu_count()[1])
    for gpu in found:
        capability = "{}.{}".format(*gpu.compute_capability)
        data: dict[str, Any] = {
            "number": gpu.number,
            "name": gpu.name,
            "memory": gpu.memory,
            "compute_capability": capability,
            "free_memory": None if devices.why_no_cuda() else _free_memory(gpu.number),
        }
        free = "" if data["free_memory"] is None else f" ({data['free_memory'] / GIB:.1f} free)"
        text = f"{gpu.name}, {gpu.memory / GIB:.1f} GiB{free}, compute capability {capability}"
        if gpu.compute_capability < OLDEST_CAPABILITY:
            text += "; the kernels are made for {}.{} and newer".format(*OLDEST_CAPABILITY)
            yield Finding(f"GPU {gpu.number}", State.ATTENTION, text, data)
        else:
            yield Finding(f"GPU {gpu.number}", State.OK, text, data)


def _free_memory(number: int) -> int | None:
    """The free memory of a GPU in bytes; None if CuPy cannot determine it."""
    try:
        import cupy

        return int(cupy.cuda.Device(number).mem_info[0])
    except (ImportError, RuntimeError):
        return None


def cupy() -> Finding:
    """The finding about CuPy and its CUDA version."""
    packages, cuda = devices.cupy_packages(), devices.driver_cuda()
    data: dict[str, Any] = {"packages": packages}
    text = ", ".join(f"{name} {version}" for name, version in packages.items())
    if importlib.util.find_spec("cupy") is None:
        why = devices.why_no_cuda() if devices.gpu_count()[0] else "not installed; without a GPU it is not needed"
        return Finding("CuPy", State.ABSENT, why, data)
    if len(packages) > 1:
        return Finding("CuPy", State.ATTENTION, f"{text}: they conflict with each other, uninstall all but one", data)
    wanted = re.search(r"\d+", text.partition(" ")[0])
    if wanted and cuda and int(wanted[0]) > cuda[0]:
        mend = f"uninstall it and pip install 'ffbidx[cuda{cuda[0]}]'"
        mend = mend if cuda[0] >= devices.OLDEST_CUDA else "install a newer driver"
        text += f": made for CUDA {wanted[0]}, which the driver does not support: {mend}"
        return Finding("CuPy", State.ATTENTION, text, data)
    if devices.why_no_cuda():
        return Finding("CuPy", State.OK, text, data)
    try:
        import cupy

        data["runtime"] = _version(cupy.cuda.runtime.runtimeGetVersion())
        data["nvrtc"] = "{}.{}".format(*cupy.cuda.nvrtc.getVersion())
    except (ImportError, RuntimeError) as error:
        return Finding("CuPy", State.BROKEN, f"{text}: {error}", data)
    return Finding("CuPy", State.OK, f"{text}, CUDA runtime {data['runtime']}, NVRTC {data['nvrtc']}", data)


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def offline_kernels() -> Finding:
    """The finding whether the kernels compile with NVRTC if there is no GPU."""
    from ..backends.kernels.offline import CompilerMissing, compile_kernels

    start, data = time.perf_counter(), {"architecture": OFFLINE_ARCHITECTURE}
    try:
        found = compile_kernels(OFFLINE_ARCHITECTURE)
    except CompilerMissing as error:
        return Finding("GPU kernels", State.ABSENT, "not needed without a GPU", {**data, "compiler": str(error)})
    except ValueError as error:
        return Finding("GPU kernels", State.ATTENTION, f"do not compile: {error}", data)
    seconds = time.perf_counter() - start
    text = f"{len(found)} compile for {OFFLINE_ARCHITECTURE} without a GPU, in {seconds:.1f} s"
    return Finding("GPU kernels", State.OK, text, {**data, "seconds": seconds})
