"""Selection of the smallest of many keys, exactly and in a reproducible order."""

from __future__ import annotations

from typing import Any

from .formula import formula, single, whole
from .jit import exact_part

BINS = 8192
"""Number of bins of the histogram by which keys are selected."""


@exact_part
def best_keys(
    keys: Any, n: int, lowest: float, wanted: int, histogram: Any, out_keys: Any, out_ids: Any, ordered: bool
) -> int:
    """Select the `wanted` smallest of n keys in (lowest, 1], with ties to the smaller index; return their number.

    Parameters
    ----------
    histogram : (BINS,) int64
        Scratch array.
    out_keys, out_ids : (n,)
        Arrays that receive the keys and their indices, sorted if `ordered`.
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
    # Keys of the last bin follow the keys of lower bins, all of which are selected.
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
    # Shell sort, which is short and allocates nothing.
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
    """The bin of key k."""
    return whole((keys[k] - single(lowest)) * single(scale))


@formula
def bin_of(keys: Any, k: int, lowest: float, scale: float) -> Any:
    """The bin of key k."""
    return _bin(keys, k, lowest, scale)


@formula
def count_key(histogram: Any, keys: Any, k: int, lowest: float, scale: float) -> None:
    """Add 1 to the bin of key k."""
    b = _bin(keys, k, lowest, scale)
    histogram[b] = histogram[b] + 1


@formula
def put(keys: Any, ids: Any, place: int, key: Any, k: int) -> None:
    """Store a key and its index at a place."""
    keys[place], ids[place] = key, k


@formula
def is_after(keys: Any, ids: Any, place: int, key: Any, k: int) -> Any:
    """Whether the key at a place sorts after a given key with the index k."""
    return (keys[place] > key) | ((ids[place] > k) & (keys[place] >= key))
