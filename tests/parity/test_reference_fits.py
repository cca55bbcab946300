"""The oracle's fits and distances, against exact lattices and against every neighbouring lattice point."""

import itertools
import math

import numpy as np
import pytest

from ffbidx_core.model.fits import CONSTRAINED_LIMITS, CONSTRAINED_SMALLEST_START
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.lattice_stills import (
    CELLS,
    lattice_spots,
    one_frame,
    random_rotation,
    random_spots,
    small_rotation,
    small_strain,
    still,
)

EPS32 = 2.0**-24


@pytest.mark.parametrize("method", ["ifss", "ifse", "ifssr"])
def test_refinement_converges_to_the_exact_cell(oracle, rng, method):
    spots, truth = still(rng, CELLS["orthorhombic"], 80, false=0, noise=0)
    start = truth @ small_rotation(rng, 0.1) @ (np.eye(3) + 1e-3 * rng.normal(size=(3, 3)))
    batch, p = one_frame(oracle, spots), Parameters(method=method, max_dist=1e-5, n_iter=60)
    cells, scores = oracle.refine_cells(batch, start[None, None], np.array([[-80.85]]), p)
    # Spots are float32: the last digit of each index, times how badly the thin shell determines the cell.
    s = spots.astype(float)
    determined = np.linalg.norm(s, axis=1).max() * math.sqrt(len(s)) / np.linalg.svd(s, compute_uv=False)[-1]
    np.testing.assert_allclose(cells[0, 0], truth, atol=EPS32 * 73 * determined)
    assert scores[0, 0] < EPS32 * 73 * determined


@pytest.mark.parametrize("method", ["raw", "ifss", "ifse", "ifssr"])
def test_refinement_without_work(oracle, rng, method):
    p = Parameters(method=method)
    spots, truth = still(rng, CELLS["cubic"], 7)
    cells, scores = np.stack([truth, np.zeros((3, 3))])[None], np.array([[-5.8, np.inf]])
    refined, final = oracle.refine_cells(one_frame(oracle, spots), cells, scores, p)
    np.testing.assert_array_equal(refined, cells)
    np.testing.assert_array_equal(final, [[-5.8 if method == "raw" else 1.0, np.inf]])
    spots, truth = still(rng, CELLS["cubic"], 30)
    batch = one_frame(oracle, spots)
    cells = truth[None, None]
    refined, final = oracle.refine_cells(batch, cells, np.array([[-29.8]]), p.replace(n_iter=0))
    np.testing.assert_array_equal(refined, cells)
    if method != "raw":
        measured = oracle.distances(batch, cells, fractional=method != "ifssr")
        assert final[0, 0] == pytest.approx(np.sort(measured[0])[7], rel=1e-6)


def test_a_threshold_below_max_dist_fits_nothing(oracle, rng):
    spots, truth = still(rng, CELLS["cubic"], 30)
    start = truth[None, None]
    refined, _ = oracle.refine_cells(
        one_frame(oracle, spots), start, np.array([[-30.999]]), Parameters(method="ifse", max_dist=0.01)
    )
    np.testing.assert_array_equal(refined, start)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("method", ["ifss", "ifse", "ifssr"])
def test_what_the_spots_do_not_determine_stays(oracle, rng, method, rank):
    cell = CELLS["triclinic"] @ random_rotation(rng)
    indices = rng.integers(-6, 7, size=(40, 3))
    indices[:, rank:] = 0
    indices = indices[indices.any(axis=1)]
    reciprocal_cell = np.linalg.inv(cell).T
    spots = (indices @ reciprocal_cell).astype(np.float32)
    start = cell @ (np.eye(3) + 2e-4 * rng.normal(size=(3, 3)))
    refined, _ = oracle.refine_cells(
        one_frame(oracle, spots), start[None, None], np.array([[-30.9]]), Parameters(method=method)
    )
    change = refined[0, 0] - start
    inside = np.linalg.svd(reciprocal_cell[:rank])[2][:rank]
    outside = np.eye(3) - inside.T @ inside
    np.testing.assert_allclose(change @ outside, 0, atol=1e-5)
    np.testing.assert_allclose((refined[0, 0] - cell) @ inside.T, 0, atol=1e-4)
    assert np.abs((start - cell) @ inside.T).max() > 1e-3


def test_the_rigid_fit_keeps_the_metric_and_finds_the_orientation(oracle, rng):
    cell = CELLS["monoclinic"]
    spots, truth = still(rng, cell, 60, false=0.2, noise=0)
    start = truth @ small_rotation(rng, 0.25)
    fitted = oracle.fit_rigid(one_frame(oracle, spots), start[None, None], Parameters(rigid_steps=7))[0, 0]
    np.testing.assert_allclose(fitted @ fitted.T, cell @ cell.T, rtol=0, atol=1e-10 * 62**2)
    np.testing.assert_allclose(fitted, truth, atol=62 * 2e-5)
    assert np.abs(start - truth).max() > 0.1


def test_the_rigid_fit_stops_without_spots_or_steps(oracle, rng):
    cells = np.stack([CELLS["cubic"] @ random_rotation(rng), np.zeros((3, 3))])[None]
    far = (np.array([[0.5, 0.5, 0.5]]) @ np.linalg.inv(cells[0, 0]).T).astype(np.float32)
    for spots, steps in ((far, 7), (np.zeros((4, 3), np.float32), 7), (lattice_spots(cells[0, 0]), 0)):
        fitted = oracle.fit_rigid(one_frame(oracle, spots), cells, Parameters(rigid_steps=steps))
        np.testing.assert_array_equal(fitted, cells)


def test_the_constrained_fit_finds_a_strain(oracle, rng):
    cell = CELLS["orthorhombic"]
    rotation, strain = random_rotation(rng), small_strain(rng, 0.002)
    truth = cell @ rotation @ np.linalg.inv(np.eye(3) + strain)
    spots = rng.permutation(lattice_spots(truth))[:120].astype(np.float32)
    start = cell @ rotation @ small_rotation(rng, 0.05)
    elsewhere = cell @ random_rotation(rng)
    fitted, cutoff = oracle.fit_constrained(
        one_frame(oracle, spots), start[None], elsewhere[None], np.array([0.002]), 0.02
    )
    # What the prior keeps back: (sigma / prior)^2 over the spots' weight, a few thousandths of the strain.
    np.testing.assert_allclose(fitted[0], truth, atol=0.02 * 0.002 * 73)
    assert np.abs(start - truth).max() > 0.5 * 0.002 * 41
    assert CONSTRAINED_LIMITS[0] <= cutoff[0] < 0.001


def test_a_tight_prior_keeps_the_shape(oracle, rng):
    cell = CELLS["triclinic"]
    truth = cell @ random_rotation(rng) @ (np.eye(3) + small_strain(rng, 0.002))
    spots = rng.permutation(lattice_spots(truth))[:80].astype(np.float32)
    fitted, _ = oracle.fit_constrained(one_frame(oracle, spots), truth[None], cell[None], np.array([0.002]), 1e-6)
    # The prior pulls the strain of the start back, whatever the start is strained by.
    np.testing.assert_allclose(fitted[0] @ fitted[0].T, cell @ cell.T, atol=1e-4 * 0.002 * 53**2)


def test_the_prior_is_a_penalty_on_the_strain(oracle, rng, monkeypatch):
    """At convergence the gradient of residuals / sigma^2 balances the strain / prior^2, checked by differences."""
    cell, prior = CELLS["orthorhombic"], 0.002
    truth = cell @ random_rotation(rng) @ (np.eye(3) + small_strain(rng, 0.003))
    spots = rng.permutation(lattice_spots(truth))[:60].astype(np.float32)
    spots = (spots + rng.normal(scale=3e-4, size=spots.shape)).astype(np.float32)
    monkeypatch.setattr("ffbidx_core.backends.reference.constrained.CONSTRAINED_STEPS", 50)
    (found,), cutoff = oracle.fit_constrained(
        one_frame(oracle, spots), truth[None], cell[None], np.array([1e-9]), prior
    )
    s = spots.astype(float)
    indices, reciprocal_cell = np.rint(s @ found.T), np.linalg.inv(found).T

    def cost(e):
        strained = reciprocal_cell @ (np.eye(3) + e)
        f = np.linalg.solve(np.linalg.inv(cell).T, strained)
        strain = np.linalg.svd(f, compute_uv=False) - 1
        residuals = ((s - indices @ strained) ** 2).sum(axis=1)
        weights = np.maximum(0, 1 - ((s - indices @ reciprocal_cell) ** 2).sum(axis=1) / cutoff[0] ** 2) ** 2
        return (weights * residuals).sum() * 9 / cutoff[0] ** 2 / 2 + (strain**2).sum() / prior**2 / 2

    step = 1e-6
    for i, k in itertools.combinations_with_replacement(range(3), 2):
        e = np.zeros((3, 3))
        e[i, k] = e[k, i] = step
        gradient = (cost(e) - cost(-e)) / (2 * step)
        # The steps are linear in the strain: of its size 0.003 a share of 0.003 stays.
        assert abs(gradient) * prior**2 < 0.003 * 0.003


def test_the_constrained_fit_leaves_alone_what_it_cannot_fit(oracle, rng):
    cells = np.stack([np.zeros((3, 3)), CELLS["cubic"]])
    batch = oracle.load(random_spots(rng, 22).astype(np.float32), [0, 20, 22])
    fitted, cutoff = oracle.fit_constrained(batch, cells, cells, np.array([0.003, 1e-4]), 0.002)
    np.testing.assert_array_equal(fitted, cells)
    np.testing.assert_allclose(cutoff, [1.3 * 0.003, 1.3 * CONSTRAINED_SMALLEST_START])


@pytest.mark.parametrize("system", CELLS)
def test_distances_against_all_neighbours(oracle, rng, system):
    cell = CELLS[system] @ random_rotation(rng)
    spots = random_spots(rng, 200).astype(np.float32)
    batch = one_frame(oracle, spots)
    spots = batch.xyz.T.astype(float)
    around = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    indices = np.floor(spots @ cell.T + 0.5)[:, None] + around
    off = np.linalg.norm(spots[:, None] @ cell.T - indices, axis=2)
    reciprocal_off = np.linalg.norm(spots[:, None] - indices @ np.linalg.inv(cell).T, axis=2)
    chosen = np.arange(len(spots)), off.argmin(axis=1)
    cells = np.stack([cell, np.zeros((3, 3))])[None]
    for fractional, wanted in ((True, off[chosen]), (False, reciprocal_off[chosen])):
        found = oracle.distances(batch, cells, fractional=fractional)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0], wanted, rtol=2 * EPS32)
        assert np.isinf(found[1]).all()
    if system in ("orthorhombic", "tetragonal", "cubic"):
        np.testing.assert_allclose(oracle.distances(batch, cells)[0], reciprocal_off.min(axis=1), rtol=2 * EPS32)
    radii = np.array([[[0.002, 0.004, 0.02]] * 2])
    counts = oracle.count_within(batch, cells, radii)
    np.testing.assert_array_equal(counts[0, 0], (reciprocal_off[chosen][:, None] < radii[0, 0]).sum(axis=0))
    np.testing.assert_array_equal(counts[0, 1], 0)


def test_a_spot_half_way_rounds_to_the_even_index(oracle):
    cell = np.diag([16.0, 32.0, 64.0])
    spots = np.array([[0.5 / 16, 1.5 / 32, 3 / 64]], dtype=np.float32)
    batch = one_frame(oracle, spots)
    p = Parameters(method="ifss", min_spots=4)
    np.testing.assert_allclose(oracle.distances(batch, cell[None, None], fractional=True), math.sqrt(0.5))
    # Index 0 for 0.5 and 2 for 1.5.
    refined, _ = oracle.refine_cells(
        oracle.load(np.repeat(spots, 4, axis=0), [0, 4]), cell[None, None], np.array([[-0.2]]), p
    )
    np.testing.assert_allclose(refined[0, 0] @ spots[0], [0, 2, 3], atol=1e-12)
