"""Distributing batches among the processes of several devices; batches of a failed device go to the others."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import pickle
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendUnavailable
from ..method.index_frames import Backend, IndexOptions
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from .worker import FaultReport, Task, arrays_in, bytes_of, serve

_log = logging.getLogger("ffbidx")
START_SECONDS = 120.0
"""Time in seconds within which a worker must start; the first compilation of kernels takes some ten seconds."""


class WorkerFault(RuntimeError):
    """The error of a worker whose device failed while it computed a batch."""


class _Worker:
    """The process of one device, seen from the process of the run."""

    def __init__(self, make_backend: Callable[[], Backend]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, make_backend), daemon=True)
        self._process.start()
        theirs.close()
        self._sending, self._numbers = threading.Lock(), itertools.count()
        self._open: dict[int, Future[BatchResult]] = {}
        self.alive = True

    def greet(self) -> None:
        """Wait until the worker has started, and get the name of its device and its number of lanes."""
        try:
            if not self._connection.poll(START_SECONDS):
                raise BackendUnavailable("a device's process did not start")
            _, greeting = self._connection.recv()
        except EOFError:
            raise BackendUnavailable("a device's process ended while it started") from None
        if isinstance(greeting, Exception):
            raise greeting
        self.name, self.device, self.lanes = greeting
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, memory: str, n_spots: int, n_frames: int, how: bytes) -> BatchResult:
        """The result of a batch; raises `WorkerFault` if the device fails."""
        future: Future[BatchResult] = Future()
        with self._sending:
            number = next(self._numbers)
            self._open[number] = future
            try:
                self._connection.send(Task(number, memory, n_spots, n_frames, how))
            except OSError:
                self._lost("its process has ended")
        return future.result()

    def _listen(self) -> None:
        reason = "its process has ended"
        while True:
            try:
                number, answer = self._connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(answer, FaultReport):
                reason = answer.reason
                break
            future = self._open.pop(number)
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._lost(reason)

    def _lost(self, reason: str) -> None:
        self.alive = False
        while self._open:
            _, future = self._open.popitem()
            future.set_exception(WorkerFault(f"{self.device} failed: {reason}"))

    def close(self) -> None:
        """End the process, which has no work."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


class _Slot:
    """One of the lanes of a worker, with the shared memory through which its batches pass."""

    def __init__(self, worker: _Worker) -> None:
        self.worker = worker
        self._memory: SharedMemory | None = None

    def index(self, spots: NDArray[Any], offsets: NDArray[np.int64], how: bytes) -> BatchResult:
        n_spots, n_frames = len(spots), len(offsets) - 1
        wanted = bytes_of(n_spots, n_frames)
        if self._memory is None or self._memory.size < wanted:
            self.close()
            self._memory = SharedMemory(create=True, size=wanted + wanted // 4)
        into = arrays_in(self._memory.buf, n_spots, n_frames)
        into[0][:], into[1][:] = spots, offsets
        # The views must be deleted before the memory can be closed.
        del into
        return self.worker.ask(self._memory.name, n_spots, n_frames, how)

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None


class DeviceWorkers:
    """Several devices that act as one, for `lanes.in_lanes`.

    Parameters
    ----------
    makers
        For each device, a function that makes its backend in the process of the device; it must be picklable.

    Raises
    ------
    BackendUnavailable
        If a device cannot be used.
    """

    def __init__(self, makers: Sequence[Callable[[], Backend]]) -> None:
        self._workers = [_Worker(make) for make in makers]
        self._slots: list[_Slot] = []
        self._free: queue.Queue[_Slot | None] = queue.Queue()
        try:
            for worker in self._workers:
                worker.greet()
        except BaseException:
            self.close()
            raise
        for lane in range(max(worker.lanes for worker in self._workers)):
            for worker in self._workers:
                if lane < worker.lanes:
                    self._slots.append(_Slot(worker))
                    self._free.put(self._slots[-1])

    @property
    def name(self) -> str:
        """The name of the workers' backend."""
        return str(self._workers[0].name)

    @property
    def lanes(self) -> int:
        """The number of batches in progress at once."""
        return len(self._slots)

    @property
    def device(self) -> str:
        """The names of all devices."""
        return "; ".join(worker.device for worker in self._workers)

    def index_frames(
        self,
        spots: NDArray[Any],
        offsets: NDArray[np.int64],
        plan: SearchPlan,
        p: Parameters,
        **keywords: Unpack[IndexOptions],
    ) -> BatchResult:
        """Index frames on the next free device, or on another one if that device fails.

        Raises
        ------
        BackendUnavailable
            If every device has failed.
        """
        how = pickle.dumps((plan, p, keywords))
        while True:
            slot = self._free.get()
            if slot is None:
                # The message is passed on to every thread that waits.
                self._free.put(None)
                raise BackendUnavailable("every device has failed: see the warnings above")
            if not slot.worker.alive:
                self._end_if_none_is_left()
                continue
            try:
                result = slot.index(spots, offsets, how)
            except WorkerFault as fault:
                _log.warning("%s; its frames are tried again on the other devices", fault)
                self._end_if_none_is_left()
                continue
            except BaseException:
                self._free.put(slot)
                raise
            self._free.put(slot)
            return result

    def _end_if_none_is_left(self) -> None:
        if not any(worker.alive for worker in self._workers):
            self._free.put(None)

    def close(self) -> None:
        """End all processes, and free the shared memory."""
        for slot in self._slots:
            slot.close()
        for worker in self._workers:
            worker.close()
