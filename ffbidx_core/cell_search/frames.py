"""The frames on which a cell is searched for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..model.detector.beam_shift import BeamShift
from ..model.detector.pixels import frames_of_moved_detector
from ..model.records.frame import FrameBlock, FrameStatus
from ..model.records.ragged import offsets_of, rows_of
from ..model.records.spots import FrameSpots
from ..model.unknown.scan import FEWEST_SPOTS, MOST_SPOTS

GOLDEN = (5**0.5 - 1) / 2


class Frames(FrameSpots):
    """The spots of the frames of a search."""

    @classmethod
    def of_blocks(cls, blocks: Iterable[FrameBlock], most: int) -> Frames:
        """The first frames of some blocks with at least `FEWEST_SPOTS` spots; at most `most` frames."""
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

    def moved(self, shift: BeamShift, stretch: float = 0.0) -> Frames:
        """The frames with the detector moved, as far as this can be computed from the spots alone.

        A frame whose spots fit no Ewald sphere stays as it is.

        Parameters
        ----------
        shift
            Offset of the beam from its assumed position.
        stretch
            Relative excess of the assumed detector distance over the true one. The scale of the spots across the beam
            stays the same, and so do the lengths of cells; only their stretch along the beam is removed.
        """
        if not shift and not stretch:
            return self
        moved = frames_of_moved_detector(self.spots, self.offsets, shift.radian, stretch)
        is_moved = (moved != self.spots).any(axis=1, keepdims=True)
        return Frames(np.asarray(np.where(is_moved, moved / (1 + stretch), moved), np.float32), self.offsets)

    def order(self) -> NDArray[np.int64]:
        """The numbers of all frames in search order: the half with more spots first, each half spread over the run."""
        ranked = np.argsort(-self.counts, kind="stable")
        half = -(-self.n_frames // 2)
        return np.concatenate([_spread(np.sort(part)) for part in (ranked[:half], ranked[half:])])

    def low(self) -> Frames:
        """The frames with at most `MOST_SPOTS` spots each, those of lowest resolution."""
        squares = np.einsum("ij,ij->i", self.spots, self.spots, dtype=np.float64)
        frame = np.repeat(np.arange(self.n_frames), self.counts)
        order = np.lexsort((squares, frame))
        rank = np.arange(len(order)) - self.offsets[frame]
        kept = order[rank < MOST_SPOTS]
        return Frames(self.spots[kept], offsets_of(np.minimum(self.counts, MOST_SPOTS)))


def _spread(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frames in an order in which every initial part is spread evenly over all."""
    places = np.argsort(np.mod(np.arange(len(frames)) * GOLDEN, 1), kind="stable")
    return frames[np.argsort(places, kind="stable")] if len(frames) else frames
