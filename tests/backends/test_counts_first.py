"""Directions that are counted before they are scored on the CPU, against the scores of all directions."""

import numba
import numpy as np
import pytest

from ffbidx_core.backends.cpu.scores import TILE, UNROLLED, direction_keys, trims
from ffbidx_core.backends.cpu.search import aligned
from ffbidx_core.backends.cpu.select import BINS, best_keys
from ffbidx_core.backends.cpu.vectors import best_directions
from ffbidx_core.model.plan import half_sphere
from ffbidx_core.parameters import Parameters

N = 4000


@numba.njit
def with_all_scores(directions, spots, n, values, every, wanted, ordered, work, keys, order, ids):
    direction_keys(directions, N, spots, n, values, every, work, keys)
    return best_keys(keys, N, -n - 1.0, wanted, np.empty(BINS, np.int64), order, ids, ordered)


@numba.njit
def with_counts_first(directions, spots, n, values, every, wanted, ordered, work, keys, order, ids, listed, listed_ids):
    histogram = np.empty(BINS, np.int64)
    return best_directions(
        directions,
        N,
        spots,
        n,
        values,
        every,
        wanted,
        ordered,
        work,
        keys,
        order,
        listed,
        listed_ids,
        histogram,
        ids,
    )


@pytest.mark.parametrize("near", [0.0, 0.12, 0.3, 0.6])
def test_directions_counted_first_are_the_same_in_the_same_order(near):
    rng = np.random.default_rng(8)
    padded = -(-N // TILE) * TILE
    directions, work = aligned((3, padded)), aligned((3, TILE))
    directions[:, :N] = half_sphere(N).T
    values, every = trims(Parameters.preset("best"), near)
    for n, wanted, ordered in ((30, 256, False), (75, 32, True), (75, N, True)):
        spots = np.zeros((3, n + UNROLLED), np.float32)
        spots[:, :n] = rng.normal(0, 8, (3, n))
        scratch = work, aligned(padded), np.empty(N, np.float32)
        first, second = np.empty(N, np.int64), np.empty(N, np.int64)
        all_scored = with_all_scores(directions, spots, n, values, every, wanted, ordered, *scratch, first)
        lists = aligned((3, padded)), np.empty(N + 1, np.int64)
        counted = with_counts_first(directions, spots, n, values, every, wanted, ordered, *scratch, second, *lists)
        assert counted == all_scored == wanted
        np.testing.assert_array_equal(second[:counted], first[:counted])
