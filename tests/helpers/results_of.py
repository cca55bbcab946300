"""Artificial but consistent blocks of frames with results."""

import io

import h5py
import numpy as np

from ffbidx_core.model.records.frame import BatchResult, FrameBlock
from ffbidx_core.model.records.results import ResultsHeader
from ffbidx_core.write import ResultsWriter

HEADER = ResultsHeader("1.2.3", "ifssr", '{"max_spots": 100}', "cpu", "two cores")
CELLS = np.stack([np.diag([30.0, 40.0, 50.0]), np.diag([60.0, 61.0, 62.0])])


def block_of(counts: list[tuple[int, int]], source: str = "a.h5", seed: int = 0) -> tuple[FrameBlock, BatchResult]:
    """A block with these numbers of (cells, crystals) for each frame; the caller makes the status."""
    rng = np.random.default_rng(seed)
    n_frames, n_cells = len(counts), sum(n for n, _ in counts)
    cell_offsets = np.concatenate([[0], np.cumsum([n for n, _ in counts], dtype=np.int64)])
    chosen = [np.sort(rng.permutation(n)[:k]) + cell_offsets[f] for f, (n, k) in enumerate(counts)]
    crystals = np.concatenate([np.zeros(0, np.int64), *chosen]).astype(np.int64)
    n_crystals = len(crystals)
    block = FrameBlock(
        [source] * n_frames,
        np.arange(n_frames),
        [f"id{f}" for f in range(n_frames)],
        np.zeros((0, 3), np.float32),
        np.zeros(n_frames + 1, np.int64),
        np.ones(n_frames, np.uint8),
        rng.integers(0, 300, n_frames, dtype=np.int32),
    )
    result = BatchResult(
        n_sampled=np.minimum(block.n_spots, 100),
        n_at_origin=rng.integers(0, 5, n_frames, dtype=np.int32),
        reason=rng.integers(1, 7, n_frames, dtype=np.uint8) * np.array([k == 0 for _, k in counts], np.uint8),
        rung=rng.integers(0, 4, n_frames, dtype=np.uint8) * np.array([k > 0 for _, k in counts], np.uint8),
        cell_offsets=cell_offsets,
        cells=(np.diag([30, 40, 50]) + rng.normal(size=(n_cells, 3, 3))).astype(np.float32),
        scores=rng.normal(size=n_cells).astype(np.float32),
        input_cell=rng.integers(0, 2, n_cells, dtype=np.int32),
        crystal_offsets=np.concatenate([[0], np.cumsum([k for _, k in counts], dtype=np.int64)]),
        crystals=crystals,
        n_indexed=rng.integers(5, 300, n_crystals, dtype=np.int32),
        rmsd=rng.uniform(0, 1e-3, n_crystals).astype(np.float32),
        log10_chance=rng.uniform(-50, -11, n_crystals).astype(np.float32),
        log10_false=rng.uniform(-40, -4, n_crystals).astype(np.float32),
        n_expected=rng.uniform(0, 3, n_crystals).astype(np.float32),
        resolution=rng.uniform(2, 4, n_crystals).astype(np.float32),
    )
    return block, result


def status_of(result: BatchResult) -> np.ndarray:
    """The status of each frame: INDEXED if it has a crystal, otherwise NOT_INDEXED."""
    return (np.diff(result.crystal_offsets) == 0).astype(np.uint8)


TWO_BLOCKS = [block_of([(3, 2), (0, 0), (1, 1)]), block_of([(2, 0), (4, 3)], "b.txt", seed=1)]


def writer_of(blocks: list = TWO_BLOCKS) -> ResultsWriter:
    """A writer to which these blocks have been added."""
    writer = ResultsWriter(HEADER)
    rows = writer.input_rows(CELLS)
    for block, result in blocks:
        writer.add(block, result, status_of(result), rows)
    return writer


def opened(image: bytes) -> h5py.File:
    """Open a results file in memory."""
    return h5py.File(io.BytesIO(image), "r")
