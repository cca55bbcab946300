"""Lattice centring: the primitive basis of a conventional cell and the reflections that it leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array

_SIXTHS = {
    "P": ((6, 0, 0), (0, 6, 0), (0, 0, 6)),
    "A": ((6, 0, 0), (0, 3, 3), (0, -3, 3)),
    "B": ((3, 0, 3), (0, 6, 0), (-3, 0, 3)),
    "C": ((3, 3, 0), (-3, 3, 0), (0, 0, 6)),
    "I": ((-3, 3, 3), (3, -3, 3), (3, 3, -3)),
    "F": ((0, 3, 3), (3, 0, 3), (3, 3, 0)),
    "R": ((4, 2, 2), (-2, 2, 2), (-2, -4, 2)),
}
PRIMITIVE: dict[str, Array] = {symbol: np.array(rows) / 6 for symbol, rows in _SIXTHS.items()}
"""Rows: primitive vectors in terms of the conventional a, b, c, so that PRIMITIVE[symbol] @ cell is a primitive cell.

R is obverse, on hexagonal axes.
"""


def is_allowed(indices: NDArray[np.int64], centring: str) -> NDArray[np.bool_]:
    """Whether the centring leaves reflections (n, 3): those whose indices on the primitive basis are integers."""
    allowed: NDArray[np.bool_] = (indices @ np.array(_SIXTHS[centring]).T % 6 == 0).all(axis=1)
    return allowed
