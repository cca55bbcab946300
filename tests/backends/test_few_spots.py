"""Parts of the CPU's search for the lattices that are whole at three spots."""

import numba
import numpy as np
import pytest

from ffbidx_core.backends.cpu.formula import formula
from ffbidx_core.backends.cpu.lattices.elementary import MOST, exponential_of_negative, logarithm
from ffbidx_core.backends.cpu.lattices.selling import put_voronoi_lengths, selling_reduced
from ffbidx_core.backends.cpu.lattices.triples_of_threes import BINS, lowest_keys
from ffbidx_core.model.unknown.selling import voronoi_lengths


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_the_exponential_function_and_the_logarithm_are_close():
    functions = formula(lambda x: (exponential_of_negative(x), logarithm(x)))

    @numba.njit
    def kernel(x, values):
        for i in range(len(x)):
            values[i, 0], values[i, 1] = functions(x[i])

    x = np.concatenate([np.linspace(1e-6, MOST, 5001), [1e-200, 1e-30, 1e30, 1e300]])
    values = np.empty((len(x), 2))
    kernel(x, values)
    np.testing.assert_allclose(values[:, 0], np.exp(-np.minimum(x, MOST)), rtol=1e-12)
    np.testing.assert_allclose(values[:, 1], np.log(x), rtol=1e-13, atol=1e-9)


def test_updated_scalar_products_give_the_voronoi_lengths(rng):
    @numba.njit
    def kernel(vectors, lengths):
        for i in range(len(vectors)):
            v = vectors[i]
            _, products = selling_reduced(
                (v[0, 0], v[0, 1], v[0, 2]), (v[1, 0], v[1, 1], v[1, 2]), (v[2, 0], v[2, 1], v[2, 2])
            )
            put_voronoi_lengths(products, lengths, i)

    turns = np.tril(rng.integers(-3, 4, (200, 3, 3)), -1) + np.eye(3)
    cells = rng.uniform(30, 100, (200, 1, 1)) * (np.eye(3) + rng.normal(0, 0.2, (200, 3, 3)))
    lengths = np.empty((200, 7))
    kernel(turns @ cells, lengths)
    np.testing.assert_allclose(lengths, voronoi_lengths(cells), rtol=1e-11)


@pytest.mark.parametrize("n", [0, 1, 100, 5000])
@pytest.mark.parametrize("spread", [0, 2, 1e4, 1e15])
def test_the_lowest_keys_are_sorted(rng, n, spread):
    keys, lowest = (rng.normal(0, 1, n) * spread).astype(np.int64), np.zeros(n, np.int64)
    found = lowest_keys(keys, n, 700, np.empty(BINS, np.int64), lowest)
    np.testing.assert_array_equal(lowest[:found], np.sort(keys)[:700])
