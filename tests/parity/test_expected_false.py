"""The number of false crystals expected: each backend against the plain array code, both in float64.

The numbers reach some -2000, and are sums of a few dozen roundings of terms as large.
"""

import numpy as np
import pytest

from ffbidx_core.backends.generic.expected_false import expected_false
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.oracle_checks import to_host

EPS = np.finfo(np.float64).eps
SIZES = (0, 3, 5, 8, 30, 100, 300, 900)
VOLUMES, ORDERS = np.array([2.3e5, 1e7, 8e3]), np.array([8.0, 12.0, 1.0])


@pytest.mark.parametrize("max_spots", [100, 300])
@pytest.mark.parametrize("n_cells", [1, 40])
@pytest.mark.parametrize("one_a_frame", [True, False])
def test_the_numbers_are_the_same(backend, oracle, rng, max_spots, n_cells, one_a_frame):
    p = Parameters.preset("best", max_spots=max_spots)
    spots = rng.uniform(-0.3, 0.3, (sum(SIZES), 3)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(SIZES)])
    counts = np.stack([rng.integers(0, n + 1, n_cells) for n in SIZES])
    counts[:, 0] = SIZES
    radii = rng.uniform(5e-4, 3e-3, counts.shape)
    input_cell = rng.integers(0, 3, (len(SIZES), 1 if one_a_frame else n_cells))
    wanted = expected_false(oracle.load(spots, offsets), counts, radii, input_cell, VOLUMES, ORDERS, p)
    xp = backend.xp
    arrays = (xp.asarray(array) for array in (counts, radii, input_cell, VOLUMES, ORDERS))
    found = to_host(backend.expected_false(backend.load(spots, offsets), *arrays, p))
    np.testing.assert_allclose(found, wanted, rtol=64 * EPS, atol=64 * EPS * len(SIZES))
    assert np.isinf(wanted).any() == (n_cells > 1 or min(SIZES) < p.min_new_spots)
    assert wanted.min() < -100


def test_no_frames(backend):
    empty = backend.load(np.zeros((0, 3), np.float32), np.zeros(1, np.int64))
    xp = backend.xp
    none = xp.zeros((0, 4))
    arrays = none.astype(xp.int64), none, none.astype(xp.int64), xp.asarray(VOLUMES), xp.asarray(ORDERS)
    assert backend.expected_false(empty, *arrays, Parameters.preset("best")).shape == (0, 4)
