from dataclasses import fields, replace

import numpy as np
import pytest

from ffbidx_core.errors import ParameterError
from ffbidx_core.model.cell import cell_parameters, reciprocal
from ffbidx_core.simulate import Scenario, simulate

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
PLAIN = Scenario(cells=(LYSOZYME,), position_noise=0.0)
MIXED = Scenario(
    cells=(LYSOZYME, (40.0, 50.0, 60.0, 80.0, 95.0, 105.0)),
    n_spots=(30, 60),
    false_share=(0.2, 0.4),
    lattices=(1, 3),
    blank_share=0.2,
    cell_spread=0.003,
)


def parts(frames, f):
    """Spots, lattices and true cells of one frame."""
    rows = slice(frames.offsets[f], frames.offsets[f + 1])
    first, last = frames.cell_offsets[f], frames.cell_offsets[f + 1]
    lattice = np.where(frames.lattice[rows] >= 0, frames.lattice[rows] - first, -1)
    return frames.spots[rows], frames.hkl[rows], lattice, frames.cells[first:last]


def lattice_points(frames):
    """Reciprocal lattice point of every true spot, and which spots are true."""
    true = frames.lattice >= 0
    return np.einsum("ni,nij->nj", frames.hkl[true], reciprocal(frames.cells[frames.lattice[true]])), true


def excitation(points, wavelength=1.0):
    return np.linalg.norm(points + np.array([0, 0, 1 / wavelength]), axis=1) - 1 / wavelength


def test_a_seed_gives_the_same_frames():
    once, again = simulate(MIXED, 5, seed=7), simulate(MIXED, 5, seed=7)
    for field in fields(once):
        assert np.array_equal(getattr(once, field.name), getattr(again, field.name)), field.name
    assert not np.array_equal(once.spots[:20], simulate(MIXED, 5, seed=8).spots[:20])


def test_a_frame_does_not_depend_on_how_many_there_are():
    few, many = simulate(MIXED, 3, seed=1), simulate(MIXED, 9, seed=1)
    for f in range(3):
        for one, other in zip(parts(few, f), parts(many, f), strict=True):
            assert np.array_equal(one, other)


def test_no_frames():
    frames = simulate(MIXED, 0)
    assert frames.spots.shape == (0, 3)
    assert frames.offsets.tolist() == frames.cell_offsets.tolist() == [0]


@pytest.mark.parametrize("wavelength", [0.7, 1.0, 2.1])
def test_every_spot_lies_on_the_ewald_sphere(wavelength):
    scenario = replace(MIXED, wavelength=wavelength, distance_error=0.01, beam_centre_error=(3.0, -2.0), d_min=2.5)
    frames = simulate(scenario, 10)
    # A float32 coordinate below 0.5 / A is off by at most 2^-26.
    assert np.abs(excitation(frames.spots.astype(np.float64), wavelength)).max() < 2**-25


@pytest.mark.parametrize("mosaicity", [0.0, 0.003])
def test_a_true_spot_is_off_its_lattice_point_by_the_excitation_error_alone(mosaicity):
    frames = simulate(replace(PLAIN, mosaicity=mosaicity, n_spots=None), 5)
    points, true = lattice_points(frames)
    assert true.all()
    distance = np.linalg.norm(frames.spots - points, axis=1)
    limit = PLAIN.spot_radius + mosaicity * np.linalg.norm(points, axis=1)
    assert distance == pytest.approx(np.abs(excitation(points)), abs=1e-6)
    assert (distance < limit + 1e-6).all()
    # The whole of the allowed shell is filled, on both sides of the sphere.
    depth = excitation(points) / limit
    assert np.quantile(depth, [0.25, 0.75]) == pytest.approx([-0.5, 0.5], abs=0.05)


def test_position_noise_is_what_was_asked_for_in_pixels():
    frames = simulate(replace(PLAIN, position_noise=0.8, n_spots=None), 10)
    points, _ = lattice_points(frames)
    moved = frames.pixels - PLAIN.detector.pixels(points, 1.0)
    assert moved.mean(axis=0) == pytest.approx([0, 0], abs=0.04)
    assert moved.std(axis=0) == pytest.approx([0.8, 0.8], rel=0.03)


def test_spots_keep_within_the_resolution_limits():
    scenario = replace(PLAIN, d_min=2.4, d_max=15.0, n_spots=(150, 150), false_share=(0.5, 0.5), b_factor=0.0)
    frames = simulate(scenario, 20)
    resolution = 1 / np.linalg.norm(frames.spots, axis=1)
    # A true spot is held by its lattice point, which lies up to the spot radius further out or in.
    assert resolution.min() == pytest.approx(2.4, abs=0.02)
    assert resolution.min() > 2.4 - 0.01
    assert resolution.max() < 15 * 1.03
    assert resolution[frames.lattice < 0].max() < 15.0001


def test_spots_lie_on_the_detector():
    corner = replace(PLAIN, detector_size=(900, 700), beam_centre=(100.0, 650.0))
    scenario = replace(corner, n_spots=(9, 9), false_spots=(30, 30))
    frames = simulate(scenario, 20)
    assert scenario.detector.holds(frames.pixels.astype(np.float64)).all()
    assert (frames.lattice >= 0).sum() > 100


def test_a_detector_without_a_place_for_false_spots_is_an_error():
    scenario = Scenario(cells=(LYSOZYME,), n_spots=(0, 0), false_spots=(5, 5), detector_size=(10, 10), d_max=10.0)
    with pytest.raises(ParameterError, match="detector_size"):
        simulate(scenario, 1)


def test_numbers_of_spots_and_lattices_keep_to_their_ranges():
    frames = simulate(replace(MIXED, blank_share=0.0, false_spots=(3, 9)), 100)
    n_spots, n_lattices = np.diff(frames.offsets), np.diff(frames.cell_offsets)
    assert 33 <= n_spots.min() < 40
    assert 60 < n_spots.max() <= 69
    assert sorted(set(n_lattices.tolist())) == [1, 2, 3]
    assert set(frames.input_cell.tolist()) == {0, 1}


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
@pytest.mark.parametrize("n_spots", [(10, 15), None])
def test_the_false_share_is_met_on_the_mean(share, n_spots):
    frames = simulate(replace(PLAIN, n_spots=n_spots, false_share=(share, share)), 150 if n_spots else 5)
    spots = len(frames.spots)
    assert (frames.lattice < 0).mean() == pytest.approx(share, abs=0.02 if n_spots else 2 / spots**0.5)


def test_blank_frames_hold_false_spots_alone():
    frames = simulate(replace(MIXED, blank_share=0.3), 200)
    blank = np.diff(frames.cell_offsets) == 0
    assert blank.mean() == pytest.approx(0.3, abs=0.11)
    for f in np.flatnonzero(blank):
        spots, hkl, lattice, _ = parts(frames, f)
        assert 30 <= len(spots) <= 60
        assert (lattice == -1).all()
        assert not hkl.any()


def test_false_spots_are_spread_as_asked():
    blank = Scenario(cells=(LYSOZYME,), lattices=(0, 0), n_spots=(500, 500))
    q = np.linalg.norm(simulate(replace(blank, false_place="resolution"), 10).spots, axis=1)
    assert np.quantile(q, [0.25, 0.5, 0.75]) == pytest.approx(np.linspace(0.02, 0.5, 5)[1:4], abs=0.012)
    frames = simulate(blank, 10)
    radius = np.linalg.norm(frames.pixels - blank.detector.beam_centre, axis=1)
    assert np.quantile((radius / radius.max()) ** 2, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.025)


@pytest.mark.parametrize(
    ("centring", "condition"),
    [
        ("A", lambda hkl: hkl @ (0, 1, 1) % 2 == 0),
        ("C", lambda hkl: hkl @ (1, 1, 0) % 2 == 0),
        ("I", lambda hkl: hkl.sum(axis=1) % 2 == 0),
        ("H", lambda hkl: hkl @ (-1, 1, 1) % 3 == 0),
        ("F", lambda hkl: (hkl @ (1, 1, 0) % 2 == 0) & (hkl @ (0, 1, 1) % 2 == 0)),
    ],
)
def test_a_centred_lattice_shows_its_reflections_only(centring, condition):
    frames = simulate(replace(PLAIN, centring=centring, n_spots=None), 2)
    assert len(frames.hkl) > 100
    assert condition(frames.hkl).all()


def test_the_strongest_come_first_and_fall_off_with_resolution():
    frames = simulate(replace(PLAIN, b_factor=30.0, n_spots=None), 5)
    for f in range(5):
        assert (np.diff(frames.intensity[frames.offsets[f] : frames.offsets[f + 1]]) <= 0).all()
    q2 = (frames.spots**2).sum(axis=1)
    slope = np.polyfit(q2, np.log(frames.intensity), 1)[0]
    assert slope == pytest.approx(-15, abs=2)


def test_the_weaker_lattice_has_fewer_of_the_strongest_spots():
    frames = simulate(replace(PLAIN, lattices=(2, 2), lattice_scale=(0.2, 0.2), n_spots=(100, 100)), 20)
    n_spots = np.bincount(frames.lattice, minlength=40).reshape(20, 2).sum(axis=0)
    assert n_spots[1] < 0.5 * n_spots[0]


def test_cells_scatter_by_what_was_asked():
    scenario = replace(PLAIN, cell_spread=0.01, angle_spread=0.5, n_spots=(5, 5))
    parameters = cell_parameters(simulate(scenario, 400).cells)
    assert parameters.mean(axis=0) == pytest.approx(LYSOZYME, rel=0.003)
    assert parameters.std(axis=0) == pytest.approx([0.79, 0.79, 0.38, 0.5, 0.5, 0.5], rel=0.12)


def test_orientations_are_uniform():
    cells = simulate(replace(PLAIN, n_spots=(5, 5)), 400).cells
    directions = cells[:, 2] / np.linalg.norm(cells[:, 2], axis=1, keepdims=True)
    # Each component of a uniform direction has the variance 1/3.
    assert np.abs(directions.mean(axis=0)).max() < 4 * (1 / 3 / 400) ** 0.5
    assert (directions**2).mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.06)
    assert (np.linalg.det(cells) > 0).all()


def test_a_wrong_distance_shrinks_the_scattering_angle():
    wrong, right = (simulate(replace(PLAIN, distance_error=e), 3).spots.astype(float) for e in (0.02, 0.0))
    tangent = [np.hypot(s[:, 0], s[:, 1]) / (1 + s[:, 2]) for s in (wrong, right)]
    assert tangent[0] * 1.02 == pytest.approx(tangent[1], rel=1e-6)


def test_a_wrong_beam_centre_shifts_every_spot():
    scenarios = replace(PLAIN, beam_centre_error=(8.0, 0.0)), PLAIN
    wrong, right = (simulate(scenario, 3).spots.astype(float) for scenario in scenarios)
    shift = wrong[:, :2] / (1 + wrong[:, 2:]) - right[:, :2] / (1 + right[:, 2:])
    assert shift == pytest.approx(np.tile([-8 * 75e-3 / 200, 0], (len(shift), 1)), abs=1e-6)


def test_more_spots_than_the_cell_shows_is_an_error_that_says_so():
    with pytest.raises(ParameterError, match="n_spots") as caught:
        simulate(Scenario(cells=((8.0, 9.0, 10.0, 90.0, 90.0, 90.0),), n_spots=(200, 200)), 1)
    assert "spot radius" in caught.value.wanted


def test_orientations_with_too_few_spots_are_drawn_again():
    small = Scenario(cells=((12.0, 13.0, 14.0, 90.0, 90.0, 90.0),), n_spots=None)
    seen = np.diff(simulate(small, 200).offsets)
    wanted = int(np.quantile(seen, 0.8))
    assert seen.min() < wanted
    assert (np.diff(simulate(replace(small, n_spots=(wanted, wanted)), 30).offsets) == wanted).all()
