"""Rows of unequal numbers, one after the other in one array."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..xp import XpArray


def offsets_of(counts: XpArray, xp: ModuleType = np) -> XpArray:
    """Where each part begins in the array that holds parts of so many rows (F,), and where the last ends.

    Returns
    -------
    (F + 1,) int64
        Part f owns rows offsets[f]:offsets[f + 1]. An array of `xp`.
    """
    return xp.concatenate([xp.zeros(1, dtype=xp.int64), xp.cumsum(counts, dtype=xp.int64)])


def rows_of(offsets: XpArray, parts: XpArray, xp: ModuleType = np) -> tuple[XpArray, XpArray]:
    """Rows of some parts (indices), one part after the other, and the offsets of these alone."""
    own = offsets_of(xp.diff(offsets)[parts], xp)
    each = xp.arange(int(own[-1]))
    shift = offsets[:-1][parts] - own[:-1]
    return each + shift[xp.searchsorted(own, each, side="right") - 1], own


def fuller_half(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The half of the parts that has more rows, by their number."""
    order = np.argsort(np.diff(offsets), kind="stable")
    return order[len(order) // 2 :]


def evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of some rows, spread evenly over them."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.arange(most) * len(rows) // most])
