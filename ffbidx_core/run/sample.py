"""An even sample, in bounded memory, of the frames on which a run found crystals."""

from __future__ import annotations

import numpy as np

from ..model.records.frame import FrameStatus
from ..model.records.ragged import evenly
from ..model.records.reason import Rung
from ..model.records.results import Results


class EvenSample:
    """The results of some frames that were indexed at the first try, spread evenly over the run.

    All such frames are kept at first, then every second, every fourth, and so on; which ones does not depend on the
    division of the run into batches and saved parts.

    Parameters
    ----------
    most
        Largest number of frames in the sample; twice as many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[Results] = []
        self._count, self._stride = 0, 1

    def add(self, results: Results) -> None:
        """Take the results of the next frames."""
        if self._most == 0:
            return
        indexed = results.status == FrameStatus.INDEXED
        if results.rung is not None:
            indexed &= results.rung == Rung.FIRST_TRY
        rows = np.flatnonzero(indexed)
        chosen = rows[-self._count % self._stride :: self._stride]
        self._count += len(rows)
        while len(self._kept) + len(chosen) > 2 * self._most:
            chosen = chosen[len(self._kept) % 2 :: 2]
            self._kept, self._stride = self._kept[::2], 2 * self._stride
        self._kept += [results.take(np.array([row])) for row in chosen]

    @property
    def frames(self) -> list[Results]:
        """The results of each frame of the sample, in the order of the input."""
        return [self._kept[k] for k in evenly(np.arange(len(self._kept)), self._most)]
