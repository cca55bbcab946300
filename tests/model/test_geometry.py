from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.model.detector.pixels import FlatDetector, spots_of_moved_detector, wavelength_of_spots

DETECTOR = FlatDetector(distance=150.0, pixel_size=100.0, size=(2000, 1000), beam_centre=(990.5, 480.25))


def test_a_spot_by_hand():
    # 15 mm to the side at 150 mm: tan(2 theta) = 0.1.
    spot = DETECTOR.spots(np.array([[990.5 + 150, 480.25]]), wavelength=1.3)[0]
    two_theta = np.arctan(0.1)
    assert spot == pytest.approx([np.sin(two_theta) / 1.3, 0, (np.cos(two_theta) - 1) / 1.3], abs=1e-15)


def test_pixels_and_spots_are_inverse():
    pixels = np.random.default_rng(0).uniform(0, 1000, (50, 2))
    assert DETECTOR.pixels(DETECTOR.spots(pixels, 0.9), 0.9) == pytest.approx(pixels, abs=1e-9)


def test_spots_off_the_sphere_are_seen_along_their_ray():
    ray = np.array([0.1, -0.2, 1.0])
    spots = np.array([ray * length - (0, 0, 1) for length in (0.8, 0.97, 1.1)])
    expected = np.array([0.1, -0.2]) * 1500 + DETECTOR.beam_centre
    assert DETECTOR.pixels(spots, 1.0) == pytest.approx(np.tile(expected, (3, 1)))


def test_backward_rays_meet_no_pixel():
    pixels = DETECTOR.pixels(np.array([[0.1, 0.0, -1.5], [0.5, 0.0, -1.0]]), 1.0)
    assert np.isnan(pixels).all()
    assert not DETECTOR.holds(pixels).any()


def test_the_panel_holds_its_own_pixels_only():
    pixels = np.array([[0, 0], [1999.9, 999.9], [2000, 500], [500, 1000], [-0.1, 5], [5, -0.1]])
    assert DETECTOR.holds(pixels).tolist() == [True, True, False, False, False, False]


def test_the_geometry_file_says_where_the_beam_is():
    lines = DETECTOR.as_text(1.3).splitlines()
    assert {
        "wavelength = 1.3 A",
        "clen = 0.15 m",
        "res = 10000",
        "p0/max_fs = 1999",
        "p0/max_ss = 999",
        "p0/corner_x = -990.5",
        "p0/corner_y = -480.25",
    } <= set(lines)


@pytest.mark.parametrize("wavelength", [0.7, 1.3])
def test_spots_of_a_moved_detector_are_those_of_the_detector_where_it_is(wavelength):
    pixels = np.random.default_rng(0).uniform(0, 1000, (50, 2))
    taken = replace(DETECTOR, distance=151.5, beam_centre=(993.5, 478.25))
    shift = (np.array(DETECTOR.beam_centre) - taken.beam_centre) * 0.1 / taken.distance
    # X in units of the distance is larger by 1.01; the shift is measured on the detector as it is.
    moved = spots_of_moved_detector(
        taken.spots(pixels, wavelength), np.full(50, wavelength), 1.01 * shift, taken.distance / 150.0 - 1
    )
    assert moved == pytest.approx(DETECTOR.spots(pixels, wavelength), abs=1e-12)


def test_backward_spots_stay():
    spots = np.array([[0.1, 0.0, -1.5], [0.1, 0.2, -0.03]])
    moved = spots_of_moved_detector(spots, np.ones(2), (0.01, 0.0))
    assert moved[0].tolist() == spots[0].tolist()
    assert moved[1, 0] == pytest.approx(0.09, abs=1e-3)


@pytest.mark.parametrize("wavelength", [0.7, 2.5])
def test_the_wavelength_of_spots(wavelength):
    spots = DETECTOR.spots(np.random.default_rng(0).uniform(0, 1000, (20, 2)), wavelength)
    assert wavelength_of_spots(np.concatenate([spots, np.zeros((3, 3))])) == pytest.approx(wavelength, rel=1e-9)
    assert wavelength_of_spots(spots[:3]) is None
    assert wavelength_of_spots(-spots) is None
