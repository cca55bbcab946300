"""What the residuals of many crystals say, against what was put into simulated stills."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.model.cell import reciprocal
from ffbidx_core.model.detector.distortion import Distortion
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.model.misfit.equations import (
    BIWEIGHT,
    DISTORTED,
    OWN,
    Spread,
    derivatives,
    index_spots,
    sums_over_spots,
    turned_and_strained,
)
from ffbidx_core.model.misfit.kernels import derive, place, sum_products
from ffbidx_core.model.misfit.misfit import FEWEST_CRYSTALS, find_misfit
from ffbidx_core.run.learning.ready import get_ready
from tests.helpers.misfits import LYSOZYME, MRAD_PER_PIXEL, crystals_of

X, Y, DISTANCE = 0, 1, 2


def test_derivatives_are_those_of_the_formulas():
    crystals = crystals_of(4, seed=1)
    indexed = index_spots(crystals)
    jacobian = derivatives(indexed)
    hkl = np.rint(np.einsum("nij,nj->ni", crystals.cells[indexed.crystal], indexed.spots))
    step = 1e-6
    for p in range(OWN):
        own = np.zeros((len(crystals.cells), OWN))
        own[:, p] = step
        cells = turned_and_strained(crystals, indexed, own)
        moved = np.einsum("ni,nij->nj", hkl, reciprocal(cells)[indexed.crystal])
        expected = np.einsum("nij,nj->ni", indexed.axes, (moved - indexed.spots) / step)
        np.testing.assert_allclose(jacobian[:, :, p], expected, atol=2e-5)
    beam = np.array([0, 0, 1])
    ray = indexed.spots + beam
    on_sphere = ray / np.linalg.norm(ray, axis=1, keepdims=True) - beam
    for p, change in enumerate(((step, 0, 0), (0, step, 0), (0, 0, step))):
        moved = spots_of_moved_detector(on_sphere, indexed.wavelength, change[:2], change[2])
        # A spot that was computed wrongly lies on the other side.
        expected = np.einsum("nij,nj->ni", indexed.axes, (on_sphere - moved) / step)
        np.testing.assert_allclose(jacobian[:, :, OWN + p], expected, atol=2e-5)


def test_derivatives_by_a_distortion_are_those_of_the_formula():
    indexed = index_spots(crystals_of(4, seed=1))
    jacobian = derivatives(indexed, DISTORTED)
    beam, step = np.array([0, 0, 1]), 1e-6
    ray = indexed.spots + beam
    on_sphere = ray / np.linalg.norm(ray, axis=1, keepdims=True) - beam
    for p, name in enumerate(DISTORTED[2:], start=OWN + 2):
        moved = spots_of_moved_detector(on_sphere, indexed.wavelength, (0, 0), distortion=Distortion(**{name: step}))
        expected = np.einsum("nij,nj->ni", indexed.axes, (on_sphere - moved) / step)
        np.testing.assert_allclose(jacobian[:, :, p], expected, atol=2e-5)


def test_sums_over_spots_are_those_of_weighted_and_whitened_residuals():
    indexed, spread = index_spots(crystals_of(3, seed=2)), Spread(across=7e-5, along=2e-4, scatter=1e-3)
    jacobian = derivatives(indexed, DISTORTED)
    sums = sums_over_spots(indexed, jacobian, spread)
    sigma = np.array([spread.across, spread.across, spread.along])
    residuals = np.einsum("nij,nj->ni", indexed.axes, indexed.residuals) / sigma
    whitened = jacobian / sigma[:, None]
    squared = (residuals**2).sum(axis=1) / BIWEIGHT**2
    weights = np.where(squared < 1, (1 - squared) ** 2, 0)
    assert (weights == 0).any()
    assert sums.weight == pytest.approx(weights.sum())
    for crystal in range(3):
        mine = indexed.crystal == crystal
        products = np.einsum("n,nkp,nkq->pq", weights[mine], whitened[mine], whitened[mine])
        np.testing.assert_allclose(sums.matrix[crystal], products, rtol=1e-9, atol=1e-9 * np.abs(products).max())
        right = np.einsum("n,nkp,nk->p", weights[mine], whitened[mine], residuals[mine])
        np.testing.assert_allclose(sums.right[crystal], right, rtol=1e-9, atol=1e-9 * np.abs(right).max())


def test_all_machine_code_of_a_fit_is_loaded_beforehand():
    get_ready()
    kernels = [inspect.getclosurevars(each).nonlocals["inner"] for each in (place, derive, sum_products)]
    loaded = [kernel.signatures for kernel in kernels]
    assert find_misfit(crystals_of(FEWEST_CRYSTALS, seed=3)) is not None
    assert [kernel.signatures for kernel in kernels] == loaded
    assert all(loaded)


def test_a_shift_is_found_within_its_error():
    z = []
    for seed in range(8):
        misfit = find_misfit(crystals_of(30, seed, beam_centre_error=(2.0, -1.0)))
        found = misfit.values[:2] * 1e3
        np.testing.assert_allclose(found, np.array([-2.0, 1.0]) * MRAD_PER_PIXEL, atol=0.05)
        z += [*((found - np.array([-2.0, 1.0]) * MRAD_PER_PIXEL) / (misfit.errors[:2] * 1e3))]
    # Sixteen normal numbers: their rms lies between these but in one of a thousand cases.
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.6
    assert np.abs(z).max() < 4


def test_nothing_is_found_where_nothing_is_wrong():
    z = []
    for seed in range(8):
        misfit = find_misfit(crystals_of(30, seed + 100))
        z += [misfit.values / misfit.errors]
        assert misfit.errors[0] < 0.05e-3
    z = np.array(z)
    assert np.abs(z).max() < 4.5
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5


def test_distance_and_cell_are_told_apart():
    wrong_distance = find_misfit(crystals_of(60, 3, distance_error=0.005))
    wrong_cell = find_misfit(crystals_of(60, 3, cell_error=(0.004, 0.004, 0.004)))
    for misfit, distance, scale in ((wrong_distance, 0.005, 0.0), (wrong_cell, 0.0, 1 / 1.004 - 1)):
        row = misfit.scale(0)
        error = np.sqrt(row @ misfit.covariance @ row)
        assert misfit.values[DISTANCE] == pytest.approx(distance, abs=4 * misfit.errors[DISTANCE])
        assert row @ misfit.values == pytest.approx(scale, abs=4 * error)
        assert misfit.errors[DISTANCE] < 0.3e-3
    # With the distance taken for granted the cell has all of it, and is far surer.
    known, covariance = wrong_distance.knowing(np.eye(len(wrong_distance.values))[DISTANCE][None])
    row = wrong_distance.scale(0)
    assert row @ known == pytest.approx(0.0046, abs=2e-4)
    assert known[DISTANCE] == pytest.approx(0, abs=1e-12)
    assert np.sqrt(row @ covariance @ row) < 0.2 * np.sqrt(row @ wrong_distance.covariance @ row)


def test_a_cell_out_of_shape_is_found():
    misfit = find_misfit(crystals_of(40, 5, cell_error=(0.004, 0.004, -0.006)))
    np.testing.assert_allclose(np.diag(misfit.strain(0)), [1 / 1.004 - 1, 1 / 1.004 - 1, 1 / 0.994 - 1], atol=5e-4)


@pytest.mark.parametrize("spread", [0.0, 0.002, 0.004])
def test_the_scatter_of_the_cells_is_what_it_is(spread):
    misfit = find_misfit(crystals_of(60, 7, cell_spread=spread, n_spots=(20, 40)))
    # Three of the six components scatter; what is less than the strains' errors cannot be distinguished from nothing.
    assert misfit.spread.scatter == pytest.approx(spread / np.sqrt(2), rel=0.2, abs=3e-4)


def test_residuals_scatter_as_they_were_made():
    misfit = find_misfit(crystals_of(60, 8, false_share=(0, 0)))
    # 0.6 pixels at the middle of the detector, less at its edge.
    assert 0.8 * 0.6e-3 * MRAD_PER_PIXEL < misfit.spread.across < 0.6e-3 * MRAD_PER_PIXEL
    assert 0.4e-3 < misfit.spread.along < 0.0015 / np.sqrt(3)


def test_a_large_shift_is_reached_in_the_rounds():
    misfit = find_misfit(crystals_of(60, 9, beam_centre_error=(4.0, 0.0)))
    assert misfit.values[X] * 1e3 == pytest.approx(-4 * MRAD_PER_PIXEL, abs=5 * misfit.errors[X] * 1e3)


def test_another_wavelength():
    misfit = find_misfit(crystals_of(30, 10, wavelength=1.7, distance=100.0, beam_centre_error=(1.0, 0.0)))
    assert misfit.values[X] * 1e3 == pytest.approx(-2 * MRAD_PER_PIXEL, abs=5 * misfit.errors[X] * 1e3)


def test_several_lattices_and_cells():
    cells = (LYSOZYME, (61.0, 122.0, 168.0, 90.0, 90.0, 90.0))
    misfit = find_misfit(
        crystals_of(40, 11, cells=cells, lattices=(1, 2), n_spots=(80, 120), beam_centre_error=(2.0, 0.0))
    )
    assert set(misfit.bases) == {0, 1}
    assert len(misfit.values) == 3 + 2 + 3
    assert misfit.values[X] * 1e3 == pytest.approx(-2 * MRAD_PER_PIXEL, abs=5 * misfit.errors[X] * 1e3)
    for row in (0, 1):
        np.testing.assert_allclose(misfit.strain(row), 0, atol=1e-3)


def test_frames_are_independent_of_their_order():
    crystals = crystals_of(20, 12)
    turned = crystals.take(np.arange(20)[::-1])
    np.testing.assert_allclose(find_misfit(turned).values, find_misfit(crystals).values, atol=1e-9)


def test_few_crystals_say_nothing():
    assert find_misfit(crystals_of(FEWEST_CRYSTALS - 1, 13)) is None
    empty = crystals_of(3, 13)
    empty = replace(
        empty, cells=np.zeros((0, 3, 3)), crystal_offsets=np.zeros(4, np.int64), input_cell=np.zeros(0, np.int64)
    )
    assert find_misfit(empty) is None


def test_a_cell_that_the_spots_do_not_tell_stays():
    # Nearly all spots have l = 0: they say nothing of the strains across that plane of the lattice.
    flat = (90.0, 100.0, 3.0, 90.0, 90.0, 90.0)
    crystals = crystals_of(12, 14, cells=(flat,), n_spots=(20, 30), false_share=(0.0, 0.0), d_min=4.0)
    indices = np.einsum("nij,nj->ni", np.repeat(crystals.cells, np.diff(crystals.offsets), axis=0), crystals.spots)
    assert (np.rint(indices[:, 2]) == 0).all()
    misfit = find_misfit(crystals)
    assert np.isfinite(misfit.errors).all()
    assert np.abs(misfit.strain(0)[2]).max() < 1e-3
    assert misfit.errors[misfit.columns(0)].max() > 0.05
