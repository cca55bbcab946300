"""A door whose sockets are used by a thread of the server's process."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Sequence

import zmq

from ..answers import Answer, BatchAnswers
from ..columns import FrameColumns, Taken, taken
from .settings import DoorSettings
from .sockets import Sockets
from .waiting import Counts, Origin, Waiting

LOOK = 200
"""Time in milliseconds between checks whether the door is to be closed."""


class DoorThread:
    """A door whose sockets are used by a thread; see `Sockets` for the parameters.

    Attributes
    ----------
    bound : dict
        The actual address of each of `bind`, `reply`, `publish`.
    waiting : Waiting
        The messages that wait for the computation.
    """

    def __init__(self, settings: DoorSettings, waiting: Waiting, counts: Counts) -> None:
        self.waiting = waiting
        self._sockets = Sockets(settings, waiting, counts)
        self.bound = self._sockets.bound
        self._bell, self._rope = self._sockets.pair()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="ffbidx sockets", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Number of frames that were dropped so far."""
        return self.waiting.dropped

    @property
    def n_waiting(self) -> int:
        """Number of frames that wait."""
        return len(self.waiting)

    def ask(self, most: int, delay: float, timeout: float) -> None:
        """Do nothing, because messages are always ready."""

    def take(self, most: int, delay: float, timeout: float) -> Taken:
        """The next frames, or a message of another kind; see `Waiting.take` for the parameters."""
        return taken(self.waiting.take(most, delay, timeout))

    @property
    def lines(self) -> deque[Answer]:
        """The answers to lines of standard input."""
        return self._sockets.lines

    def answer(self, origin: Origin, answer: Answer) -> None:
        """Answer a message."""
        self._sockets.answer(origin, answer)

    def answer_batch(self, frames: Sequence[FrameColumns], answers: BatchAnswers) -> None:
        """Answer the frames of a batch."""
        origins = [origin for each in frames for origin in each.each_origin]
        for origin, answer in zip(origins, answers.answers(), strict=True):
            self._sockets.answer(origin, answer)

    def flush(self) -> None:
        """Make the thread send the waiting answers now."""
        # If the queue of the bell is full, it is ringing already.
        with self._lock, contextlib.suppress(zmq.Again):
            self._rope.send(b"", zmq.NOBLOCK)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._bell in self._sockets.receive(LOOK):
                with contextlib.suppress(zmq.Again):
                    while True:
                        self._bell.recv(zmq.NOBLOCK)
            self._sockets.send()

    def close(self) -> None:
        """Send the waiting answers, and close all sockets."""
        self._stop.set()
        self.flush()
        self._thread.join()
        self._sockets.close()
