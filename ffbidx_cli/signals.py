"""Stop signals: the first one stops a run that can be stopped, the second one leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 75}
"""Exit status of a run, by the signal that stopped it."""


class Leave(BaseException):
    """Leave the program now, with this exit status. No error: nothing catches it on the way."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class StopSignals:
    """What the signals of this process do.

    Attributes
    ----------
    stop : threading.Event
        Set by the first signal while a run is `stoppable`. Outside of one, and at the second signal, `Leave` is raised.
    status : int
        Exit status for the last signal, 0 without one.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.status = 0
        self._stoppable = False

    def install(self) -> None:
        """Take over SIGINT and SIGTERM; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in STATUS:
                signal.signal(number, self._arrived)

    @contextmanager
    def stoppable(self) -> Iterator[threading.Event]:
        """A context in which the first signal sets the event and does nothing more."""
        self._stoppable = True
        try:
            yield self.stop
        finally:
            self._stoppable = False

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        first = not self.stop.is_set()
        self.status = STATUS[signal.Signals(number)]
        self.stop.set()
        if not (first and self._stoppable):
            raise Leave(self.status)
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"stopping after this batch; once more to leave at once\n")
