"""The stretch of crystals along the beam, from which a wrong detector distance is found."""

import numpy as np
import pytest

from ffbidx_core.cell_search.frames import Frames
from ffbidx_core.cell_search.metric import settled_metric
from ffbidx_core.cell_search.stretch import FEWEST, stretch_of
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from ffbidx_core.model.detector.beam_shift import NO_SHIFT
from tests.helpers.runs.unknown_cells import frames_of

CELL = cell_from_parameters((31.0, 43.0, 52.0, 81.0, 98.0, 106.0))


def turned(cell, n, rng):
    """A cell in random orientations."""
    turns = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    return cell @ (turns * np.linalg.det(turns)[:, None, None])


@pytest.mark.parametrize("stretch", [0.02, 0.0, -0.01])
def test_crystals_that_are_stretched_along_the_beam_show_it(stretch, rng):
    crystals = turned(CELL, 60, rng) * [1 + stretch, 1 + stretch, (1 + stretch) ** 2]
    crystals *= 1 + 0.001 * rng.normal(size=(60, 1, 3))
    found, error = stretch_of(CELL, crystals)
    assert error < 0.0005
    assert abs(found - stretch) < max(4 * error, 2 * stretch**2)


def test_few_crystals_show_no_stretch(rng):
    assert stretch_of(CELL, turned(CELL, FEWEST - 1, rng)) == (0.0, np.inf)


def test_a_wrong_distance_is_found_and_the_lengths_stay_those_at_this_distance(devices):
    frames = frames_of("tP", 60, distance_error=0.015)
    # Axes that differ by 1 % keep a cell from being the symmetric one as long as the crystals are stretched.
    metric = settled_metric(devices, frames, np.diag([43.4, 71.7, 72.5]), 0.9)
    assert abs(metric.stretch - 0.015) < 0.002
    wanted = 1.015 * np.array([43.0, 71.0, 71.0])
    np.testing.assert_allclose(cell_parameters(metric.verdict.cell)[:3], wanted, rtol=2e-3)


def test_at_the_right_distance_nothing_is_stretched(devices):
    metric = settled_metric(devices, frames_of("oP", 60), np.diag([33.0, 51.0, 74.0]), 0.9)
    assert abs(metric.stretch) < 0.003


def test_the_scale_across_the_beam_stays_the_same_at_another_distance():
    frames = frames_of("oP", 3)
    moved = frames.moved(NO_SHIFT, 0.02)
    low = np.linalg.norm(frames.spots, axis=1) < 0.1
    np.testing.assert_allclose(moved.spots[low, :2], frames.spots[low, :2], rtol=2e-3)
    np.testing.assert_allclose(moved.spots[low, 2], 1.02 * frames.spots[low, 2], rtol=5e-3)


def test_frames_that_fit_no_ewald_sphere_keep_their_scale_at_another_distance(rng):
    frames = frames_of("oP", 2)
    begin, end = frames.offsets[:2]
    spots = frames.spots.copy()
    spots[begin:end] = rng.normal(scale=0.1, size=(end - begin, 3))
    moved = Frames(spots, frames.offsets).moved(NO_SHIFT, 0.02)
    np.testing.assert_array_equal(moved.spots[begin:end], spots[begin:end])
    np.testing.assert_array_equal(moved.spots[end:], frames.moved(NO_SHIFT, 0.02).spots[end:])
