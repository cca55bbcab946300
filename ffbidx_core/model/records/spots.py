"""The spots of several frames in one array."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .ragged import rows_of


@dataclass(frozen=True)
class FrameSpots:
    """The N spots of F frames.

    Attributes
    ----------
    spots : (N, 3) float32
        Spots, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1].
    """

    spots: NDArray[Any]
    offsets: NDArray[np.int64]

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of spots of each frame, (F,)."""
        return np.diff(self.offsets)

    def of_frame(self, f: int) -> NDArray[Any]:
        """The spots (n, 3) of a frame, 1/angstrom."""
        return self.spots[self.offsets[f] : self.offsets[f + 1]]

    def take(self, frames: NDArray[np.int64]) -> Self:
        """The frames with these numbers, in their order."""
        rows, offsets = rows_of(self.offsets, frames)
        return replace(self, spots=self.spots[rows], offsets=offsets)
