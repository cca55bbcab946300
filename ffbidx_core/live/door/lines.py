"""JSON lines on standard input, and answers as lines on standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import IO

from ..answers import Answer, error_answer
from ..dialects import DIALECTS, decoded
from ..messages import MessageError
from .waiting import LINE, Counts, Received, Waiting

PAUSE = 0.005
"""Time in seconds between checks whether there is room for another frame."""


class Lines:
    """Reads lines in a thread of its own; this waits while the queue is full, since a pipe can wait.

    Parameters
    ----------
    stream
        Stream of JSON lines.
    waiting
        The queue that takes the messages; its last one is None.
    most
        Number of waiting frames at which reading pauses.
    stop
        Event that ends the pause.
    counts
        The counts of lines that cannot be used.
    answers
        The answers that `flush` writes.
    """

    def __init__(
        self,
        stream: IO[bytes],
        waiting: Waiting,
        most: int,
        stop: threading.Event,
        counts: Counts,
        answers: deque[Answer],
    ) -> None:
        self._stream, self._waiting, self._most, self._stop, self._counts = stream, waiting, most, stop, counts
        self._answers = answers
        threading.Thread(target=self._read, name="ffbidx lines", daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            while len(self._waiting) >= self._most and not self._stop.wait(PAUSE):
                pass
            if not line.strip():
                continue
            try:
                messages = decoded(line, "json")[1]
            except MessageError as error:
                self._counts.failed()
                self._answers.append(error_answer(str(error)))
                continue
            for message in messages:
                self._waiting.put(Received(message, LINE, time.perf_counter()))
        self._waiting.put(Received(None, LINE, time.perf_counter()))

    def flush(self) -> None:
        """Write the answers so far."""
        if self._answers:
            while self._answers:
                sys.stdout.buffer.write(DIALECTS["json"].encode_answer(self._answers.popleft()))
            sys.stdout.buffer.flush()
