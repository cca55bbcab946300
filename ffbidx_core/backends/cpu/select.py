"""The best of many keys, exactly and in a fixed order."""

from __future__ import annotations

from typing import Any

from .formula import formula, single, whole
from .jit import exact_part

BINS = 8192


@exact_part
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
    scale = (BINS - 1) / (1.0 - lowest)
    for k in range(n):
        count_key(histogram, keys, k, lowest, scale)
    below, cut = 0, 0
    while cut < BINS - 1 and below + histogram[cut] < wanted:
        below += histogram[cut]
        cut += 1
    # Keys of the last bin come behind those that are certain of their place.
    sure, tied = 0, below
    for k in range(n):
        b = bin_of(keys, k, lowest, scale)
        if b < cut:
            put(out_keys, out_ids, sure, keys[k], k)
            sure += 1
        elif b == cut:
            put(out_keys, out_ids, tied, keys[k], k)
            tied += 1
    first = 0 if ordered else below
    # Shell's sort: short, no allocation.
    gap = 1
    while 3 * gap < tied - first:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(first + gap, tied):
            key, k, j = out_keys[i], out_ids[i], i
            while j >= first + gap and is_after(out_keys, out_ids, j - gap, key, k):
                put(out_keys, out_ids, j, out_keys[j - gap], out_ids[j - gap])
                j -= gap
            put(out_keys, out_ids, j, key, k)
        gap //= 3
    return wanted if wanted < tied else tied


def _bin(keys: Any, k: Any, lowest: Any, scale: Any) -> Any:
    return whole((keys[k] - single(lowest)) * single(scale))


@formula
def bin_of(keys: Any, k: int, lowest: float, scale: float) -> Any:
    """The bin of a key."""
    return _bin(keys, k, lowest, scale)


@formula
def count_key(histogram: Any, keys: Any, k: int, lowest: float, scale: float) -> None:
    """One more key in its bin."""
    b = _bin(keys, k, lowest, scale)
    histogram[b] = histogram[b] + 1


@formula
def put(keys: Any, ids: Any, place: int, key: Any, k: int) -> None:
    """Store a key with its index."""
    keys[place], ids[place] = key, k


@formula
def is_after(keys: Any, ids: Any, place: int, key: Any, k: int) -> Any:
    """Whether what stands at a place belongs behind a key with its index."""
    return (keys[place] > key) | ((ids[place] > k) & (keys[place] >= key))
