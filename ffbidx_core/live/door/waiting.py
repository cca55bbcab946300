"""The bounded queue of messages that wait for the computation; it drops the oldest frames, and has a deadline."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..messages import Frame, Message


class Origin(NamedTuple):
    """Where a message comes from.

    Attributes
    ----------
    client : bytes or None
        Address of the client that waits for a reply; None if the message was pushed or published.
    dialect : str
        Name of the dialect of the message, in which the client gets its reply.
    """

    client: bytes | None = None
    dialect: str = "cbor"


PUSHED = Origin()


@dataclass(frozen=True)
class Received:
    """A message together with the function that answers it.

    Attributes
    ----------
    message : Message or None
        The message; None stands for the end of the input.
    answer : callable
        Function that sends the answer, a dictionary, to the sender of the message.
    origin : Origin
        The client and the dialect of the message.
    at : float
        Time of arrival, seconds of `time.perf_counter`.
    """

    message: Message | None
    answer: Callable[[dict[str, Any]], None]
    origin: Origin = PUSHED
    at: float = field(default_factory=time.perf_counter)


class Counts(Protocol):
    """Counts of what a server could not use."""

    def dropped(self) -> None:
        """Count a frame that was dropped."""

    def failed(self) -> None:
        """Count a message that could not be used."""


class Waiting:
    """A queue of messages.

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
        self._changed = threading.Condition()
        self.dropped = 0

    def __len__(self) -> int:
        return self._n_frames

    @property
    def is_full(self) -> bool:
        """Whether a further frame would make the oldest one drop out."""
        return self._n_frames >= self._most

    def put(self, item: Received) -> Received | None:
        """Add a message; returns the frame that was dropped for it, if any."""
        with self._changed:
            self._items.append(item)
            lost = None
            if isinstance(item.message, Frame):
                self._n_frames += 1
                if self._n_frames > self._most:
                    lost = self._drop_oldest()
            self._changed.notify()
        return lost

    def _drop_oldest(self) -> Received:
        k = next(k for k, item in enumerate(self._items) if isinstance(item.message, Frame))
        lost = self._items[k]
        del self._items[k]
        self._n_frames -= 1
        self.dropped += 1
        return lost

    def take(self, most: int, delay: float, timeout: float) -> list[Received]:
        """The next messages: frames that belong together in a batch, or one message of another kind.

        Parameters
        ----------
        most
            Largest number of frames of a batch.
        delay
            Time in seconds after which the oldest frame no longer waits for others.
        timeout
            Time in seconds after which an empty list is returned if no message came.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout)
            if not self._items:
                return []
            deadline = self._items[0].at + delay
            while self._n_frames < most and self._only_frames() and (left := deadline - time.perf_counter()) > 0:
                self._changed.wait(left)
            if not isinstance(self._items[0].message, Frame):
                return [self._items.popleft()]
            batch: list[Received] = []
            while self._items and len(batch) < most and isinstance(self._items[0].message, Frame):
                batch.append(self._items.popleft())
            self._n_frames -= len(batch)
            return batch

    def due(self, most: int, delay: float) -> float | None:
        """Time in seconds until `take` returns a batch without waiting for another message; None if nothing waits."""
        if not self._items:
            return None
        if self._n_frames >= most or not self._only_frames():
            return 0.0
        return max(0.0, self._items[0].at + delay - time.perf_counter())

    def _only_frames(self) -> bool:
        """Whether only frames wait, so that further ones may join the batch."""
        return len(self._items) == self._n_frames
