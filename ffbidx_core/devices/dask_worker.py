"""A worker of a dask cluster does one task at a time, on its own device."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import BackendUnavailable, InputError
from ..read.files.probe import Prober, probing
from ..version import VERSION
from .devices import Devices, open_devices
from .worker import FAULT_STATUS, is_fault

_one_at_a_time = threading.Lock()
"""A worker may have several threads, and tasks of several runs; device, memory and directory are the process's."""


@dataclass(frozen=True)
class Where:
    """How a worker is to compute.

    Attributes
    ----------
    backend, device, threads
        As `open_devices` takes them. Without `threads`: as many as dask gives the worker.
    gpus : tuple of int
        The GPU of each worker of a local cluster, whose names are numbers from 0; empty: `device`.
    folder
        Directory that the names of files are relative to.
    open_timeout
        Seconds that a file may take to open; None: for ever.
    name
        The backend of the other workers; empty: not known yet.
    """

    backend: str
    device: str | None
    threads: int | None
    gpus: tuple[int, ...]
    folder: str
    open_timeout: float | None
    name: str = ""


def work(version: str, task: bytes) -> Any:
    """Do a task: pickled (where, function, arguments), of which the result is function(devices, *arguments).

    A device that fails ends its process, as does what kills it: dask then gives the task to another worker.

    Raises
    ------
    BackendUnavailable
        When this worker has another version or backend than the others.
    InputError
        When the directory of the run is not here.
    """
    if version != VERSION:
        raise BackendUnavailable(f"{_me()} has ffbidx {VERSION}, this is {version}: install the same on all workers")
    where, function, arguments = pickle.loads(task)
    prober = Prober(where.open_timeout) if where.open_timeout else None
    with _one_at_a_time, _in_folder(where.folder), probing(prober):
        devices = _devices(where.backend, *_device_and_threads(where))
        if where.name not in ("", devices.name):
            raise BackendUnavailable(
                f"{_me()} computes on {devices.name}, others on {where.name}: choose one with --backend"
            )
        try:
            return function(devices, *arguments)
        except Exception as error:
            if is_fault(error):
                # After such an error nothing that the device says can be trusted.
                print(f"ffbidx: {devices.device} failed: {error}", file=sys.stderr, flush=True)
                os._exit(FAULT_STATUS)
            raise


def describe(devices: Devices) -> tuple[str, str]:
    """Name of the backend of a worker, and its device in words."""
    return devices.name, devices.device


def index_frames(devices: Devices, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Index frames on the devices of this worker, see `method.index_frames`."""
    return devices.index_frames(*arguments, **keywords)


@contextlib.contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    before = os.getcwd()
    try:
        os.chdir(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(folder, f"{reason} on {_me()}: workers must see all files under the same names") from None
    try:
        yield
    finally:
        os.chdir(before)


@functools.lru_cache(maxsize=1)
def _devices(backend: str, device: str | None, threads: int | None) -> Devices:
    return open_devices(backend, device, threads)


def _device_and_threads(where: Where) -> tuple[str | None, int | None]:
    worker = _worker()
    if where.gpus:
        return str(where.gpus[int(worker.name) % len(where.gpus)]), where.threads
    return where.device, where.threads or worker.state.nthreads


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


def _me() -> str:
    return f"the worker {_worker().address}"
