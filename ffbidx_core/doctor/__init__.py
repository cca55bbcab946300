"""The examination of the installation: what is installed, what works, and what a user should know."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..backends.cuda import driver as devices
from ..errors import ParameterError
from ..method.index_frames import BACKENDS
from . import gpu, machine, selftest
from .finding import Finding, State

__all__ = ["Finding", "State", "examine"]


def examine(backend: str = "auto", device: str | None = None, threads: int | None = None) -> Iterator[Finding]:
    """Examine the installation, one item after another; the first examination compiles kernels.

    Parameters
    ----------
    backend
        Backend that must work: `cuda`, `cpu`, or with `auto` the one of a run; `auto` also examines the others.
    device
        Numbers of the GPUs to examine, such as 0,1; by default those of INDEXER_GPU_DEVICE, or all GPUs.
    threads
        Number of threads, as for `get_backend`.

    Raises
    ------
    ParameterError
        If there is no such backend, or the device is not a number.
    """
    if backend not in BACKENDS:
        raise ParameterError("backend", backend, "one of " + ", ".join(BACKENDS))
    for thing in (
        machine.program,
        machine.module,
        machine.numba,
        machine.threads,
        machine.hdf5,
        machine.plugins,
        machine.space,
        gpu.driver,
    ):
        yield thing()
    yield from gpu.gpus()
    yield gpu.cupy()
    yield from _backends(backend, device, threads)


def _named_gpus(device: str | None) -> Sequence[str | int]:
    """The GPUs in a list such as 0,1 or in the environment; all GPUs if none is named."""
    named = device or os.environ.get("INDEXER_GPU_DEVICE") or "all"
    return range(devices.gpu_count()[0]) if named == "all" else named.split(",")


def _backends(backend: str, device: str | None, threads: int | None) -> Iterator[Finding]:
    """Yield the self-tests of the backends, and the backend that a run would take."""
    if backend != "cuda":
        yield selftest.hold_to_oracle("cpu", None, threads)
    if backend == "cpu":
        return
    reason = devices.why_no_cuda()
    if reason:
        yield gpu.offline_kernels()
        state = State.ABSENT if backend == "auto" else State.BROKEN
        # The finding on the driver has said it.
        is_said = backend == "auto" and devices.driver_cuda() is None
        yield Finding("backend cuda", state, "see NVIDIA driver" if is_said else reason, {"backend": "cuda"})
    else:
        for number in _named_gpus(device):
            yield selftest.hold_to_oracle("cuda", number, threads)
    if backend == "auto":
        taken = "cpu" if reason else "cuda"
        yield Finding("backend auto", State.OK, f"a run takes {taken}", {"backend": taken})
