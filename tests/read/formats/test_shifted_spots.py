"""Spots with the beam shifted, with and without pixels."""

import contextlib

import numpy as np
import pytest

from ffbidx_core.errors import UsageError
from ffbidx_core.model.detector.beam_shift import BeamShift, ShiftAlone
from ffbidx_core.model.detector.panels import Geometry
from ffbidx_core.model.detector.pixels import FlatDetector
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.geometry.any import parse_given, read_geometry
from ffbidx_core.read.geometry.choose import GeometryChanges, beam_option, choose_geometry, shifted_geometry
from ffbidx_core.simulate import Scenario, simulate, write_frames

TAKEN = FlatDetector(200.0, 100.0, (2000, 2000), (1000.0, 1000.0))
TRUE = FlatDetector(200.0, 100.0, (2000, 2000), (1004.0, 998.0))
SHIFT = ShiftAlone(BeamShift(mrad=(4 * 0.1 / 0.2, -2 * 0.1 / 0.2)))


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
    np.testing.assert_allclose(read(path, ShiftAlone(BeamShift(mrad=(0, 0)))), read(path, None), atol=1e-9)


def test_a_shift_is_recorded_as_text():
    again = parse_given("x", SHIFT.text)
    assert again == SHIFT
    assert again.text == SHIFT.text


def test_frames_without_an_ewald_sphere_stay(tmp_path):
    path = tmp_path / "frame.txt"
    for text in ("0.1 0.2 0.3\n" * 3, "0.1 0.2 0.3\n" * 9, "0.1 0.1 -0.01\n" * 9 + "nan 0 0\n"):
        path.write_text(text)
        np.testing.assert_array_equal(read(str(path), SHIFT), read(str(path), None))


@pytest.fixture
def stills(tmp_path):
    """Simulated stills with pixels and a geometry of their own; the panel's centre, fs and ss."""
    path, scenario = str(tmp_path / "stills.h5"), Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),))
    write_frames(path, simulate(scenario, 3))
    return path, scenario.detector


def centred_at(detector, x, y):
    """The options that move the beam by (2,) mrad."""
    mm_per_mrad = 1e-3 * detector.distance / (1e-3 * detector.pixel_size)
    fs, ss = detector.beam_centre
    return GeometryChanges(beam_centre=(fs + x * mm_per_mrad, ss + y * mm_per_mrad))


def all_spots(path, geometry):
    with contextlib.closing(open_spots(path, geometry)) as file:
        return np.concatenate([raw.spots for raw in file.read(np.arange(file.n_frames))])


def test_with_pixels_it_is_another_beam_centre(stills):
    path, detector = stills
    wanted = all_spots(path, choose_geometry([path], None, centred_at(detector, 1.5, -0.5))[0])
    assert np.abs(wanted - all_spots(path, None)).max() > 1e-4
    on_top, _ = choose_geometry([path], None, GeometryChanges(beam_shift=BeamShift(mrad=(1.5, -0.5))))
    assert on_top == ShiftAlone(BeamShift(mrad=(1.5, -0.5)))
    np.testing.assert_allclose(all_spots(path, on_top), wanted, atol=2e-8)
    with contextlib.closing(open_spots(path, on_top)) as file:
        assert beam_option(file.geometry) == beam_option(centred_at(detector, 1.5, -0.5).apply(file.geometry))


def test_a_given_geometry_is_moved(stills, tmp_path):
    path, detector = stills
    (tmp_path / "given.geom").write_text(detector.as_text(1.0))
    geometry = str(tmp_path / "given.geom")
    moved, _ = choose_geometry([path], geometry, GeometryChanges(beam_shift=BeamShift(mrad=(1.5, -0.5))))
    wanted, _ = choose_geometry([path], geometry, centred_at(detector, 1.5, -0.5))
    assert isinstance(moved, Geometry)
    np.testing.assert_allclose(all_spots(path, moved), all_spots(path, wanted), atol=2e-8)
    steps = (BeamShift(mrad=(1.0, 0.0)), BeamShift(mrad=(-2.5, 0.5)))
    twice = shifted_geometry([path], shifted_geometry([path], moved, steps[0]), steps[1])
    np.testing.assert_allclose(all_spots(path, twice), all_spots(path, read_geometry(geometry)), atol=2e-8)


def test_the_detector_is_as_far_as_its_distance_and_offset(stills, tmp_path):
    """A detector whose `clen` is an encoder's, and whose panels have the rest of the distance."""
    path, detector = stills
    offset = FlatDetector(detector.distance - 500, detector.pixel_size, detector.size, detector.beam_centre)
    text = offset.as_text(1.0) + "p0/coffset = 0.5\n"
    (tmp_path / "encoder.geom").write_text(text)
    changes = (
        GeometryChanges(distance=offset.distance, beam_shift=BeamShift(mrad=(1.5, -0.5))),
        centred_at(detector, 1.5, -0.5),
    )
    moved, _ = choose_geometry([path], str(tmp_path / "encoder.geom"), changes[0])
    (tmp_path / "given.geom").write_text(detector.as_text(1.0))
    wanted, _ = choose_geometry([path], str(tmp_path / "given.geom"), changes[1])
    assert beam_option(moved) == beam_option(wanted)


def test_a_beam_has_one_place(frame):
    path, _ = frame
    geometry, shift = choose_geometry([path], None, GeometryChanges(beam_shift=BeamShift(mrad=(1.0, 0.5))))
    assert (geometry.beam_shift, shift) == (BeamShift(mrad=(1.0, 0.5)), None)
    for other in ({"beam_centre": (1.0, 2.0)}, {"distance": 100.0}):
        with pytest.raises(UsageError):
            choose_geometry([path], None, GeometryChanges(beam_shift=BeamShift(mrad=(1.0, 0.5)), **other))
