"""The order of a frame's spots: by resolution, then by coordinates, so that the input's order never matters."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import exact


@exact
def sort_spots(spots: Any, offsets: Any, first: int, last: int, xyz: Any) -> None:
    """Fill xyz (3, N) with each frame's spots (N, 3) sorted by (|s|^2, x, y, z)."""
    for f in range(first, last):
        begin, n = offsets[f], offsets[f + 1] - offsets[f]
        square, order = np.empty(n), np.empty(n, np.int64)
        for j in range(n):
            x, y, z = np.float64(spots[begin + j, 0]), np.float64(spots[begin + j, 1]), np.float64(spots[begin + j, 2])
            square[j] = x * x + y * y + z * z
            order[j] = begin + j
        gap = 1
        while gap < n // 3:
            gap = 3 * gap + 1
        while gap > 0:
            for i in range(gap, n):
                key, spot = square[i], order[i]
                j = i
                while j >= gap and _after(square[j - gap], order[j - gap], key, spot, spots):
                    square[j], order[j] = square[j - gap], order[j - gap]
                    j -= gap
                square[j], order[j] = key, spot
            gap //= 3
        for j in range(n):
            for r in range(3):
                xyz[r, begin + j] = spots[order[j], r]


@exact
def _after(key: float, spot: int, other_key: float, other: int, spots: Any) -> bool:
    if key != other_key:
        return key > other_key
    for r in range(3):
        if spots[spot, r] != spots[other, r]:
            return bool(spots[spot, r] > spots[other, r])
    return False
