"""The best of many keys, exactly and in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import exact

BINS = 8192


@exact
def sort_by_key(keys: Any, ids: Any, first: int, last: int) -> None:
    """Sort keys[first:last] ascending with their ids; equal keys by id. Shell's sort: short, no allocation."""
    gap = 1
    while gap < (last - first) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(first + gap, last):
            key, id_ = keys[i], ids[i]
            j = i
            while j >= first + gap and (keys[j - gap] > key or (keys[j - gap] == key and ids[j - gap] > id_)):
                keys[j], ids[j] = keys[j - gap], ids[j - gap]
                j -= gap
            keys[j], ids[j] = key, id_
        gap //= 3


@exact
def best_keys(
    keys: Any, n: int, lowest: float, wanted: int, histogram: Any, out_keys: Any, out_ids: Any, ordered: bool
) -> int:
    """The `wanted` smallest of n keys in (lowest, 1], ties to the smaller index; how many there are.

    Parameters
    ----------
    histogram : (BINS,) int64
        Scratch.
    out_keys, out_ids : (n,)
        Receive the keys and their indices, sorted where `ordered`.
    """
    for b in range(BINS):
        histogram[b] = 0
    scale = np.float32((BINS - 1) / (1.0 - lowest))
    low = np.float32(lowest)
    for k in range(n):
        histogram[int((keys[k] - low) * scale)] += 1
    below, cut = 0, 0
    while cut < BINS - 1 and below + histogram[cut] < wanted:
        below += histogram[cut]
        cut += 1
    sure, tied = 0, below
    for k in range(n):
        b = int((keys[k] - low) * scale)
        if b < cut:
            out_keys[sure], out_ids[sure] = keys[k], k
            sure += 1
        elif b == cut:
            out_keys[tied], out_ids[tied] = keys[k], k
            tied += 1
    sort_by_key(out_keys, out_ids, below, tied)
    found = min(wanted, tied)
    if ordered:
        sort_by_key(out_keys, out_ids, 0, below)
    return found
