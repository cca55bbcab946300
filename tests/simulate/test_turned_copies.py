import numpy as np
import pytest

from ffbidx_core.model.cell import cell_parameters
from ffbidx_core.simulate import Scenario, simulate, turned_copies

SCENARIO = Scenario(
    cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0), (40.0, 50.0, 60.0, 80.0, 95.0, 105.0)),
    n_spots=(30, 60),
    false_share=(0.2, 0.4),
    lattices=(0, 3),
    beam_centre_error=(3.0, -2.0),
    distance_error=0.01,
)
CHOSEN = np.array([3, 0, 0, 5, 1, 3])


@pytest.fixture(scope="module")
def stills():
    return simulate(SCENARIO, 6, seed=2)


@pytest.fixture(scope="module")
def copies(stills):
    return turned_copies(stills, CHOSEN, np.random.default_rng(0))


def rows(offsets, f):
    return slice(offsets[f], offsets[f + 1])


def test_spots_and_crystals_turn_together(stills, copies):
    assert copies.n_frames == len(CHOSEN)
    for f, original in enumerate(CHOSEN):
        spots, before = copies.spots[rows(copies.offsets, f)], stills.spots[rows(stills.offsets, original)]
        turn = np.linalg.lstsq(before, spots, rcond=None)[0]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-4)
        np.testing.assert_allclose(turn[2], [0, 0, 1], atol=1e-4)
        cells, cells_before = (x.cells[rows(x.cell_offsets, g)] for x, g in ((copies, f), (stills, original)))
        np.testing.assert_allclose(cells, cells_before @ turn, atol=0.02)
        np.testing.assert_allclose(cell_parameters(cells), cell_parameters(cells_before), atol=1e-9)
        for name in ("hkl", "intensity"):
            values, values_before = getattr(copies, name), getattr(stills, name)
            np.testing.assert_array_equal(
                values[rows(copies.offsets, f)], values_before[rows(stills.offsets, original)]
            )


def test_spots_keep_their_lattice(stills, copies):
    for f, original in enumerate(CHOSEN):
        lattice = copies.lattice[rows(copies.offsets, f)]
        before = stills.lattice[rows(stills.offsets, original)]
        false = before < 0
        np.testing.assert_array_equal(lattice < 0, false)
        np.testing.assert_array_equal(
            (lattice - copies.cell_offsets[f])[~false], (before - stills.cell_offsets[original])[~false]
        )


def test_pixels_are_where_the_spots_are_seen(copies):
    spots = SCENARIO.assumed_detector.spots(copies.pixels.astype(float), SCENARIO.wavelength)
    np.testing.assert_allclose(spots, copies.spots, atol=2e-6)


def test_no_two_copies_are_alike(copies):
    first, second = (copies.spots[rows(copies.offsets, f)] for f in (1, 2))
    assert np.abs(first - second).max() > 0.01
