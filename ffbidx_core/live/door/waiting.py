"""The bounded queue of messages that wait for the computation; it drops the oldest frames, and has a deadline."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple, Protocol

from ..messages import Frame, Message


class Origin(NamedTuple):
    """Where a message comes from.

    Attributes
    ----------
    client : bytes or None
        Address of the client that waits for a reply; None if the message was pushed or published.
    dialect : str
        Name of the dialect of the message, in which the client gets its reply.
    is_line : bool
        Whether the message is a line of standard input, whose answer is a line of standard output.
    """

    client: bytes | None = None
    dialect: str = "cbor"
    is_line: bool = False


PUSHED = Origin()
"""Origin of all messages whose senders wait for no reply."""
LINE = Origin(None, "json", is_line=True)
"""Origin of the lines of standard input."""


class Received(NamedTuple):
    """A message with its origin and its time of arrival.

    Attributes
    ----------
    message : Message or None
        The message; None stands for the end of the input.
    origin : Origin
        Where the message comes from, which is where its answer goes.
    at : float
        Time of arrival, seconds of `time.perf_counter`.
    """

    message: Message | None
    origin: Origin
    at: float


class Counts(Protocol):
    """Counts of what a server could not use."""

    def dropped(self) -> None:
        """Count a frame that was dropped."""

    def failed(self) -> None:
        """Count a message that could not be used."""


class Queue:
    """A queue of messages that one thread uses.

    Parameters
    ----------
    most
        Largest number of waiting frames; beyond it the oldest is dropped. Other messages are never dropped.

    Attributes
    ----------
    dropped : int
        Number of frames that were dropped so far.
    """

    def __init__(self, most: int) -> None:
        self._most, self._items, self._n_frames = most, deque[Received](), 0
        self.dropped = 0

    def __len__(self) -> int:
        return self._n_frames

    @property
    def is_full(self) -> bool:
        """Whether a further frame would make the oldest one drop out."""
        return self._n_frames >= self._most

    def put(self, item: Received) -> Received | None:
        """Add a message; returns the frame that was dropped for it, if any."""
        self._items.append(item)
        if isinstance(item.message, Frame):
            self._n_frames += 1
            if self._n_frames > self._most:
                return self._drop_oldest()
        return None

    def _drop_oldest(self) -> Received:
        k = next(k for k, item in enumerate(self._items) if isinstance(item.message, Frame))
        lost = self._items[k]
        del self._items[k]
        self._n_frames -= 1
        self.dropped += 1
        return lost

    def next(self, most: int) -> list[Received]:
        """The messages at the head: at most `most` frames, or one message of another kind, or none."""
        items = self._items
        if items and not isinstance(items[0].message, Frame):
            return [items.popleft()]
        batch: list[Received] = []
        while items and len(batch) < most and isinstance(items[0].message, Frame):
            batch.append(items.popleft())
        self._n_frames -= len(batch)
        return batch

    def due(self, most: int, delay: float) -> float | None:
        """Time in seconds until `most` frames need not be awaited any longer; None if nothing waits.

        Parameters
        ----------
        most
            Largest number of frames of a batch.
        delay
            Time in seconds after which the oldest frame no longer waits for others.
        """
        if not self._items:
            return None
        # Further frames may join the batch only as long as nothing but frames waits.
        if self._n_frames >= most or len(self._items) > self._n_frames:
            return 0.0
        return max(0.0, self._items[0].at + delay - time.perf_counter())


class Waiting(Queue):
    """A queue of messages that several threads use, one of which waits for batches."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._changed = threading.Condition()

    def put(self, item: Received) -> Received | None:
        """Add a message; returns the frame that was dropped for it, if any."""
        with self._changed:
            lost = super().put(item)
            self._changed.notify()
        return lost

    def take(self, most: int, delay: float, timeout: float) -> list[Received]:
        """The next messages: frames that belong together in a batch, or one message of another kind.

        Parameters
        ----------
        most, delay
            See `due`.
        timeout
            Time in seconds after which an empty list is returned if no message came.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout)
            while left := self.due(most, delay):
                self._changed.wait(left)
            return self.next(most)
