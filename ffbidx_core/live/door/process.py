"""A door whose sockets are used by processes of their own.

A thread of the server's process has to wait for the interpreter's lock while a computation on a GPU is prepared, and
that preparation for the thread; with thousands of frames a second both become late. Therefore one process receives and
decodes, and another one makes the messages of the answers and publishes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from ...errors import FfbidxError
from ..answers import Answer, BatchAnswers
from ..columns import FrameColumns, Taken
from .child import START_SECONDS, Child, Handed, Wish, publish_answers, receive_messages
from .publisher import Encoded
from .settings import DoorSettings
from .waiting import Counts, Origin


class DoorProcess:
    """A door whose sockets are used by processes of their own; see `Sockets` for the parameters.

    Parameters
    ----------
    queue
        Largest number of waiting frames.

    Attributes
    ----------
    bound : dict
        The actual address of each of `bind`, `reply`, `publish`.
    process_ids : list of int
        Numbers of the processes.
    dropped, n_waiting : int
        Number of frames that were dropped so far, and that wait, when the last messages were handed over.
    """

    def __init__(self, settings: DoorSettings, queue: int, counts: Counts) -> None:
        self._counts = counts
        self.dropped = self.n_waiting = self._errors = 0
        self._is_asked = False
        self._replies, self._published = list[Encoded](), list[Encoded | BatchAnswers]()
        self._receiver = Child(receive_messages, dataclasses.replace(settings, publish=""), queue)
        self._publisher = Child(publish_answers, settings.publish, settings.keys) if settings.publish else None
        self._children = [child for child in (self._publisher, self._receiver) if child is not None]
        self.process_ids = [child.process_id for child in self._children]
        self.bound: dict[str, str] = {}
        try:
            for child in reversed(self._children):
                self.bound |= child.greet()
        except FfbidxError:
            self.close()
            raise

    def ask(self, most: int, delay: float, timeout: float) -> None:
        """Ask for what the next `take` returns, which is made ready meanwhile; see there for the parameters."""
        if not self._is_asked:
            self._receiver.send(Wish(most, delay, timeout))
            self._is_asked = True

    def take(self, most: int, delay: float, timeout: float) -> Taken:
        """The next frames, or a message of another kind; see `Waiting.take` for the parameters."""
        self.ask(most, delay, timeout)
        handed: Handed = self._receiver.receive(timeout + START_SECONDS)
        self._is_asked = False
        if self._publisher is not None:
            self._publisher.check()
        for _ in range(handed.dropped - self.dropped):
            self._counts.dropped()
        for _ in range(handed.errors - self._errors):
            self._counts.failed()
        self.dropped, self._errors, self.n_waiting = handed.dropped, handed.errors, handed.n_waiting
        self._published += handed.answers
        return handed.taken

    def answer(self, origin: Origin, answer: Answer) -> None:
        """Answer a message."""
        encoded = Encoded.of(answer, origin)
        self._published.append(encoded)
        if origin.client is not None:
            self._replies.append(encoded.reply_only)

    def answer_batch(self, frames: Sequence[FrameColumns], answers: BatchAnswers) -> None:
        """Answer the frames of a batch."""
        self._published.append(answers)
        if any(each.origins is not None for each in frames):
            origins = [origin for each in frames for origin in each.each_origin]
            for origin, answer in zip(origins, answers.answers(), strict=True):
                if origin.client is not None:
                    self._replies.append(Encoded.of(answer, origin).reply_only)

    def flush(self) -> None:
        """Hand the waiting answers to the processes, which send them."""
        replies, self._replies = self._replies, []
        if replies:
            self._receiver.send(replies)
        published, self._published = self._published, []
        if published and self._publisher is not None:
            self._publisher.send(published)

    def close(self) -> None:
        """Make the processes send the waiting answers, and close all sockets."""
        with contextlib.suppress(FfbidxError):
            # A process may have ended before.
            self.flush()
        for child in self._children:
            child.close()
