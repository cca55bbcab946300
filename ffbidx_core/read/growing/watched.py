"""A file that another program is writing, and that is examined repeatedly."""

from __future__ import annotations

import contextlib
import time

import numpy as np

from ...errors import InputError
from ...model.detector.panels import GivenGeometry
from ..files.content import is_growing
from ..files.identity import size_and_time
from ..files.probe import Prober
from ..formats.open import open_spots
from ..formats.spot_file import SpotFile
from ..frames import RawFrames

LOOK = 0.2
"""Shortest time between two looks at a file, seconds."""
SETTLED = 2.0
"""Time without a change, seconds, after which a file that is not written in SWMR mode counts as whole."""
OLD = 60.0
"""Age of the last modification, seconds, above which a newly found file counts as whole; clocks differ by less."""
TRY_AGAIN = 5.0
"""Time after which a file is opened again, seconds, even if nothing seems to have changed."""
ANEW = "was written anew after it was indexed"
NOT_WHOLE = "was still being written when the run ended"


class Watched:
    """A file that grows, or that will be whole at some time.

    A file in SWMR mode is read while it grows. A frame counts when two looks have found it whole, so that no partial
    write is read. Every look opens the file again, which refreshes all datasets (as `H5Drefresh` does for one), and
    which leaves no file open that could hinder the writer.

    Attributes
    ----------
    path : str
        The file.
    size_and_time : (int, int)
        Size in bytes and time of modification in nanoseconds at the last look, taken before the file was opened.
    ready : int
        Number of frames that can be read.
    closed : bool
        Whether no program seems to write the file any more.
    problem : str
        Reason why the file cannot be opened, or empty.
    error : str
        Problem with the last reading of frames, or empty.
    """

    def __init__(self, path: str, prober: Prober | None = None) -> None:
        self.path, self._prober = path, prober
        self.size_and_time = self._first = size_and_time(path, prober)
        self._changed = time.monotonic()
        if time.time() - self.size_and_time[1] * 1e-9 > OLD:
            self._changed -= SETTLED
        self.ready = self._seen = 0
        self.closed, self.problem = False, f"{path}: {NOT_WHOLE}"
        self._state: object = None
        self._looks, self._opened = 0, float("-inf")
        self.error = ""
        self._last: tuple[int, int] | None = None
        self._read_as: tuple[int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether the file exists."""
        return self.size_and_time[0] >= 0

    @property
    def is_new(self) -> bool:
        """Whether the next looks, within `SETTLED` seconds, will show the state of the file; false once it changes."""
        if self._state is None:
            return self.size_and_time == self._first
        return self.ready == 0 < self._seen

    @property
    def may_be_read(self) -> bool:
        """Whether the file can be opened and has frames to read, or is closed."""
        return not self.problem and (self.ready > 0 or self.closed)

    def look(self, geometry: GivenGeometry | None) -> None:
        """Examine the file: count its whole frames, and find out whether it is still being written."""
        now = time.monotonic()
        found = size_and_time(self.path, self._prober)
        if found != self.size_and_time:
            self.size_and_time, self._changed = found, now
        grows = is_growing(self.path)
        settled = now - self._changed >= SETTLED
        self.closed = settled and not grows
        if not (grows or settled):
            return
        self._looks = self._looks + 1 if self._state == (found, grows) else 1
        self._state = found, grows
        if self._looks <= 2 or now - self._opened >= TRY_AGAIN:
            self._opened = now
            self._open(geometry, grows)

    def _open(self, geometry: GivenGeometry | None, grows: bool) -> None:
        """Open the file and count its frames."""
        try:
            with contextlib.closing(open_spots(self.path, geometry, self._prober)) as file:
                n_frames = file.n_frames
        except InputError as error:
            self.problem = str(error)
            return
        if n_frames < self.ready:
            self.problem = f"{self.path}: {ANEW}: it has {n_frames} frames now, it had {self.ready}"
            return
        self.problem = ""
        self.ready, self._seen = min(self._seen, n_frames) if grows else n_frames, n_frames

    def last_look(self, geometry: GivenGeometry | None) -> None:
        """Examine the file for the last time, after which it counts as closed."""
        for _ in range(2):
            self._state = None
            self.look(geometry)
            if self.closed or not is_growing(self.path):
                break
            time.sleep(LOOK)
        self.closed = True

    def note(self, raw: RawFrames) -> None:
        """Remember the last frame that was read."""
        self._last = int(raw.indices[-1]), raw.last_checksum

    def note_end(self) -> None:
        """Remember that all existing frames have been read."""
        self.error, self._read_as = "", self.size_and_time if self.closed else None

    def check(self, spots: SpotFile) -> None:
        """Check that the frame which was read last has not changed.

        Raises
        ------
        InputError
            If the frame has other spots now.
        """
        if self._last is not None:
            index, checksum = self._last
            (raw,) = spots.read(np.array([index]))
            if raw.last_checksum != checksum:
                raise InputError(self.path, ANEW, f"frame {index}")

    @property
    def is_modified(self) -> bool:
        """Whether the file has been modified since it was read, as a whole file, to its end."""
        return self.closed and self.is_there and self._read_as not in (None, self.size_and_time)

    @property
    def is_changing(self) -> bool:
        """Whether the file is not in SWMR mode and was modified within the last `SETTLED` seconds."""
        now, found = time.monotonic(), size_and_time(self.path, self._prober)
        if found != self.size_and_time:
            self.size_and_time, self._changed = found, now
        return now - self._changed < SETTLED and not is_growing(self.path)
