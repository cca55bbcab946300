"""A scale that is off because of a length or a unit is found and named."""

import dataclasses

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn.mended_scale import note_of_scale
from ffbidx_core.learn.scales import Cause, Scale, find_scale
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.detector.beam_shift import NO_SHIFT
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from tests.bench.claims.runs import SMALL

DEVICE = OneDevice(get_backend("cpu", threads=1))
P = Parameters.preset("best", num_halfsphere_points=8192)
CLEAR = Scenario(cells=(LYSOZYME,), n_spots=(50, 80))
CELL = cell_from_parameters(LYSOZYME)


def scale_of(scenario=CLEAR, cell=CELL, times=1.0, p=P):
    """The scale that is found when all spots are so many times as far out as they are."""
    frames = simulate(scenario, 8, seed=1)
    return find_scale(DEVICE, (times * frames.spots).astype(np.float32), frames.offsets, cell[None], p)


@pytest.mark.parametrize(("times", "factor"), [(1.25, 0.8), (0.92, 1.09)])
def test_a_wavelength_that_is_off_is_found(times, factor):
    assert scale_of(times=times).factor == pytest.approx(factor, abs=0.011)


def test_a_distance_that_is_off_is_found():
    found = scale_of(dataclasses.replace(CLEAR, distance_error=-0.05))
    assert found.factor == pytest.approx(0.96, abs=0.011)
    assert found.indexed > found.before


def test_a_distance_that_is_far_off_is_distinguished_from_wavelength_and_cell():
    """At a resolution of 2 A the spots of a detector that is 10 % off are no scaled ones."""
    p = Parameters.preset("best")
    found = scale_of(dataclasses.replace(CLEAR, distance_error=0.1), p=p)
    assert found.cause == Cause.DISTANCE
    assert found.distance == pytest.approx(1.1)
    assert found.indexed == found.of
    words = note_of_scale(found, CELL, "P")
    assert "the distance of the detector is too long (divide it by 1.10)" in words
    assert "cell is too" not in words
    found = scale_of(times=1.1, p=p)
    assert found.cause == Cause.NOT_DISTANCE
    assert "the wavelength is too short" in note_of_scale(found, CELL, "P")
    assert "it is not the distance" in note_of_scale(found, CELL, "P")


def test_a_distance_of_a_small_cell_is_found_although_frames_fit_at_no_scale():
    """At 0.8 A, where spots lie at angles of 50 degrees, a scaled cell never fits."""
    scenario = dataclasses.replace(SMALL, distance_error=-0.1)
    found = scale_of(scenario, scenario.input_cells[0])
    assert (found.cause, found.indexed, found.before) == (Cause.DISTANCE, found.of, 0)
    assert found.distance == pytest.approx(0.9, abs=0.002)


@pytest.mark.parametrize("times", [10.0, 0.1])
def test_a_distance_in_a_wrong_unit_is_distinguished_from_a_cell_in_one(times):
    frames = simulate(CLEAR, 8, seed=1)
    wavelengths = np.full(len(frames.spots), CLEAR.wavelength)
    spots = spots_of_moved_detector(frames.spots.astype(np.float64), wavelengths, NO_SHIFT.radian, times - 1)
    found = find_scale(DEVICE, spots.astype(np.float32), frames.offsets, CELL[None], P)
    assert (found.cause, found.distance) == (Cause.DISTANCE, pytest.approx(1 / times, rel=0.002))
    words = note_of_scale(found, CELL, "P", from_pixels=True)
    assert words.startswith("with another distance of the detector")
    assert "--cell" not in words


def test_no_unit_of_spots_is_suspected_where_a_geometry_made_them():
    found = scale_of(times=10)
    assert "the spots are in 1/nm" in note_of_scale(found, CELL, "P")
    words = note_of_scale(found, CELL, "P", from_pixels=True)
    assert "spots are" not in words
    assert "the distance or the wavelength is ten times too short, or the cell ten times too large" in words


@pytest.mark.parametrize(("times", "factor"), [(10, 0.1), (2 * np.pi, 1 / (2 * np.pi)), (0.1, 10.0)])
def test_a_unit_of_the_spots_is_found(times, factor):
    assert scale_of(times=times).factor == factor


def test_a_cell_in_nanometres_is_found_and_given_as_it_is_to_be_typed():
    found = scale_of(cell=CELL / 10)
    words = note_of_scale(found, CELL / 10, "P")
    assert found.factor == 10
    assert "the cell is in nanometres" in words
    assert words.endswith("try --cell 79,79,38,90,90,90")


def test_right_frames_and_those_of_another_crystal_have_no_scale():
    assert scale_of() is None
    assert scale_of(Scenario(cells=(TRICLINIC,), n_spots=(50, 80))) is None


def test_a_note_names_distance_and_wavelength_beside_the_cell():
    words = note_of_scale(Scale(1.04, 12, 1, 12), CELL, "P")
    assert words.startswith("with a cell 4% larger 12 of 12 of the first frames are indexed instead of 1: ")
    assert "the distance of the detector or the wavelength is too long (divide either by 1.04)" in words
    assert "or the cell is too small" in words
    assert "too short (divide either by 0.96), or the cell is too large" in note_of_scale(
        Scale(0.96, 9, 1, 9), CELL, "P"
    )
