"""The process of one device: takes batches, gives results. Nothing here knows of the other devices."""

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
"""Exit status of a worker whose device failed."""


@dataclass(frozen=True)
class Task:
    """A batch whose spots (N, 3) float32 and then offsets (F + 1,) int64 lie in shared memory.

    Attributes
    ----------
    number : what the answer is called
    memory : name of the shared memory
    n_spots, n_frames : N and F
    how : pickled (plan, parameters, keywords) of `index_frames`
    """

    number: int
    memory: str
    n_spots: int
    n_frames: int
    how: bytes


def bytes_of(n_spots: int, n_frames: int) -> int:
    """Bytes that a batch takes in shared memory; the offsets come first, which need the stricter alignment."""
    return 8 * (n_frames + 1) + 12 * n_spots


def arrays_in(memory: Any, n_spots: int, n_frames: int) -> tuple[Any, Any]:
    """Views of a batch's spots and offsets in shared memory."""
    offsets = np.frombuffer(memory, np.int64, n_frames + 1)
    spots = np.frombuffer(memory, np.float32, 3 * n_spots, offset=8 * (n_frames + 1))
    return spots.reshape(-1, 3), offsets


def serve(connection: Connection, make_backend: Callable[[], Backend]) -> None:
    """Answer tasks until the connection closes: (number, result) or (number, exception)."""
    # The parent decides what a signal means for the run.
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
                # After such an error nothing that the device says can be trusted.
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
    """The error of a device that failed, sent before its worker ends."""

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
"""From Python 3.13 on a process can open shared memory without taking care of its end."""


def is_fault(error: Exception) -> bool:
    """Whether the device itself failed: an illegal address, a lost device, a launch that did not end."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"CUDARuntimeError", "CUDADriverError", "DeviceFault"})


class DeviceFault(RuntimeError):
    """A device that failed, for backends that know it by themselves."""
