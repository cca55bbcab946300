"""Spot files made by code, and reading them."""

from collections.abc import Callable, Iterator

import numpy as np

from ffbidx_core.model.records.frame import FrameBlock
from ffbidx_core.read import Source, read_blocks

MakeFile = Callable[..., str]
CELL = np.diag([30.0, 40.0, 50.0])
COUNTS = (4, 0, 3, 5)
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])
"""The offsets of the good spot file of the fixture `hdf5_file`, which has four frames."""


def good_spots(n: int = sum(COUNTS)) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.05, 0.4, (n, 3)).astype(np.float32)


def blocks(*paths: str | Source, **options: object) -> list[FrameBlock]:
    sources = [path if isinstance(path, Source) else Source(path) for path in paths]
    return list(read_blocks(sources, **options))  # type: ignore[arg-type]


def frames(found: list[FrameBlock]) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the source, index and spots of every frame of some blocks."""
    for block in found:
        for f in range(block.n_frames):
            spots = block.spots[block.offsets[f] : block.offsets[f + 1]]
            yield block.sources[f], int(block.indices[f]), spots
