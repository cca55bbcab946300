"""Spot files as blocks of frames, in the order of the input and with bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..model.frame import FrameBlock
from .inputs import Source

FRAMES_PER_BLOCK = 1024


def read_blocks(
    sources: Sequence[Source],
    *,
    frames_per_block: int = FRAMES_PER_BLOCK,
    d_min: float | None = None,
    d_max: float | None = None,
    every: int = 1,
    max_frames: int | None = None,
) -> Iterator[FrameBlock]:
    """The frames of the sources."""
    raise NotImplementedError


def count_frames(sources: Iterable[Source]) -> int | None:
    """How many frames the sources hold, or None where that would take long to find out."""
    raise NotImplementedError
