"""The frames that a cell is searched on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.detector.beam_shift import BeamShift
from ..model.detector.pixels import frames_of_moved_detector
from ..model.records.frame import FrameBlock, FrameStatus
from ..model.records.ragged import offsets_of, rows_of
from ..model.unknown.scan import FEWEST_SPOTS, MOST_SPOTS

GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Frames:
    """F frames with N spots in all.

    Attributes
    ----------
    spots : (N, 3) float32
        1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1].
    """

    spots: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def of_blocks(cls, blocks: Iterable[FrameBlock], most: int) -> Frames:
        """The first frames of some blocks that have `FEWEST_SPOTS` spots, `most` of them at most."""
        spots, counts = [np.zeros((0, 3), np.float32)], [np.zeros(0, np.int64)]
        there = 0
        for block in blocks:
            usable = (block.status == FrameStatus.NOT_INDEXED) & (np.diff(block.offsets) >= FEWEST_SPOTS)
            chosen = np.flatnonzero(usable)[: most - there]
            rows, offsets = rows_of(block.offsets, chosen)
            spots.append(block.spots[rows])
            counts.append(np.diff(offsets))
            there += len(chosen)
            if there >= most:
                break
        return cls(np.concatenate(spots), offsets_of(np.concatenate(counts)))

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of spots of each frame, (F,)."""
        return np.diff(self.offsets)

    def take(self, chosen: NDArray[np.int64]) -> Frames:
        """Some of the frames, in the order of `chosen`."""
        rows, offsets = rows_of(self.offsets, chosen)
        return Frames(self.spots[rows], offsets)

    def moved(self, shift: BeamShift) -> Frames:
        """The frames with the beam shifted, as well as spots alone allow."""
        if not shift:
            return self
        return Frames(frames_of_moved_detector(self.spots, self.offsets, shift.radian), self.offsets)

    def order(self) -> NDArray[np.int64]:
        """All frames in the order of the search: the half with more spots first, each half spread over the run."""
        ranked = np.argsort(-self.counts, kind="stable")
        half = -(-self.n_frames // 2)
        return np.concatenate([_spread(np.sort(part)) for part in (ranked[:half], ranked[half:])])

    def low(self) -> Frames:
        """The frames with no more than `MOST_SPOTS` spots each, those of lowest resolution."""
        squares = np.einsum("ij,ij->i", self.spots, self.spots, dtype=np.float64)
        frame = np.repeat(np.arange(self.n_frames), self.counts)
        order = np.lexsort((squares, frame))
        rank = np.arange(len(order)) - self.offsets[frame]
        kept = order[rank < MOST_SPOTS]
        return Frames(self.spots[kept], offsets_of(np.minimum(self.counts, MOST_SPOTS)))


def _spread(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frames in an order of which any first part is spread evenly over all."""
    places = np.argsort(np.mod(np.arange(len(frames)) * GOLDEN, 1), kind="stable")
    return frames[np.argsort(places, kind="stable")] if len(frames) else frames
