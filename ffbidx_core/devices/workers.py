"""The processes of several devices, which take tasks of any kind; tasks of a failed device go to the others."""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import pickle
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendUnavailable
from ..method.index_frames import Backend, IndexOptions
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from .devices import OneDevice
from .worker import AT_ONCE, FaultReport, serve

_log = logging.getLogger("ffbidx")
START_SECONDS = 120.0
"""Time in seconds within which a worker must start; the first compilation of kernels takes some ten seconds."""
NO_WORKER = (-1, -1)
"""Item of the queue of free places, before all others, by which every thread that waits for one learns that none is
left."""


class WorkerFault(RuntimeError):
    """The error of a worker whose device failed while it did a task."""


class _Worker:
    """The process of one device, seen from the process of the run."""

    def __init__(self, make_backend: Callable[[], Backend], meanwhile: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, make_backend, meanwhile), daemon=True)
        self._process.start()
        theirs.close()
        self._sending, self._numbers = threading.Lock(), itertools.count()
        self._open: dict[int, Future[Any]] = {}
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

    def ask(self, task: bytes) -> Any:
        """The result of a task; raises `WorkerFault` if the device fails."""
        future: Future[Any] = Future()
        with self._sending:
            number = next(self._numbers)
            self._open[number] = future
            try:
                self._connection.send((number, task))
            except OSError:
                self.alive = False
            if not self.alive:
                # The device failed since it was chosen, and nobody waits for its answers any more.
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
        with contextlib.suppress(KeyError):
            while True:
                _, future = self._open.popitem()
                future.set_exception(WorkerFault(f"{self.device} failed: {reason}"))

    def kill(self) -> None:
        """Kill the process, whose tasks, if it has any, are given up; its end takes a moment."""
        self._process.kill()

    def join(self) -> None:
        """Wait for the end of the process that was killed."""
        self._process.join(5)
        self._connection.close()


class Doing:
    """A task in progress, like `dask_task.Task`."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end of the task; returns whether it is done."""
        wait([self._future], seconds)
        return self._future.done()

    @property
    def is_done(self) -> bool:
        """Whether the task has ended, with a result or an error."""
        return self._future.done()

    def result(self) -> Any:
        """The result of a task that is done, or its error."""
        return self._future.result()

    def cancel(self) -> None:
        """Give up the task, unless it has begun."""
        self._future.cancel()


class DeviceWorkers:
    """Several devices, each with a process of its own, which read, compute and save tasks of a run.

    Parameters
    ----------
    makers
        For each device, a function that makes its backend in the process of the device; it must be picklable.
    meanwhile
        Function that every process calls in the background while its backend is made; it must be picklable.

    Raises
    ------
    BackendUnavailable
        If a device cannot be used.
    """

    def __init__(self, makers: Sequence[Callable[[], Backend]], meanwhile: Callable[[], object] | None = None) -> None:
        function = b"" if meanwhile is None else pickle.dumps(meanwhile)
        self._workers = [_Worker(make, function) for make in makers]
        # A place is its number on its worker, and the number of the worker: a task goes to the worker with the fewest
        # tasks, and tasks that are done one after the other to the same worker, which is ready for them.
        self._free: queue.PriorityQueue[tuple[int, int]] = queue.PriorityQueue()
        try:
            for worker in self._workers:
                worker.greet()
        except BaseException:
            self._end()
            raise
        for number, worker in enumerate(self._workers):
            for place in range(max(worker.lanes, AT_ONCE)):
                self._free.put((place, number))
        self._pool = ThreadPoolExecutor(self._free.qsize(), "ffbidx-task")
        self._is_closing = False

    @property
    def name(self) -> str:
        """The name of the workers' backend."""
        return str(self._workers[0].name)

    @property
    def lanes(self) -> int:
        """The number of batches that are computed at once."""
        return sum(worker.lanes for worker in self._workers)

    @property
    def device(self) -> str:
        """The names of all devices."""
        return "; ".join(worker.device for worker in self._workers)

    @property
    def n_workers(self) -> int:
        """The number of devices that have not failed."""
        return sum(worker.alive for worker in self._workers)

    @property
    def n_at_once(self) -> int:
        """The number of tasks that are done at once."""
        return sum(max(worker.lanes, AT_ONCE) for worker in self._workers if worker.alive)

    def seen(self, device: str) -> None:
        """Do nothing, because the devices are known."""

    def warm_up(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Make all workers but the first compute function(device, *arguments); see `Workers.warm_up`.

        The first one does what is asked meanwhile.
        """
        task = pickle.dumps((function, arguments, {}))
        for worker in self._workers[1:]:
            self._pool.submit(self._warmed_up, worker, task)

    def _warmed_up(self, worker: _Worker, task: bytes) -> None:
        try:
            worker.ask(task)
        except WorkerFault as fault:
            if self._is_closing:
                return
            _log.warning("%s; the run goes on with the other devices", fault)
            self._end_if_none_is_left()
        except Exception as error:
            # The frames are done again by a task, whose error ends the run.
            _log.debug("warming up %s: %s", worker.device, error)

    def submit(self, what: str, function: Callable[..., Any], *arguments: Any) -> Doing:
        """Make a worker compute function(device, *arguments); see `Workers.submit`."""
        return Doing(self._pool.submit(self._done, pickle.dumps((function, arguments, {}))))

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
        arguments = (spots, offsets, plan, p)
        result: BatchResult = self._done(pickle.dumps((OneDevice.index_frames, arguments, keywords)))
        return result

    def _done(self, task: bytes) -> Any:
        """The result of a task on the next free device; see `index_frames`."""
        while True:
            place = self._free.get()
            if place == NO_WORKER:
                # The message is passed on to every thread that waits.
                self._free.put(NO_WORKER)
                why = (
                    "the devices are closed" if self._is_closing else "every device has failed: see the warnings above"
                )
                raise BackendUnavailable(why)
            worker = self._workers[place[1]]
            if not worker.alive:
                self._end_if_none_is_left()
                continue
            try:
                return worker.ask(task)
            except WorkerFault as fault:
                if self._is_closing:
                    raise BackendUnavailable("the devices are closed") from fault
                _log.warning("%s; its frames are tried again on the other devices", fault)
                self._end_if_none_is_left()
            finally:
                if worker.alive:
                    self._free.put(place)

    def _end_if_none_is_left(self) -> None:
        if not any(worker.alive for worker in self._workers):
            self._free.put(NO_WORKER)

    def release(self) -> None:
        """Kill all processes without waiting for their end; tasks in progress are given up."""
        self._is_closing = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        # After a device has failed, there are more threads than places; the program waits for those threads at its end.
        self._free.put(NO_WORKER)
        for worker in self._workers:
            worker.kill()

    def close(self) -> None:
        """End all processes; tasks in progress are given up."""
        self.release()
        self._end()

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()
        # A process with a GPU takes .1 s or .2 s to end.
        for worker in self._workers:
            worker.join()
