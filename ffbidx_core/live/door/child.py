"""Processes of a door, and what they do until the server closes its end of the connection."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import zmq

from ...errors import FfbidxError
from ..answers import BatchAnswers
from ..columns import Taken, taken
from .keys import authenticator
from .publisher import Encoded, Publisher
from .settings import DoorSettings
from .sockets import Sockets
from .steady import steady
from .waiting import Queue

START_SECONDS = 60.0
"""Longest time in seconds in which a process starts, and in which it answers."""
CLOSE_SECONDS = 5.0
"""Longest time in seconds in which a process sends the last answers."""


class Child:
    """A process, and the server's end of the connection to it.

    Parameters
    ----------
    work
        Function of the process; its first argument is the other end of the connection. It greets with the addresses
        that it bound, or with an error.

    Attributes
    ----------
    process_id : int
        Number of the process.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, *arguments), name="ffbidx sockets", daemon=True)
        self._process.start()
        self.process_id = self._process.pid or 0
        theirs.close()

    def greet(self) -> dict[str, str]:
        """Wait until the process has started, and return the addresses that it bound.

        Raises
        ------
        FfbidxError
            If it did not start, or an address cannot be used.
        """
        greeting: dict[str, str] | FfbidxError = self.receive(START_SECONDS)
        if isinstance(greeting, FfbidxError):
            raise greeting
        return greeting

    def send(self, words: object) -> None:
        """Send something to the process."""
        try:
            self._connection.send(words)
        except OSError:
            raise self._ended() from None

    def receive(self, timeout: float) -> Any:
        """Receive something from the process within some seconds."""
        try:
            if self._connection.poll(timeout):
                return self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        raise FfbidxError("the process of the sockets does not answer; the server ends")

    def check(self) -> None:
        """Raise an error if the process has ended; it is not expected to send anything now."""
        try:
            has_ended = self._connection.poll(0)
        except OSError:
            has_ended = True
        if has_ended:
            raise self._ended()

    def _ended(self) -> FfbidxError:
        return FfbidxError("the process of the sockets has ended; the server ends, too")

    def close(self) -> None:
        """Close the connection, and wait until the process has sent its last answers."""
        self._connection.close()
        self._process.join(CLOSE_SECONDS)
        # The process ignores a request to end.
        self._process.kill()
        self._process.join()


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
    taken : list of FrameColumns, or Received
        The frames of a batch, none if the time of the wish is over, or a message of another kind.
    n_waiting : int
        Number of frames that still wait.
    dropped, errors : int
        Number of frames that were dropped so far, and of messages that could not be used.
    answers : list of Encoded
        The answers to these, which are to be published.
    """

    taken: Taken
    n_waiting: int
    dropped: int
    errors: int
    answers: list[Encoded]


def receive_messages(connection: Connection, settings: DoorSettings, queue: int) -> None:
    """Receive and decode messages, hand them over when asked for, and send replies to clients."""
    _ignore_signals()
    waiting, counts = Queue(queue), Counter()
    try:
        sockets = Sockets(settings, waiting, counts)
    except FfbidxError as error:
        connection.send(error)
        return
    connection.send(sockets.bound)
    try:
        with steady():
            hand_over(connection, sockets, waiting, counts)
    except (EOFError, OSError):
        sockets.close()


def hand_over(connection: Connection, sockets: Sockets, waiting: Queue, counts: Counter) -> None:
    """Receive messages, and answer the wishes that come through the connection, until it is closed."""
    sockets.watch(connection.fileno())
    wish, until, answers = None, 0.0, list[Encoded]()
    while True:
        left = math.inf
        if wish is not None:
            due = waiting.due(wish.most, wish.delay)
            left = max(0.0, until - time.perf_counter()) if due is None else due
            if not left:
                # A batch that is due goes at once, however many messages there are still to be received.
                items = taken(waiting.next(wish.most))
                connection.send(Handed(items, len(waiting), counts.n_dropped, counts.n_failed, answers))
                wish, answers, left = None, [], math.inf
        # Whole milliseconds are rounded down, because a poll that ends late would delay the batch.
        ready = sockets.receive(-1 if left == math.inf else int(1e3 * left))
        answers += sockets.send()
        if connection.fileno() in ready:
            words = connection.recv()
            if isinstance(words, Wish):
                wish, until = words, time.perf_counter() + words.timeout
            else:
                sockets.outbox.extend(words)
                answers += sockets.send()


def publish_answers(connection: Connection, address: str, keys: str) -> None:
    """Make messages of the answers that the server sends, and publish them."""
    _ignore_signals()
    context = zmq.Context()
    auth = authenticator(context, keys) if keys else None
    try:
        publisher = Publisher(context, address, keys)
    except FfbidxError as error:
        context.destroy(linger=0)
        connection.send(error)
        return
    connection.send({"publish": publisher.bound})
    try:
        with steady():
            while True:
                for words in connection.recv():
                    _publish(publisher, words)
    except (EOFError, OSError):
        if auth is not None:
            auth.stop()
        context.destroy(linger=500)


def _publish(publisher: Publisher, words: Encoded | BatchAnswers) -> None:
    if isinstance(words, Encoded):
        publisher.publish(words.topic, words.published)
        return
    publisher.publish_all(words.run.encode() or b"run", words.answers())


def _ignore_signals() -> None:
    # The server gets them, too, and closes the connection once all answers are sent.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class Counter:
    """The counts of a process, which it hands over with the messages."""

    def __init__(self) -> None:
        self.n_dropped = self.n_failed = 0

    def dropped(self) -> None:
        """Count a frame that was dropped."""
        self.n_dropped += 1

    def failed(self) -> None:
        """Count a message that could not be used."""
        self.n_failed += 1
