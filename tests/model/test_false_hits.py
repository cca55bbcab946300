"""How the expected number of false crystals depends on what it is made of."""

import numpy as np
import pytest

from ffbidx_core.model.chance import level as chance
from ffbidx_core.model.chance.false_hits import log10_expected

LYSOZYME = {
    "n": 60,
    "radius": 0.0015,
    "volume": 237158.0,
    "order": 8,
    "resolution": 0.43,
    "max_spots": 100,
    "n_kept": 32,
}


def expected(counts, **changes):
    return log10_expected(np.asarray(counts), **(LYSOZYME | changes))


def test_every_further_spot_makes_it_less():
    numbers = expected(np.arange(5, 61))
    assert (np.diff(numbers) < 0).all()
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("changes", [{"radius": 0.002}, {"volume": 4e5}, {"n": 90}, {"order": 1}])
def test_more_room_for_chance_makes_it_more(changes):
    counts = np.arange(8, 40)
    assert (expected(counts, **changes) > expected(counts)).all()


def test_it_is_far_above_the_chance_of_a_single_orientation():
    p = chance.probability(LYSOZYME["radius"], LYSOZYME["volume"])
    single = chance.log10_exact_tail(np.arange(6, 20), 60, p)
    assert (expected(np.arange(6, 20)) > single + 3).all()


@pytest.mark.parametrize("counts", [0, 1, 60 * 0.0033, 2])
def test_what_chance_gives_is_no_crystal(counts):
    assert expected(counts, n_kept=32) > 0


def test_so_many_orientations_are_tried_at_least_as_cells_are_kept():
    # A long cell, whose lattice points fill space: the search sees nothing in many spots.
    long = {"n": 300, "radius": 0.00123, "volume": 1.13e7, "order": 12}
    counts = np.arange(20, 70)
    p = chance.probability(0.00123, 1.13e7)
    floor = chance.log10_exact_tail(counts, 300, p) + np.log10(32)
    assert (expected(counts, **long) >= floor).all()


def test_no_spots_and_huge_frames_give_numbers():
    assert np.isfinite(expected([0, 1, 5], n=np.array([0, 1, 5]))).all()
    assert np.isfinite(expected([50, 4000, 20000], n=np.array([10000, 10000, 20000]))).all()
