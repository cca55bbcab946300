"""The selection of the smallest keys on the CPU, against a full sort."""

import numba
import numpy as np
import pytest

from ffbidx_core.backends.cpu.scores import square_limit
from ffbidx_core.backends.cpu.select import BINS, best_keys, count_limit

LOWEST = -101.0


@numba.njit
def selected(keys, wanted, ordered):
    n = len(keys)
    out, ids = np.empty(n, np.float32), np.empty(n, np.int64)
    found = best_keys(keys, n, LOWEST, wanted, np.empty(BINS, np.int64), out, ids, ordered)
    return ids[:found]


@numba.njit
def limit_of(counts, least, wanted):
    return count_limit(counts, len(counts), least, wanted)


def by_a_full_sort(keys, wanted, ordered):
    """The same indices in the same order: by key and index; unordered, those of lower bins come first, as they are."""
    order = np.lexsort((np.arange(len(keys)), keys))[:wanted]
    if ordered:
        return order
    bins = ((keys - np.float32(LOWEST)) * np.float32((BINS - 1) / (1.0 - LOWEST))).astype(int)
    sure = bins[order] < (bins[order[-1]] if len(keys) >= wanted else BINS)
    return np.concatenate([np.sort(order[sure]), order[~sure]])


def made_keys(kind, n):
    rng = np.random.default_rng(n)
    return {
        "spread": lambda: -rng.poisson(20, n) + rng.random(n),
        "in one bin": lambda: -3 + 1e-6 * rng.random(n),
        "all equal": lambda: np.full(n, -2.5),
        "many ties": lambda: -rng.integers(0, 5, n),
        "smallest last": lambda: -np.arange(n) * (99 / n),
        "smallest first": lambda: -99 + np.arange(n) * (99 / n),
    }[kind]().astype(np.float32)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", ["spread", "in one bin", "all equal", "many ties", "smallest last", "smallest first"])
def test_the_smallest_keys_are_found_in_the_order_of_a_full_sort(kind, ordered):
    for n, wanted in ((1, 1), (5, 32), (255, 32), (256, 32), (1000, 32), (4099, 1), (20_000, 32), (20_000, 2048)):
        keys = made_keys(kind, n)
        np.testing.assert_array_equal(selected(keys, wanted, ordered), by_a_full_sort(keys, wanted, ordered))


def test_the_limit_of_counts_lets_as_many_pass_as_are_wanted_and_not_one_count_more():
    rng = np.random.default_rng(3)
    for n, wanted in ((5000, 200), (5000, 1), (40, 40), (40, 41)):
        counts = -rng.poisson(6, n).astype(np.float32)
        limit = limit_of(counts, -32, wanted)
        passing = np.count_nonzero(counts <= limit)
        assert passing >= min(wanted, n)
        assert (limit == 0 and passing == n) or np.count_nonzero(counts <= limit - 1) < wanted


@pytest.mark.parametrize("distance", [0.0, -0.1, 0.05, 0.12, 0.15, 0.2, 1 / 3, 0.5, 1e6])
def test_a_square_is_below_the_limit_if_and_only_if_its_root_is_below_the_distance(distance):
    limit, near = np.float32(square_limit(distance)), np.float32(max(distance, 0.0))
    around = [limit]
    for _ in range(3):
        around = [np.nextafter(around[0], np.float32(0)), *around, np.nextafter(around[-1], np.float32(np.inf))]
    for square in around:
        assert (square < limit) == (np.sqrt(square) < near)
