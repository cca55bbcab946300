"""Stop signals: the first one stops a stoppable run after its batch, the second one ends the program at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 75}
"""The exit status of a run, keyed by the signal that stopped it."""


class Leave(BaseException):
    """Ends the program at once with an exit status; it is not an Exception, so no handler of errors catches it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class StopSignals:
    """The handlers of SIGINT and SIGTERM of this process.

    Attributes
    ----------
    stop : threading.Event
        The event that the first signal sets while a run is `stoppable`. Otherwise, and at the second signal, `Leave`
        is raised.
    status : int
        Exit status for the last signal; 0 if there was none.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.status = 0
        self._stoppable = False

    def install(self) -> None:
        """Install the handlers of SIGINT and SIGTERM, which only the main thread can do."""
        if threading.current_thread() is threading.main_thread():
            for number in STATUS:
                signal.signal(number, self._arrived)

    @contextmanager
    def stoppable(self) -> Iterator[threading.Event]:
        """A context in which the first signal only sets the event."""
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
        # os.write and not print, because the signal may have interrupted a print.
        os.write(2, b"stopping after this batch; once more to leave at once\n")
