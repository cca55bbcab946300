"""The end of input that grows, which a file or a time without frames determines."""

from __future__ import annotations

import os
import time

SILENT = 60.0
"""Time without a new frame, seconds, after which a file that is still open for writing gives way to others."""


class Ending:
    """The decision whether the input has ended, and whether it is silent.

    Parameters
    ----------
    stop_file
        File whose existence ends the input; None if no file does.
    stop_after
        Time without a new frame after which the input ends, seconds; None if it never does.
    """

    def __init__(self, stop_file: str | None, stop_after: float | None) -> None:
        self._stop_file, self._stop_after = stop_file, stop_after
        self._has_come = False
        self.note_frame()

    def note_frame(self) -> None:
        """Remember that a frame has arrived now."""
        self._last_frame = time.monotonic()

    @property
    def _seconds(self) -> float:
        """Time since the last frame, seconds."""
        return time.monotonic() - self._last_frame

    def has_come(self) -> bool:
        """Whether the input has ended, which no later frame changes."""
        late = self._stop_after is not None and self._seconds >= self._stop_after
        self._has_come |= late or (self._stop_file is not None and os.path.lexists(self._stop_file))
        return self._has_come

    @property
    def is_silent(self) -> bool:
        """Whether no frame has arrived for `SILENT` seconds."""
        return self._seconds >= SILENT
