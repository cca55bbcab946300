"""Examines the installation: what is there, what works, what a user should know."""

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
    """Examine the installation, one thing after another; the first time this compiles kernels.

    Parameters
    ----------
    backend
        What must work: `cuda`, `cpu`, or with `auto` whatever a run would take. Others are examined too under `auto`.
    device
        Numbers of the GPUs to examine, such as 0,1; all of them unless it or INDEXER_GPU_DEVICE names some.
    threads
        As for `get_backend`.

    Raises
    ------
    ParameterError
        When there is no such backend, or the device is no number.
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
    """The GPUs of a list such as 0,1 or of the environment; all where none is named."""
    named = device or os.environ.get("INDEXER_GPU_DEVICE") or "all"
    return range(devices.gpu_count()[0]) if named == "all" else named.split(",")


def _backends(backend: str, device: str | None, threads: int | None) -> Iterator[Finding]:
    """The self-tests, and what a run would take."""
    if backend != "cuda":
        yield selftest.hold_to_oracle("cpu", None, threads)
    if backend == "cpu":
        return
    reason = devices.why_no_cuda()
    if reason:
        yield gpu.offline_kernels()
        state = State.ABSENT if backend == "auto" else State.BROKEN
        yield Finding("backend cuda", state, reason, {"backend": "cuda"})
    else:
        for number in _named_gpus(device):
            yield selftest.hold_to_oracle("cuda", number, threads)
    if backend == "auto":
        taken = "cpu" if reason else "cuda"
        yield Finding("backend auto", State.OK, f"a run takes {taken}", {"backend": taken})
