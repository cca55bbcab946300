"""An even sample, in bounded memory, of the frames on which a run found crystals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.records.frame import FrameStatus
from ..model.records.ragged import evenly
from ..model.records.reason import Rung
from ..model.records.results import Results
from ..read.files.opened_results import OpenResults


class EvenSample:
    """The results of some indexed frames, spread evenly over the run.

    They are frames that were indexed at the first try, or at a further try if there are no others. All such frames are
    kept at first, then every second, every fourth, and so on; which ones does not depend on the division of the run
    into batches and saved parts.

    Parameters
    ----------
    most
        Largest number of frames in the sample; up to four times as many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._first, self._further = _Kept(most), _Kept(most)

    def add(self, results: Results | OpenResults) -> None:
        """Take the results of the next frames."""
        if self._most == 0:
            return
        indexed, first = results.status == FrameStatus.INDEXED, np.ones(len(results.status), dtype=bool)
        if results.rung is not None:
            first = results.rung == Rung.FIRST_TRY
        self._first.add(results, indexed & first)
        if not self._first.frames:
            self._further.add(results, indexed & ~first)

    @property
    def frames(self) -> list[Results]:
        """The results of each frame of the sample, in the order of the input."""
        kept = self._first.frames or self._further.frames
        return [kept[k] for k in evenly(np.arange(len(kept)), self._most)]


class _Kept:
    """The results of every n-th of a stream of frames, at most twice as many as `most`; n is a power of 2."""

    def __init__(self, most: int) -> None:
        self.frames: list[Results] = []
        self._most, self._count, self._stride = most, 0, 1

    def add(self, results: Results | OpenResults, is_of_stream: NDArray[np.bool_]) -> None:
        """Take those of the next frames that are of the stream."""
        rows = np.flatnonzero(is_of_stream)
        chosen = rows[-self._count % self._stride :: self._stride]
        self._count += len(rows)
        while len(self.frames) + len(chosen) > 2 * self._most:
            chosen = chosen[len(self.frames) % 2 :: 2]
            self.frames, self._stride = self.frames[::2], 2 * self._stride
        if len(chosen):
            taken = results.take(chosen)
            self.frames += [taken.take(np.array([k])) for k in range(len(chosen))]
