"""Spots without pixels, with the beam shifted."""

import numpy as np
import pytest

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.model.geometry import FlatDetector
from ffbidx_core.model.geometry_file import beam_shift
from ffbidx_core.read.geom import parse_geometry
from ffbidx_core.read.open import open_spots
from ffbidx_core.read.setup import GeometryChanges, choose_geometry
from ffbidx_core.simulate import Scenario, simulate, write_frames

TAKEN = FlatDetector(200.0, 100.0, (2000, 2000), (1000.0, 1000.0))
TRUE = FlatDetector(200.0, 100.0, (2000, 2000), (1004.0, 998.0))
SHIFT = beam_shift(4 * 0.1 / 0.2, -2 * 0.1 / 0.2)


@pytest.fixture
def frame(tmp_path):
    """A text file of one frame with padding, and the spots as they would be with the beam at its place."""
    pixels = np.random.default_rng(0).uniform(0, 2000, (30, 2))
    rows = np.concatenate([TAKEN.spots(pixels, 1.2), np.zeros((2, 3))])
    path = tmp_path / "frame.txt"
    path.write_text("".join(f"{x:.9f} {y:.9f} {z:.9f}\n" for x, y, z in rows))
    return str(path), np.concatenate([TRUE.spots(pixels, 1.2), np.zeros((2, 3))])


def read(path, geometry):
    (raw,) = open_spots(path, geometry).read(np.array([0]))
    return raw.spots


def test_spots_are_those_of_the_beam_at_its_place(frame):
    path, expected = frame
    np.testing.assert_allclose(read(path, SHIFT), expected, atol=1e-7)
    np.testing.assert_allclose(read(path, beam_shift(0, 0)), read(path, None), atol=1e-9)


def test_a_shift_is_recorded_as_text():
    again = parse_geometry("x", SHIFT.text)
    assert again.beam_shift == SHIFT.beam_shift
    assert again.text == SHIFT.text
    assert again.detector.panels == ()


def test_frames_without_an_ewald_sphere_stay(tmp_path):
    path = tmp_path / "frame.txt"
    for text in ("0.1 0.2 0.3\n" * 3, "0.1 0.2 0.3\n" * 9, "0.1 0.1 -0.01\n" * 9 + "nan 0 0\n"):
        path.write_text(text)
        np.testing.assert_array_equal(read(str(path), SHIFT), read(str(path), None))


def test_where_there_is_a_geometry_it_is_the_beam_centre(tmp_path):
    path = str(tmp_path / "stills.h5")
    write_frames(path, simulate(Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),)), 1))
    with pytest.raises(InputError, match="--beam-centre"):
        open_spots(path, SHIFT)
    with pytest.raises(UsageError, match="--beam-centre"):
        choose_geometry([path], None, GeometryChanges(beam_shift=(1.0, 0.0)))


def test_a_shift_goes_alone(frame):
    path, _ = frame
    geometry, shift = choose_geometry([path], None, GeometryChanges(beam_shift=(1.0, 0.5)))
    assert (geometry.beam_shift, shift) == ((1.0, 0.5), None)
    with pytest.raises(UsageError):
        choose_geometry([path], None, GeometryChanges(beam_shift=(1.0, 0.5), distance=100.0))
