"""The process of one device, which takes batches and returns results, independently of the other devices."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from ..method.index_frames import Backend, index_frames

FAULT_STATUS = 70
"""Exit status of a worker process whose device failed."""


@dataclass(frozen=True)
class Task:
    """A batch whose offsets (F + 1,) int64, and then spots (N, 3) float32, lie in shared memory.

    Attributes
    ----------
    number : int
        Number by which the answer refers to the task.
    memory : str
        Name of the shared memory.
    n_spots, n_frames : int
        The numbers N of spots and F of frames.
    how : bytes
        Pickled (plan, parameters, keywords) of `index_frames`.
    """

    number: int
    memory: str
    n_spots: int
    n_frames: int
    how: bytes


def bytes_of(n_spots: int, n_frames: int) -> int:
    """The size of a batch in shared memory, bytes; offsets come first, because they need the stricter alignment."""
    return 8 * (n_frames + 1) + 12 * n_spots


def arrays_in(memory: Any, n_spots: int, n_frames: int) -> tuple[Any, Any]:
    """Views of the spots and offsets of a batch in shared memory."""
    offsets = np.frombuffer(memory, np.int64, n_frames + 1)
    spots = np.frombuffer(memory, np.float32, 3 * n_spots, offset=8 * (n_frames + 1))
    return spots.reshape(-1, 3), offsets


def serve(connection: Connection, make_backend: Callable[[], Backend]) -> None:
    """Answer tasks with (number, result) or (number, exception) until the connection closes."""
    # The parent process handles the signals of the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        backend = make_backend()
    except Exception as error:
        connection.send((-1, error))
        return
    connection.send((-1, (backend.name, backend.device, backend.lanes)))
    answers = threading.Lock()
    how: dict[bytes, Any] = {}

    def work(task: Task) -> None:
        answer: Any
        try:
            answer = _index(backend, task, how)
        except Exception as error:
            if is_fault(error):
                # After such an error no result of the device can be trusted.
                with answers:
                    connection.send((task.number, FaultReport(str(error))))
                    os._exit(FAULT_STATUS)
            answer = error
        with answers:
            connection.send((task.number, answer))

    with ThreadPoolExecutor(backend.lanes) as pool:
        while True:
            try:
                task = connection.recv()
            except (EOFError, OSError):
                return
            pool.submit(work, task)


@dataclass(frozen=True)
class FaultReport:
    """The error of a failed device, which is sent before its worker process ends."""

    reason: str


def _index(backend: Backend, task: Task, how: dict[bytes, Any]) -> Any:
    if task.how not in how:
        how.clear()
        how[task.how] = pickle.loads(task.how)
    plan, p, keywords = how[task.how]
    memory = SharedMemory(task.memory, **UNTRACKED)
    try:
        spots, offsets = (array.copy() for array in arrays_in(memory.buf, task.n_spots, task.n_frames))
    finally:
        memory.close()
    return index_frames(backend, spots, offsets, plan, p, **keywords)


UNTRACKED: dict[str, Any] = {"track": False} if "track" in SharedMemory.__init__.__code__.co_varnames else {}
"""Argument by which a process (from Python 3.13 on) can open shared memory without managing its lifetime."""


def is_fault(error: Exception) -> bool:
    """Whether the device itself failed, for example by an illegal address, a lost device, or a launch without end."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"CUDARuntimeError", "CUDADriverError", "DeviceFault"})


class DeviceFault(RuntimeError):
    """An error for a failed device, raised by backends that detect it themselves."""
