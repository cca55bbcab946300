"""The process of one device, which does tasks independently of the other devices."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..method.index_frames import Backend
from .devices import OneDevice, in_background

FAULT_STATUS = 70
"""Exit status of a worker process whose device failed."""
AT_ONCE = 3
"""Smallest number of tasks that a worker does at once: one computes, in all lanes, while others read and save."""


def serve(connection: Connection, make_backend: Callable[[], Backend], meanwhile: bytes = b"") -> None:
    """Do tasks until the connection closes: (number, pickled (function, arguments, keywords)), in several threads.

    The answer is (number, result of function(device, *arguments, **keywords)) or (number, exception).

    Parameters
    ----------
    meanwhile
        Pickled function that is called in the background while the backend is made; empty for none.
    """
    # The parent process handles the signals of the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if meanwhile:
        # It is unpickled in the background, too, because that imports its module.
        in_background(lambda: pickle.loads(meanwhile)())
    try:
        device = OneDevice(make_backend())
    except Exception as error:
        connection.send_bytes(_pickled(-1, error))
        return
    connection.send((-1, (device.name, device.device, device.lanes)))
    answers = threading.Lock()

    def work(number: int, task: bytes) -> None:
        answer: Any
        try:
            function, arguments, keywords = pickle.loads(task)
            answer = function(device.at_turn(number), *arguments, **keywords)
        except Exception as error:
            if is_fault(error):
                # After such an error no result of the device can be trusted.
                with answers:
                    connection.send((number, FaultReport(str(error))))
                    os._exit(FAULT_STATUS)
            answer = error
        message = _pickled(number, answer)
        with answers:
            connection.send_bytes(message)

    with ThreadPoolExecutor(max(device.lanes, AT_ONCE)) as pool:
        while True:
            try:
                number, task = connection.recv()
            except (EOFError, OSError):
                pool.shutdown(wait=False, cancel_futures=True)
                return
            pool.submit(work, number, task)


def _pickled(number: int, answer: Any) -> bytes:
    """The pickled answer to a task; if it cannot be pickled and restored, an error takes its place."""
    try:
        if isinstance(answer, Exception):
            # Some exceptions cannot be made again from what pickle keeps of them.
            pickle.loads(pickle.dumps(answer))
        return pickle.dumps((number, answer))
    except Exception as error:
        cause = answer if isinstance(answer, Exception) else error
        return pickle.dumps((number, RuntimeError(f"{type(cause).__name__}: {cause}")))


@dataclass(frozen=True)
class FaultReport:
    """The error of a failed device, which is sent before its worker process ends."""

    reason: str


def is_fault(error: Exception) -> bool:
    """Whether the device itself failed, for example by an illegal address, a lost device, or a launch without end."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"CUDARuntimeError", "CUDADriverError", "DeviceFault"})


class DeviceFault(RuntimeError):
    """An error for a failed device, raised by backends that detect it themselves."""
