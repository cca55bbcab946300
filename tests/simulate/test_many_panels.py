import h5py
import numpy as np
import pytest

from ffbidx_core.errors import ParameterError
from ffbidx_core.model.cell import reciprocal
from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.simulate import turned_copies, write_frames
from ffbidx_core.simulate.many_panels import ManyPanels, without_turn
from tests.helpers.panels.detectors import many_panels
from tests.helpers.panels.stills import stills


@pytest.fixture(scope="module")
def frames():
    return stills(2.0, 10, seed=3, position_noise=0.0)


def test_true_panels_see_true_spots_where_they_were_seen(frames):
    detector, wavelength = frames.scenario.panels, frames.scenario.wavelength
    mine = frames.lattice >= 0
    q = np.einsum("ni,nij->nj", frames.hkl[mine], reciprocal(frames.cells)[frames.lattice[mine]])
    assert np.allclose(detector.pixels(q, wavelength), frames.pixels[mine], atol=1e-3)
    # The file has the panels elsewhere, and spots are computed with the file.
    given = detector.assumed.spots(frames.pixels, wavelength)
    assert np.allclose(given, frames.spots, atol=1e-6)
    assert np.abs(given - detector.spots(frames.pixels, wavelength)).max() > 1e-3


def test_panels_are_as_far_off_as_was_asked_for_and_not_turned():
    detector = ManyPanels.of(parse_geometry("x", many_panels()))
    for alone in (False, True):
        off = detector.disturbed(1.5, np.random.default_rng(0), alone=alone)
        assert np.sqrt(np.mean(detector.true.shifts_seen(off.true) ** 2)) == pytest.approx(1.5, rel=1e-3)
        assert np.allclose(without_turn(off.true, detector.true).corner, off.true.corner, atol=1e-4)
        assert off.given is detector.true


def test_the_spot_file_has_the_file_s_geometry_and_the_true_one(frames, tmp_path):
    path = tmp_path / "stills.h5"
    write_frames(str(path), frames)
    with h5py.File(path) as file:
        assert file.attrs["geometry"] == frames.scenario.panels.geometry.text
        assert np.array_equal(file["pixel"][()], frames.pixels)
        true = parse_geometry("the truth", file["truth"].attrs["geometry"])
    placed = PlacedPanels.of(true.detector, frames.scenario.panels.given_distance)
    assert np.allclose(placed.corner, frames.scenario.panels.true.corner, atol=1e-6)
    assert true.groups


def test_wrong_beam_centre_and_distance_are_the_detector_s():
    frames = stills(0.0, 2, beam_centre_error=(4.0, -3.0), distance_error=0.01)
    true, given = frames.scenario.panels.true, frames.scenario.panels.given
    assert np.allclose((true.corner - given.corner)[:, :2] / true.pixel, (4.0, -3.0))
    assert given.centre[:, 2].mean() == pytest.approx(1.01 * true.centre[:, 2].mean())


def test_what_cannot_be_simulated_is_refused(frames):
    with pytest.raises(ParameterError, match="one flat panel"):
        turned_copies(frames, np.array([0]), np.random.default_rng(0))
    text = many_panels().replace("clen = 0.093", "clen = /LCLS/distance")
    with pytest.raises(ParameterError, match="distance"):
        ManyPanels.of(parse_geometry("x", text))
    assert ManyPanels.of(parse_geometry("x", text), 93.0).given_distance == 93.0
