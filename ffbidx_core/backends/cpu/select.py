"""Selection of the smallest of many keys, exactly and in a reproducible order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .formula import formula, single, where, whole
from .jit import exact_part

BINS = 8192
"""Number of bins of the histogram by which keys are selected."""
FEW_KEYS = 512
"""Number of keys up to which sorting all of them takes less time than the histogram."""
FEWEST_ROWS = 4
"""Smallest number of keys in a lane for which a bound saves time."""
NO_BOUND = 1e30
"""Above every key."""


@exact_part
def upper_bound(keys: Any, n: int, lowest: float, scale: float, wanted: int, histogram: Any, least: Any) -> float:
    """Return a key that at least `wanted` of the keys do not exceed and most of them do; `NO_BOUND` for few keys.

    The keys are dealt out to twice as many lanes as keys are wanted. The smallest keys of the lanes are found with one
    comparison a key, many at a time, and the bound is the largest of the `wanted` smallest of these, give or take the
    width of a bin.

    Parameters
    ----------
    least : (n,)
        Scratch array.
    """
    n_lanes = 2 * wanted
    n_rows = n // n_lanes
    if n_rows < FEWEST_ROWS:
        return NO_BOUND
    for j in range(n_lanes):
        least[j] = keys[j]
    for row in range(1, n_rows):
        for j in range(n_lanes):
            keep_smaller(least, j, keys, row * n_lanes + j)
    for b in range(BINS):
        histogram[b] = 0
    for j in range(n_lanes):
        count_key(histogram, least, j, lowest, scale)
    found, cut = histogram[0], 0
    while found < wanted:
        cut += 1
        found += histogram[cut]
    bound = lowest
    for j in range(n_lanes):
        if bin_of(least, j, lowest, scale) <= cut and least[j] > bound:
            bound = least[j]
    return bound


@exact_part
def count_limit(counts: Any, n: int, least: int, wanted: int) -> int:
    """The smallest integer from `least` to 0 that at least `wanted` of n integers do not exceed; 0 if there is none."""
    lowest, highest = least, 0
    while lowest < highest:
        middle, found = (lowest + highest) // 2, np.int32(0)
        for k in range(n):
            found = counted(found, counts, k, middle)
        if found >= wanted:
            highest = middle
        else:
            lowest = middle + 1
    return highest


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
    if ordered and n <= FEW_KEYS:
        for k in range(n):
            put(out_keys, out_ids, k, keys[k], k)
        sort_keys(out_keys, out_ids, 0, n)
        return wanted if wanted < n else n
    scale = (BINS - 1) / (1.0 - lowest)
    # Keys above the bound can be none of the wanted ones: two comparisons of each save nearly all of the bins.
    bound = upper_bound(keys, n, lowest, scale, wanted, histogram, out_keys)
    for b in range(BINS):
        histogram[b] = 0
    for k in range(n):
        if keys[k] <= bound:
            count_key(histogram, keys, k, lowest, scale)
    below, cut = 0, 0
    while cut < BINS - 1 and below + histogram[cut] < wanted:
        below += histogram[cut]
        cut += 1
    # Keys of the last bin follow the keys of lower bins, all of which are selected.
    sure, tied = 0, below
    for k in range(n):
        if keys[k] > bound:
            continue
        b = bin_of(keys, k, lowest, scale)
        if b < cut:
            put(out_keys, out_ids, sure, keys[k], k)
            sure += 1
        elif b == cut:
            put(out_keys, out_ids, tied, keys[k], k)
            tied += 1
    sort_keys(out_keys, out_ids, 0 if ordered else below, tied)
    return wanted if wanted < tied else tied


@exact_part
def sort_keys(keys: Any, ids: Any, first: int, last: int) -> None:
    """Sort keys `first` to `last`, and their indices along, by key and index; a Shell sort, which allocates nothing."""
    gap = 1
    while 3 * gap < last - first:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(first + gap, last):
            key, k, j = keys[i], ids[i], i
            while j >= first + gap and is_after(keys, ids, j - gap, key, k):
                put(keys, ids, j, keys[j - gap], ids[j - gap])
                j -= gap
            put(keys, ids, j, key, k)
        gap //= 3


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
def counted(found: Any, counts: Any, k: int, highest: int) -> Any:
    """The number found, plus 1 if integer k is at most the highest."""
    return where(counts[k] <= single(highest), found + 1, found)


@formula
def put_if_at_most(ids: Any, place: int, counts: Any, k: int, limit: int) -> Any:
    """Store k at a place, and return the next place if count k is at most the limit, else the same place."""
    ids[place] = k
    return place + whole(counts[k] <= single(limit))


@formula
def keep_smaller(least: Any, j: int, keys: Any, k: int) -> None:
    """Replace a key by another one that is smaller."""
    least[j] = where(keys[k] < least[j], keys[k], least[j])


@formula
def put(keys: Any, ids: Any, place: int, key: Any, k: int) -> None:
    """Store a key and its index at a place."""
    keys[place], ids[place] = key, k


@formula
def is_after(keys: Any, ids: Any, place: int, key: Any, k: int) -> Any:
    """Whether the key at a place sorts after a given key with the index k."""
    return (keys[place] > key) | ((ids[place] > k) & (keys[place] >= key))
