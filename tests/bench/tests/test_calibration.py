"""The benchmark of the claims, and a short run of it."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate.still import random_rotation
from tests.bench.calibration import LATTICES, measure, overlaps
from tests.bench.claims.agreement import Claims, interval


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Closed forms of none and all, and published values of the exact interval.
        (0, 100, 0.0, 1 - 0.025 ** (1 / 100)),
        (100, 100, 0.025 ** (1 / 100), 1.0),
        (10, 100, 0.0490, 0.1762),
        (1, 1000, 0.0000253, 0.005559),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(k, n, low, high):
    assert interval(k, n) == pytest.approx((low, high), abs=6e-5)


def test_claims_and_findings_agree_within_a_factor_of_two():
    def found(n, most=1.0, further=1.0):
        return Claims(np.full(n, -2.0), 1000, most, further)

    assert [found(n).agrees(0.01) for n in (0, 1, 10, 28, 33)] == [False, True, True, True, False]
    # None can be found, or only the fewest spots can make a crystal: fewer are no contradiction.
    assert found(0, most=1e-4).agrees(0.01)
    assert found(0, further=1e-3).agrees(0.01)
    assert not found(40, further=1e-3).agrees(0.01)


def test_twins_are_told_from_lattices_apart():
    rng = np.random.default_rng(0)
    cubic = cell_from_parameters((20, 20, 20, 90, 90, 90)) @ random_rotation(rng)
    about_diagonal = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3
    assert overlaps(cubic * 1.001, cubic) == 1
    assert overlaps(np.diag([2, 1, 1]) @ cubic, cubic) == 1
    assert overlaps(about_diagonal @ cubic, cubic) == 3
    about_axis = np.array([[3, -4, 0], [4, 3, 0], [0, 0, 5]]) / 5
    assert overlaps(about_axis @ cubic, cubic) == 5
    assert [overlaps(cubic @ random_rotation(rng), cubic) for _ in range(20)] == [0] * 20


@pytest.mark.parametrize(
    ("name", "n_spots", "half_false"),
    [
        ("lysozyme", 35, False),
        ("triclinic", 20, False),
        ("hexagonal 281", 60, False),
        ("lysozyme", 60, True),
    ],
)
def test_as_many_false_crystals_are_found_as_are_claimed(name, n_spots, half_false):
    """Bounds so wide that no rounding decides: none at all, or one on every third frame, is what fails."""
    backend, p = get_backend("cpu"), Parameters.preset("best")
    found = measure(backend, LATTICES[name], n_spots, p, 400, 1, half_false)
    low, high = interval(found.count(0.1), found.n_frames, 1 - 1e-6)
    assert low <= 2 * found.claimed(0.1)
    assert high >= found.claimed(0.1) / 2
    assert found.count(0.1) > 0
