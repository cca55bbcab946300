"""Ragged arrays: parts with unequal numbers of rows, one after the other in one array."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..xp import XpArray


def offsets_of(counts: XpArray, xp: ModuleType = np) -> XpArray:
    """Offsets of the parts in a ragged array.

    Parameters
    ----------
    counts : (F,)
        Number of rows in each part.

    Returns
    -------
    (F + 1,) int64
        Part f owns the rows offsets[f]:offsets[f + 1]; an array of `xp`.
    """
    return xp.concatenate([xp.zeros(1, dtype=xp.int64), xp.cumsum(counts, dtype=xp.int64)])


def rows_of(
    offsets: XpArray, parts: XpArray, xp: ModuleType = np, n_rows: int | None = None
) -> tuple[XpArray, XpArray]:
    """Rows of a selection of parts.

    Parameters
    ----------
    offsets : (F + 1,)
        Part f owns the rows offsets[f]:offsets[f + 1].
    parts : (n,)
        Indices of the selected parts.
    n_rows
        Number of rows that are returned: those of the parts, and any others; None for those of the parts alone, for
        which the host waits until a device has counted them.

    Returns
    -------
    rows
        Rows of the selected parts, one part after the other.
    offsets : (n + 1,)
        Offsets of the selected parts in the array of these rows alone.
    """
    own = offsets_of(xp.diff(offsets)[parts], xp)
    each = xp.arange(int(own[-1]) if n_rows is None else n_rows)
    shift = offsets[:-1][parts] - own[:-1]
    part = xp.searchsorted(own[1:], each, side="right")
    if n_rows is None:
        return each + shift[part], own
    return xp.minimum(each + shift[xp.minimum(part, len(parts) - 1)], n_rows - 1), own


def fuller_half(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the half of the parts that has more rows, in ascending order of their numbers of rows."""
    order = np.argsort(np.diff(offsets), kind="stable")
    return order[len(order) // 2 :]


def evenly_within(rows: NDArray[np.int64], counts: NDArray[np.int32], most: int, most_counts: int) -> NDArray[np.int64]:
    """A selection of at most `most` rows, spread evenly over all of them, with about `most_counts` counts in total.

    Parameters
    ----------
    counts
        Number of elements of each row, such as the spots of a frame, in the order of `rows`.
    """
    each = max(1.0, float(counts.mean()) if len(rows) else 1.0)
    return evenly(rows, min(most, max(1, int(most_counts / each))))


def evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """A selection of at most `most` rows, spread evenly over all of them."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.arange(most) * len(rows) // most])


def counts_joined(counts: Sequence[NDArray[np.int64] | None], n_rows: Sequence[int]) -> NDArray[np.int64] | None:
    """Counts of consecutive rows from those of several parts, of which a part with None has only zeros.

    Parameters
    ----------
    counts : sequence of (n,) or None
        Count of each row of a part.
    n_rows : sequence of int
        Number n of rows of each part.

    Returns
    -------
    (N,) or None
        Count of each row of all parts; None if all parts have None.
    """
    if all(each is None for each in counts):
        return None
    filled = (np.zeros(n, np.int64) if each is None else each for each, n in zip(counts, n_rows, strict=True))
    return np.concatenate(list(filled))
