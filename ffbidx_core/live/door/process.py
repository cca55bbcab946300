"""A door whose sockets are used by a process of its own.

A thread of the server's process has to wait for the interpreter's lock while a computation on a GPU is prepared, and
that preparation for the thread; with thousands of frames a second both become late.
"""

from __future__ import annotations

import functools
import math
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ...errors import FfbidxError
from ..answers import Answer
from ..messages import Message
from .addresses import Addresses
from .sockets import Encoded, Sockets
from .steady import steady
from .waiting import Origin, Received, Waiting

START_SECONDS = 60.0
"""Longest time in seconds in which the process starts."""
CLOSE_SECONDS = 5.0
"""Longest time in seconds in which the process sends the last answers."""


@dataclass(frozen=True)
class Wish:
    """A request for the next messages, with the parameters of `Waiting.take`."""

    most: int
    delay: float
    timeout: float


@dataclass(frozen=True)
class Handed:
    """The next messages.

    Attributes
    ----------
    messages : list of (Message, Origin, float)
        The messages with their origins and times of arrival, seconds of `time.perf_counter`.
    n_waiting : int
        Number of frames that still wait.
    dropped, errors : int
        Number of frames that were dropped so far, and of messages that could not be used.
    """

    messages: list[tuple[Message | None, Origin, float]]
    n_waiting: int
    dropped: int
    errors: int


class DoorProcess:
    """A door whose sockets are used by a process of its own; see `Sockets` for the parameters.

    Parameters
    ----------
    queue
        Largest number of waiting frames.

    Attributes
    ----------
    bound : dict
        The actual address of each of `bind`, `reply`, `publish`.
    process_id : int
        Number of the process.
    dropped, n_waiting : int
        Number of frames that were dropped so far, and that wait, when the last messages were handed over.
    """

    def __init__(
        self,
        addresses: Addresses,
        queue: int,
        *,
        dialect: str,
        keys: str,
        on_drop: Callable[[], None],
        on_error: Callable[[], None],
    ) -> None:
        self._on_drop, self._on_error = on_drop, on_error
        self.dropped = self.n_waiting = self._errors = 0
        self._outbox: deque[Encoded] = deque()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=attend, args=(theirs, addresses, queue, dialect, keys), name="ffbidx sockets", daemon=True
        )
        self._process.start()
        self.process_id = self._process.pid or 0
        theirs.close()
        try:
            greeting = self._receive(START_SECONDS)
        except FfbidxError:
            self._process.terminate()
            raise
        if isinstance(greeting, FfbidxError):
            self._process.join()
            raise greeting
        self.bound: dict[str, str] = greeting

    def _receive(self, timeout: float) -> Any:
        try:
            if self._connection.poll(timeout):
                return self._connection.recv()
        except (EOFError, OSError):
            raise FfbidxError("the process of the sockets has ended; the server ends, too") from None
        raise FfbidxError("the process of the sockets does not answer; the server ends")

    def take(self, most: int, delay: float, timeout: float) -> list[Received]:
        """The next messages; see `Waiting.take`."""
        self._connection.send(Wish(most, delay, timeout))
        handed: Handed = self._receive(timeout + START_SECONDS)
        for _ in range(handed.dropped - self.dropped):
            self._on_drop()
        for _ in range(handed.errors - self._errors):
            self._on_error()
        self.dropped, self._errors, self.n_waiting = handed.dropped, handed.errors, handed.n_waiting
        return [
            Received(message, functools.partial(self._answer, origin), origin, at)
            for message, origin, at in handed.messages
        ]

    def _answer(self, origin: Origin, answer: Answer) -> None:
        self._outbox.append(Encoded.of(answer, origin))

    def flush(self) -> None:
        """Hand the waiting answers to the process, which sends them."""
        if self._outbox:
            answers, self._outbox = list(self._outbox), deque()
            self._connection.send(answers)

    def close(self) -> None:
        """Make the process send the waiting answers, and close all sockets."""
        try:
            self.flush()
            self._connection.close()
        except OSError:
            # The process has ended before.
            pass
        self._process.join(CLOSE_SECONDS)
        self._process.terminate()
        self._process.join()


def attend(connection: Connection, addresses: Addresses, queue: int, dialect: str, keys: str) -> None:
    """Use the sockets until the server closes its end of the connection; this is all that the process does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # The server, which gets these too, closes the connection once all answers are sent.
        signal.signal(number, signal.SIG_IGN)
    waiting, errors = Waiting(queue), Counter()
    try:
        sockets = Sockets(addresses, waiting, dialect=dialect, keys=keys, on_drop=lambda: None, on_error=errors.add)
    except FfbidxError as error:
        connection.send(error)
        return
    connection.send(sockets.bound)
    try:
        with steady():
            _attend(connection, sockets, waiting, errors)
    except (EOFError, OSError):
        sockets.close()


def _attend(connection: Connection, sockets: Sockets, waiting: Waiting, errors: Counter) -> None:
    sockets.watch(connection.fileno())
    wish, until = None, 0.0
    while True:
        left = math.inf
        if wish is not None:
            due = waiting.due(wish.most, wish.delay)
            left = until - time.perf_counter() if due is None else due
        # Whole milliseconds are rounded down, because a poll that ends late would delay the batch.
        ready = sockets.receive(-1 if left == math.inf else int(1e3 * max(0.0, left)))
        sockets.send()
        if connection.fileno() in ready:
            said = connection.recv()
            if isinstance(said, Wish):
                wish, until = said, time.perf_counter() + said.timeout
            else:
                sockets.outbox.extend(said)
                sockets.send()
        if wish is not None and _is_due(wish, waiting, until):
            taken = waiting.take(wish.most, 0.0, 0.0)
            messages = [(item.message, item.origin, item.at) for item in taken]
            connection.send(Handed(messages, len(waiting), waiting.dropped, errors.n))
            wish = None


def _is_due(wish: Wish, waiting: Waiting, until: float) -> bool:
    due = waiting.due(wish.most, wish.delay)
    return due == 0 or (due is None and time.perf_counter() >= until)


class Counter:
    """A count that functions without a result can raise."""

    def __init__(self) -> None:
        self.n = 0

    def add(self) -> None:
        """Count one more."""
        self.n += 1
