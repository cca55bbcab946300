"""Rows of unequal numbers, one after the other in one array."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


def offsets_of(counts: Any, xp: ModuleType = np) -> Any:
    """Where each part begins in the array that holds parts of so many rows (F,), and where the last ends.

    Returns
    -------
    (F + 1,) int64
        Part f owns rows offsets[f]:offsets[f + 1]. An array of `xp`.
    """
    return xp.concatenate([xp.zeros(1, dtype=xp.int64), xp.cumsum(counts, dtype=xp.int64)])
