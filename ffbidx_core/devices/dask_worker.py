"""The program of a worker of a dask cluster, which does one task at a time on its own device."""

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
from ..version import VERSION
from .devices import Devices, open_devices
from .worker import FAULT_STATUS, is_fault

_one_at_a_time = threading.Lock()
"""The lock of a worker process: its threads and the tasks of several runs share device, memory and directory."""


@dataclass(frozen=True)
class Where:
    """The settings with which a worker computes.

    Attributes
    ----------
    backend, device, threads
        Arguments of `open_devices`; by default there are as many threads as dask gives the worker.
    gpus : tuple of int
        The GPU of each worker of a local cluster, whose names are numbers from 0; empty: `device` is used.
    folder
        Directory to which the names of files are relative.
    name
        Name of the backend of the other workers; empty if it is not known yet.
    """

    backend: str
    device: str | None
    threads: int | None
    gpus: tuple[int, ...]
    folder: str
    name: str = ""


def work(version: str, task: bytes) -> Any:
    """Do a task, given as pickled (where, function, arguments), and return function(devices, *arguments).

    If the device fails, the process ends, as it does when it is killed; dask then gives the task to another worker.

    Raises
    ------
    BackendUnavailable
        If this worker has another version or backend than the others.
    InputError
        If the directory of the run does not exist here.
    """
    if version != VERSION:
        raise BackendUnavailable(f"{_me()} has ffbidx {VERSION}, this is {version}: install the same on all workers")
    where, function, arguments = pickle.loads(task)
    with _one_at_a_time, _in_folder(where.folder):
        devices = _devices(where.backend, *_device_and_threads(where))
        if where.name not in ("", devices.name):
            raise BackendUnavailable(
                f"{_me()} computes on {devices.name}, others on {where.name}: choose one with --backend"
            )
        try:
            return function(devices, *arguments)
        except Exception as error:
            if is_fault(error):
                # After such an error no result of the device can be trusted.
                print(f"ffbidx: {devices.device} failed: {error}", file=sys.stderr, flush=True)
                os._exit(FAULT_STATUS)
            raise


def describe(devices: Devices) -> tuple[str, str]:
    """The names of the backend and of the device of a worker."""
    return devices.name, devices.device


def index_frames(devices: Devices, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Index frames on the devices of this worker; see `method.index_frames`."""
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
