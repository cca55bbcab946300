"""A scale that is off because of a length or a unit is found and named."""

import dataclasses

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn.found_scale import Cause, Scale
from ffbidx_core.learn.mended_scale import KnownLengths, mended_by_learning, mended_scale
from ffbidx_core.learn.scales import are_too_few, find_scale
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.detector.beam_shift import NO_SHIFT
from ffbidx_core.model.detector.distance import FirstDistance
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.model.detector.wavelength import wavelengths_meant
from ffbidx_core.parameters import Parameters
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.simulate import Scenario, simulate
from tests.bench.claims.runs import SMALL, WRONG

DEVICE = OneDevice(get_backend("cpu", threads=1))
P = Parameters.preset("best", num_halfsphere_points=8192)
CLEAR = Scenario(cells=(LYSOZYME,), n_spots=(50, 80))
CELL = cell_from_parameters(LYSOZYME)


def note_of_scale(scale, cell, centring, **known):
    """The sentence about a scale."""
    return mended_scale(scale, cell[None], [centring], KnownLengths(**known)).why


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
    assert "the distance of the detector is too long (divide it by 1.1)" in words
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
    assert "the wavelength is ten times too short, or the cell ten times too large" in words
    either = note_of_scale(dataclasses.replace(found, cause=Cause.ANY), CELL, "P", from_pixels=True)
    assert "the distance or the wavelength is ten times too short, or the cell ten times too large" in either


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
    assert "too short (multiply either by 1.042), or the cell is too large" in note_of_scale(
        Scale(0.96, 9, 1, 9), CELL, "P"
    )


def mend(scale, cell=CELL, *, typed=(), wavelength=1.0, distance=200.0):
    """The option that mends a scale of spots from a detector, and its value."""
    detector = parse_geometry("x", CLEAR.assumed_detector.as_text(1.0)).detector
    known = KnownLengths(True, FirstDistance.common(np.array([distance]), detector), wavelength, frozenset(typed))
    mended = mended_scale(scale, cell[None], ["P"], known)
    return mended.option, float(mended.values[0].split(",")[0])


def test_the_length_that_was_typed_is_suspected_first_then_the_distance_and_the_wavelength():
    """A scale is that of any length, or the frames distinguish the distance."""
    near = Scale(1.1, 12, 0, 12, distance=1.1)
    assert mend(near) == ("--distance", pytest.approx(200 / 1.1, rel=1e-5))
    assert mend(near, typed=["--wavelength"]) == ("--wavelength", pytest.approx(1 / 1.1, rel=1e-5))
    by_wavelength = dataclasses.replace(near, cause=Cause.NOT_DISTANCE)
    assert mend(by_wavelength, typed=["--distance"])[0] == "--wavelength"
    assert mend(dataclasses.replace(near, cause=Cause.DISTANCE), typed=["--wavelength"])[0] == "--distance"


def test_a_wavelength_in_nm_is_mended_but_a_usual_one_makes_no_unusual_one():
    """The cell is mended where the wavelength is usual as it is."""
    tenth = Scale(0.1, 12, 0, 12, Cause.NOT_DISTANCE, wavelength=0.1)
    assert mend(tenth, wavelength=0.1) == ("--wavelength", pytest.approx(1))
    assert "as if a wavelength in nm had been taken for A; try --wavelength 1" in note_of_scale(
        tenth, CELL, "P", from_pixels=True, wavelength=0.1
    )
    ten = Scale(10.0, 12, 0, 12, Cause.NOT_DISTANCE, wavelength=1.0)
    assert mend(ten, CELL / 10) == ("--cell", pytest.approx(79))


def test_a_note_on_a_wavelength_has_the_cell_that_would_also_do():
    words = note_of_scale(Scale(1.3, 12, 0, 12, Cause.NOT_DISTANCE), CELL, "P", from_pixels=True, wavelength=1.3)
    assert words.startswith("with another wavelength 12 of 12 of the first frames are indexed instead of 0: ")
    assert "(divide it by 1.3), or the cell is too small (--cell 102.7,102.7,49.4,90,90,90)" in words
    assert words.endswith("; it is not the distance; try --wavelength 1")


@pytest.mark.parametrize(
    ("read", "meant"),
    [(12.4, 0.99987), (100.0, 1.0), (12398.42, 1.0), (0.001, 1.0), (0.1, 1.0), (1000.0, 1.0), (0.062, 0.0251)],
)
def test_a_wavelength_that_is_not_usual_may_have_been_meant_otherwise(read, meant):
    """Energies in keV and eV, wavelengths in nm and pm, and the energy of electrons."""
    assert any(each == pytest.approx(meant, rel=0.002) for each in wavelengths_meant(read))
    assert wavelengths_meant(1.0) == {}


def test_an_energy_that_was_taken_for_a_wavelength_is_found():
    found = scale_of(times=1 / 12.4)
    assert found.factor == pytest.approx(12.4, rel=0.001)
    option, right = mend(found, wavelength=found.wavelength)
    assert (option, right) == ("--wavelength", pytest.approx(1, rel=0.001))
    assert mended_scale(found, CELL[None], ["P"]).option is None


def test_a_distance_that_is_a_hundred_times_too_short_is_found():
    """Rays then lie within 2 degrees of the plane of the sample."""
    times = 100.0
    frames = simulate(CLEAR, 8, seed=1)
    wavelengths = np.full(len(frames.spots), CLEAR.wavelength)
    spots = spots_of_moved_detector(frames.spots.astype(np.float64), wavelengths, NO_SHIFT.radian, times - 1)
    found = find_scale(DEVICE, spots.astype(np.float32), frames.offsets, CELL[None], P)
    assert (found.cause, found.distance) == (Cause.DISTANCE, pytest.approx(1 / times, rel=0.002))
    assert "a number in m was taken for cm" in found.unit_of_distance
    assert mend(found, distance=200 / times) == ("--distance", pytest.approx(200, rel=0.002))


def test_two_frames_of_another_crystal_have_no_scale():
    """The best of all scales indexes both frames of another crystal, each with evidence below 30."""
    wrong = WRONG["cell of another crystal"][1]
    frames = wrong.frames(3, seed=0)
    cell = cell_from_parameters(wrong.cell)
    assert are_too_few(frames.offsets, P)
    assert find_scale(DEVICE, frames.spots, frames.offsets, cell[None], Parameters.preset("best")) is None
    assert not are_too_few(simulate(CLEAR, 8, seed=1).offsets, P)


@pytest.mark.parametrize(
    ("factor", "typed", "option"), [(1.02, [], "--distance"), (0.98, ["--wavelength"], "--wavelength")]
)
def test_a_learned_cell_that_is_larger_in_all_lengths_asks_for_distance_and_wavelength(factor, typed, option):
    """At a median resolution of 2.8 A a distance must change by 2.2 % to scale spots by 2 %."""
    detector = parse_geometry("x", CLEAR.assumed_detector.as_text(1.0)).detector
    known = KnownLengths(True, FirstDistance.common(np.array([200.0]), detector), 1.0, frozenset(typed))
    spots = simulate(CLEAR, 2, seed=1).spots
    mended = mended_by_learning(CELL, factor * CELL, spots, "P", lambda: known)
    assert mended.option == option
    right = {"--distance": 200 / (1 + (factor - 1) / 0.88), "--wavelength": 1 / factor}[option]
    assert float(mended.values[0]) == pytest.approx(right, rel=0.002)
    assert (
        f"lengths of the learned cell are 2.0% {'larger' if factor > 1 else 'smaller'} than those given" in mended.why
    )
    assert f"if so, try {option} {mended.values[0]} or --" in mended.why
    without = mended_by_learning(CELL, factor * CELL, spots, "P", KnownLengths)
    assert without.option is None
    assert without.why.endswith("with which the spots were computed")


def test_a_learned_cell_that_differs_little_or_in_shape_asks_for_nothing():
    spots = simulate(CLEAR, 2, seed=1).spots
    for scale in ([1.005] * 3, [1.02, 1.02, 0.99], [1.02, 1.0, 1.0]):
        found = mended_by_learning(CELL, np.diag(scale) @ CELL, spots, "P", lambda: pytest.fail("files are opened"))
        assert found is None


def test_two_frames_with_spots_in_1_nm_are_enough():
    """Their evidence is overwhelming only where the spots are scaled, and not the cell: tolerances are in 1/A."""
    frames = simulate(CLEAR, 3, seed=1)
    found = find_scale(DEVICE, (10 * frames.spots).astype(np.float32), frames.offsets, CELL[None], P)
    assert found.factor == pytest.approx(0.1)
