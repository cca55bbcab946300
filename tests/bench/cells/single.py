"""Methods that use one frame at a time, and the cell on which most frames then agree."""

from __future__ import annotations

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.cell_search import Frames
from ffbidx_core.cell_search.pool import TOLERANCE
from ffbidx_core.cell_search.search import REACHES
from ffbidx_core.model.cell import Array
from ffbidx_core.model.unknown.scan import FLATTEST, VectorScan
from ffbidx_core.model.unknown.selling import voronoi_lengths

SINGLE = 20
"""Number of frames on which these methods are tried."""
AGREE = 3
"""Number of frames that must agree for such a method to have found a cell."""


def single_frames(frames: Frames, truth: Array) -> tuple[bool, bool]:
    """Whether most frames agree on the true cell, by the three best vectors of each, and by its best joint triple."""
    low = frames.take(np.arange(min(SINGLE, frames.n_frames))).low()
    lengths = np.split(np.linalg.norm(low.spots.astype(np.float64), axis=1), low.offsets[1:-1])
    longest = float(np.linalg.norm(truth, axis=1).max())
    scan = VectorScan.make(next((reach for reach in REACHES if reach > 1.05 * longest), REACHES[-1]), lengths)
    if scan is None:
        return False, False
    backend = get_backend("cpu", threads=1)
    spots = backend.load(low.spots, low.offsets)
    vectors = backend.refine_scanned(spots, backend.scan_vectors(spots, scan), scan)
    joint, _ = backend.join_vectors(spots, vectors)
    three = [cell for cell in (_first_three(some) for some in vectors) if cell is not None]
    return _agreed(three, truth), _agreed([cell for cell in joint[:, 0] if cell.any()], truth)


def _first_three(vectors: Array) -> Array | None:
    """The three best vectors of a frame that are not coplanar."""
    some = vectors[vectors.any(axis=1)][:10]
    for k in range(2, len(some)):
        for j in range(1, k):
            for i in range(j):
                cell = some[[i, j, k]]
                if abs(np.linalg.det(cell)) > FLATTEST * np.linalg.norm(cell, axis=1).prod():
                    return np.asarray(cell)
    return None


def _agreed(cells: list[Array], truth: Array) -> bool:
    """Whether the largest cluster of cells, one of each frame, is the true one."""
    if not cells:
        return False
    lengths = voronoi_lengths(np.array(cells))
    near = np.max(np.abs(lengths[:, None] / lengths[None] - 1), axis=2) < TOLERANCE
    best = int(np.argmax(near.sum(axis=1)))
    right = np.max(np.abs(lengths[best] / voronoi_lengths(truth[None])[0] - 1)) < 2 * TOLERANCE
    return bool(near[best].sum() >= AGREE and right)
