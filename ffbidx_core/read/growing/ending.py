"""When input that grows ends: a file or a time says so."""

from __future__ import annotations

import os
import time

SILENT = 60.0
"""Seconds without a frame, after which a file that is still open for writing lets others go first."""


class Ending:
    """Decides whether the input has ended, and whether it is silent.

    Parameters
    ----------
    stop_file
        Once this file exists, the input has ended; None: no file ends it.
    stop_after
        Seconds without a new frame after which it has ended; None: it waits for ever.
    """

    def __init__(self, stop_file: str | None, stop_after: float | None) -> None:
        self._stop_file, self._stop_after = stop_file, stop_after
        self._has_come = False
        self.note_frame()

    def note_frame(self) -> None:
        """Remember that a frame came now."""
        self._last_frame = time.monotonic()

    @property
    def _seconds(self) -> float:
        """Seconds since the last frame."""
        return time.monotonic() - self._last_frame

    def has_come(self) -> bool:
        """Whether the input has ended; once it has, no later frame changes that."""
        late = self._stop_after is not None and self._seconds >= self._stop_after
        self._has_come |= late or (self._stop_file is not None and os.path.lexists(self._stop_file))
        return self._has_come

    @property
    def is_silent(self) -> bool:
        """Whether no frame has come for `SILENT` seconds."""
        return self._seconds >= SILENT
