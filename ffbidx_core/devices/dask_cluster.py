"""The workers of a dask cluster, which are the devices of a run and also take tasks of any kind."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendUnavailable, ParameterError, UsageError
from ..method.index_frames import IndexOptions, device_numbers, why_no_cuda
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from ..version import VERSION
from . import dask_worker
from .dask_connect import connected, n_local_workers
from .dask_task import Task
from .dask_worker import Where
from .devices import PATIENCE

_log = logging.getLogger("ffbidx")
PATIENT_SECONDS = 3.0
"""Time in seconds that a run waits for a first worker before it shows a message."""
WORKER_SECONDS = 300.0
"""Time in seconds that a run waits for a first worker, or for another one after the last has gone."""


def open_cluster(
    address: str,
    *,
    backend: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    stop: threading.Event | None = None,
) -> Cluster:
    """Open the workers of a scheduler, or start new ones on this machine.

    Parameters
    ----------
    address
        Address of a scheduler, or a file written by `dask scheduler --scheduler-file`; `local:N` starts N workers.
    backend, device, threads
        Arguments of `open_devices` for each worker. Several GPUs are for the workers of `local:N`, one for each.
    stop
        Event that ends the wait for workers once it is set.

    Raises
    ------
    BackendUnavailable
        If dask is not installed, no scheduler or worker answers, or a worker cannot compute or has another version.
    UsageError, ParameterError
        If `address` or `device` cannot be used.
    """
    n_local = n_local_workers(address)
    if not n_local and device is not None and (device == "all" or "," in device):
        raise ParameterError("device", device, "one GPU with --dask ADDRESS: start a worker for each")
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(f"--dask needs dask.distributed ({error}): pip install 'ffbidx[dask]'") from None
    _silence()
    where = Where(backend, device, threads, (), os.getcwd())
    if n_local:
        gpus, share = _gpus(backend, device, n_local), _share_of_cores(n_local)
        where = replace(where, gpus=gpus, threads=threads or share)
    cluster = Cluster(where, address, stop or threading.Event())
    try:
        cluster.greet(connected(cluster.closing, address, n_local), check_versions=not n_local)
    except Exception as error:
        cluster.close()
        # The signal that stopped the run may also have stopped the workers.
        if not (isinstance(error, BackendUnavailable) and cluster.stop.is_set()):
            raise
    return cluster


def _gpus(backend: str, device: str | None, n_workers: int) -> tuple[int, ...]:
    """The number of the GPU of each worker; empty if the CPU computes."""
    if backend in ("cpu", "reference") or (backend == "auto" and device is None and why_no_cuda()):
        return ()
    numbers = device_numbers(device) or device_numbers("all")
    if n_workers > len(numbers):
        wanted = f"take local:{len(numbers)}, or --backend cpu"
        raise UsageError(
            f"--dask local:{n_workers}: each worker needs its own GPU, and there are {len(numbers)}: {wanted}"
        )
    return tuple(numbers[:n_workers])


def _share_of_cores(n_workers: int) -> int:
    from dask.system import CPU_COUNT

    return max(1, int(CPU_COUNT) // n_workers)


def _silence() -> None:
    """Silence the log of dask, because this program reports errors itself."""
    for name in ("distributed", "distributed.client", "distributed.gc"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class Cluster:
    """The workers of a dask cluster, opened by `open_cluster`; as a context manager it releases them, or ends its own.

    Attributes
    ----------
    name : str
        Name of the backend of the workers; empty if the run was stopped before it was known.
    where : Where
        The settings with which the workers compute.
    stop : threading.Event
        Event that is set when the run is to stop.
    closing : ExitStack
        Stack that ends the client, and the workers that were started for this run.
    """

    lanes = 1

    def __init__(self, where: Where, address: str, stop: threading.Event) -> None:
        self.where, self._address, self.stop = where, address, stop
        self._client: Any = None
        self._devices: set[str] = set()
        self._n_workers, self._looked, self._alone_since = 0, float("-inf"), time.monotonic()
        self.name = ""
        self.closing = contextlib.ExitStack()

    def greet(self, client: Any, *, check_versions: bool) -> None:
        """Wait for the first worker and ask for its backend; the name stays empty if the run is stopped before."""
        self._client = client
        is_told = False
        while self.n_workers == 0:
            if not is_told and time.monotonic() - self._alone_since > PATIENT_SECONDS:
                _log.warning("--dask %s: no worker yet, waiting for one", self._address)
                is_told = True
            if self.stop.wait(PATIENCE):
                return
        if check_versions:
            self._check_versions()
        self.name, device = self.wait_for(self.submit("the first task", dask_worker.describe))
        self.seen(device)
        self.where = replace(self.where, name=self.name)

    def _check_versions(self) -> None:
        # The version is read with the standard library, because a worker may have no ffbidx.
        found = self._client.run(importlib.metadata.version, "ffbidx", on_error="return")
        for worker, version in found.items():
            if isinstance(version, importlib.metadata.PackageNotFoundError):
                raise BackendUnavailable(f"the worker {worker} has no ffbidx: install ffbidx {VERSION} there")
            if isinstance(version, str) and version != VERSION:
                raise BackendUnavailable(
                    f"the worker {worker} has ffbidx {version}, this is {VERSION}: install the same on all workers"
                )

    @property
    def device(self) -> str:
        """The names of the workers' devices, each kind once."""
        return "; ".join(sorted(self._devices))

    def seen(self, device: str) -> None:
        """Note the name of a worker's device."""
        self._devices.add(device)

    @property
    def n_at_once(self) -> int:
        """The number of tasks that are done at once, which is at least 1."""
        return max(1, self.n_workers)

    @property
    def n_workers(self) -> int:
        """The number of workers, updated once a second.

        Raises
        ------
        BackendUnavailable
            If there was no worker for `WORKER_SECONDS`.
        """
        now = time.monotonic()
        if now - self._looked >= 1:
            try:
                self._n_workers = len(self._client.nthreads())
            except Exception as error:
                raise BackendUnavailable(f"--dask {self._address}: the scheduler is gone: {error}") from None
            self._looked = now
        if self._n_workers:
            self._alone_since = now
        elif now - self._alone_since > WORKER_SECONDS:
            raise BackendUnavailable(f"--dask {self._address}: no worker for {WORKER_SECONDS:g} s: start some")
        return self._n_workers

    def warm_up(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Do nothing, because workers come and go."""

    def submit(self, what: str, function: Callable[..., Any], *arguments: Any) -> Task:
        """Make a worker compute function(devices, *arguments); see `Workers.submit`."""
        task = pickle.dumps((self.where, function, arguments))
        return Task(self._client.submit(dask_worker.work, VERSION, task, pure=False), what)

    def wait_for(self, task: Task) -> Any:
        """The result of a task.

        Raises
        ------
        BackendUnavailable
            If there was no worker for `WORKER_SECONDS`, or there is none after the run was stopped.
        """
        while not task.wait(PATIENCE):
            if self.n_workers == 0 and self.stop.is_set():
                raise BackendUnavailable(f"--dask {self._address}: the run was stopped, and no worker is left")
        return task.result()

    def index_frames(
        self,
        spots: NDArray[Any],
        offsets: NDArray[np.int64],
        plan: SearchPlan,
        p: Parameters,
        **keywords: Unpack[IndexOptions],
    ) -> BatchResult:
        """Index frames on one of the workers; see `method.index_frames`."""
        arguments = (spots, offsets, plan, p)
        result: BatchResult = self.wait_for(
            self.submit(f"{len(offsets) - 1} frames to learn from", dask_worker.index_frames, arguments, keywords)
        )
        return result

    def release(self) -> None:
        """Do nothing, because other runs may use the workers."""

    def close(self) -> None:
        """Release the workers, and end those that were started for this run."""
        self.closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # An immediate exit does not wait; local workers end with this process.
        if kind is None or issubclass(kind, Exception):
            self.close()
