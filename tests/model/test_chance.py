"""The tail of the binomial distribution against exact fractions, and how it lies to Chernoff's bound."""

import math
from functools import cache

import numpy as np
import pytest

from ffbidx_core.model.chance import level as chance


@cache
def exact(k: int, n: int, p: float) -> float:
    """log10 of the probability of k or more of n, in whole numbers until the last step."""
    yes, whole = p.as_integer_ratio()
    no = whole - yes
    term = tail = math.comb(n, k) * yes**k * no ** (n - k)  # of k of n, in units of 1 / whole**n
    for i in range(k, n):
        term = term * (n - i) * yes // ((i + 1) * no)
        tail += term
    return math.log10(tail) - n * math.log10(whole)


def cases():
    for n in (1, 2, 5, 8, 20, 54, 100, 300, 700):
        for p in (1e-6, 1e-3, 0.01, 0.1, 0.38, 0.7):
            spread = math.sqrt(n * p)
            for k in {int(n * p) + 1, int(n * p + 2 * spread) + 1, int(n * p + 6 * spread) + 1, n // 2, n - 1, n}:
                if max(1, n * p) < k <= n:
                    yield k, n, p


def test_the_tail_is_that_of_the_binomial_distribution():
    k, n, p = (np.array(column) for column in zip(*cases(), strict=True))
    wanted = np.array([exact(*case) for case in cases()])
    found = chance.log10_exact_tail(k, n, p)
    assert np.abs(found - wanted)[wanted < -1].max() < 0.01
    assert np.abs(found - wanted)[wanted < -4].max() < 0.002
    # Next to the mean it only has to say that nothing is unusual.
    assert found[wanted > -1].min() > -1.05


def test_the_bound_is_never_below_the_tail():
    k, n, p = (np.array(column) for column in zip(*cases(), strict=True))
    radius = (p / (4 / 3 * np.pi)) ** (1 / 3)
    bound = chance.log10_tail(k, n, radius, 1.0)
    assert (bound >= np.array([exact(*case) for case in cases()]) - 1e-9).all()


@pytest.mark.parametrize(("k", "n", "p"), [(0, 20, 0.1), (2, 20, 0.1), (38, 100, 0.38)])
def test_what_is_expected_is_no_surprise(k, n, p):
    assert chance.log10_exact_tail(np.array(max(k, 1)), np.array(n), np.array(p)) == 0


def test_all_of_the_spots():
    assert chance.log10_exact_tail(np.array(12), np.array(12), np.array(0.01)) == pytest.approx(-24)
