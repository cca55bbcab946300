"""Division of blocks of frames into batches, whose frames are computed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..model.records.frame import FrameBlock


def batches(blocks: Iterable[FrameBlock], size: int, *, own_cells: bool) -> Iterator[FrameBlock]:
    """Join and cut blocks to batches of `size` frames.

    A block without frames means that there are no new frames yet; the frames that wait then form a smaller batch, which
    comes before that block.

    Parameters
    ----------
    blocks
        Blocks of frames.
    size
        Number of frames in a batch.
    own_cells
        Whether the input cells come from the files. The frames of a batch then share their input cells; frames that
        cannot be used go with any cells.
    """
    waiting: list[FrameBlock] = []
    for block in blocks:
        if block.n_frames == 0:
            if waiting:
                yield FrameBlock.joined(waiting)
                waiting = []
            yield block
            continue
        if own_cells and waiting and _cells_differ(waiting, block):
            yield FrameBlock.joined(waiting)
            waiting = []
        while block.n_frames:
            room = size - sum(part.n_frames for part in waiting)
            waiting.append(block[:room])
            if block.n_frames >= room:
                yield FrameBlock.joined(waiting)
                waiting = []
            block = block[room:]
    if waiting:
        yield FrameBlock.joined(waiting)


def _cells_differ(waiting: Sequence[FrameBlock], block: FrameBlock) -> bool:
    """Whether the input cells of a block differ from those of the blocks that wait."""
    if not block.has_usable_frames:
        return False
    first = next((part for part in waiting if part.has_usable_frames), None)
    if first is None or first.cells is block.cells:
        return False
    return first.cells is None or block.cells is None or not np.array_equal(first.cells, block.cells)
