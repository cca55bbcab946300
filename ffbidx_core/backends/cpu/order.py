"""The order of a frame's spots: by resolution, then by coordinates, so that the input's order never matters."""

from __future__ import annotations

from typing import Any

import numpy as np


def sort_spots(spots: Any, offsets: Any, first: int, last: int, xyz: Any) -> None:
    """Fill xyz (3, N) with the spots (N, 3) of frames first to last, each frame's sorted by (|s|^2, x, y, z)."""
    for f in range(first, last):
        mine = slice(offsets[f], offsets[f + 1])
        x, y, z = spots[mine].T.astype(np.float64)
        square = x * x + y * y + z * z
        order = np.argsort(square)
        if (np.diff(square[order]) == 0).any():
            order = np.lexsort((z, y, x, square))
        xyz[:, mine] = spots[mine][order].T
