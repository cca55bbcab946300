"""The last fit with weighed residuals."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.generic.fit_whitened import fit_whitened
from ffbidx_core.model.misfit.equations import Spread, index_spots
from ffbidx_core.model.misfit.misfit import find_misfit
from ffbidx_core.model.orientation import rotation_angle, rotation_between
from ffbidx_core.model.strain import MATRICES, components, strains, symmetric
from tests.helpers.misfits import crystals_of

CPU = get_backend("cpu", threads=1)
SPREAD = Spread(across=2.1e-4, along=5.6e-4, scatter=1e-4)


def frames(n=30, seed=0, **settings):
    """Spots, cells to start with, true cells, references."""
    start = crystals_of(n, seed, turned=0.05, **settings)
    truth = crystals_of(n, seed, turned=0.0, **settings)
    batch = CPU.load(start.spots.astype(np.float32), start.offsets)
    return batch, start.cells, truth.cells, np.broadcast_to(start.references[0], start.cells.shape)


def off(cells, truth):
    """Degrees."""
    return rotation_angle(rotation_between(cells, truth))


def fit(batch, cells, reference, prior=1e-4, spread=SPREAD, **keywords):
    return fit_whitened(batch, cells, reference, np.full(len(cells), 0.002), spread, prior, **keywords)


def test_weighed_residuals_are_better_than_all_alike():
    batch, start, truth, reference = frames(100)
    weighed = off(fit(batch, start, reference), truth)
    alike = off(fit(batch, start, reference, spread=Spread(5e-4, 5e-4, 1e-4)), truth)
    constrained = off(CPU.fit_constrained(batch, start, reference, np.full(100, 0.0012), 1e-4)[0], truth)
    for share in (50, 95):
        best, middle, last = (np.percentile(angles, share) for angles in (weighed, alike, constrained))
        assert best < 0.95 * middle
        assert best < 0.7 * last


def test_it_is_the_fit_of_the_diagnosis():
    crystals = crystals_of(40, 3, turned=0.02)
    misfit = find_misfit(crystals)
    batch = CPU.load(crystals.spots.astype(np.float32), crystals.offsets)
    # To the cell that its crystals share, with the same scatter, many steps of the one are the other.
    shared = crystals.references[0] @ (np.eye(3) + misfit.strain(0))
    cells = crystals.corrected(misfit.values[:2], misfit.values[2]).cells
    for _ in range(3):
        cells = fit(batch, cells, np.broadcast_to(shared, cells.shape), misfit.spread.scatter, misfit.spread)
    errors = off(misfit.cells, crystals_of(40, 3, turned=0.0).cells)
    assert np.median(off(cells, misfit.cells)) < 0.2 * np.median(errors)


@pytest.mark.parametrize("spread", [0.0, 0.004])
def test_the_prior_holds_the_strain(spread):
    batch, start, truth, reference = frames(20, 1, cell_spread=spread)
    tight, loose = fit(batch, start, reference, 1e-6), fit(batch, start, reference, 1.0)
    assert np.abs(strains(tight, reference)).max() < 1e-4
    true_strain = strains(truth, reference)
    error = np.abs(strains(loose, reference) - true_strain)
    assert np.median(error) < 1.5e-3
    if spread:
        assert np.median(off(loose, truth)) < np.median(off(tight, truth))


def test_a_symmetric_strain_keeps_the_lattice():
    batch, start, truth, reference = frames(20, 2, cell_spread=0.003)
    operators = crystals_of(1, 0).operators[0]
    numbers = components(symmetric(MATRICES, reference[0], operators)).T
    kept = fit(batch, start, reference, 0.003, symmetry=np.broadcast_to(numbers, (20, 6, 6)))
    strain = strains(kept, reference)
    np.testing.assert_allclose(strain, symmetric(strain, reference[0], operators), atol=2e-6)
    assert np.abs(strain).max() > 1e-3
    assert np.median(off(kept, truth)) < 0.1


def test_frames_do_not_know_of_each_other():
    batch, start, _, reference = frames(40, 4, n_spots=(5, 140))
    whole = fit(batch, start, reference)
    for frames_alone in (np.array([0]), np.arange(7, 31, 3), np.arange(20, 40)):
        alone = fit(batch.take(frames_alone), start[frames_alone], reference[frames_alone])
        assert (alone == whole[frames_alone]).all()


def test_what_cannot_be_fitted_stays():
    batch, start, _, reference = frames(4, 5)
    cells = start.copy()
    cells[1] = 0
    far = CPU.load(np.concatenate([batch.xyz.T, np.zeros((0, 3))]), batch.offsets)
    turned = cells.copy()
    turned[2] = crystals_of(4, 99).cells[0]
    fitted = fit(far, turned, reference)
    assert (fitted[1] == 0).all()
    assert np.isfinite(fitted).all()
    empty = CPU.load(np.zeros((0, 3), np.float32), np.zeros(5, np.int64))
    np.testing.assert_allclose(fit(empty, start, reference), start, rtol=1e-12)


def test_spots_on_no_ewald_sphere_count_alike():
    crystals = crystals_of(20, 6, turned=0.0)
    indexed = index_spots(crystals)
    rng = np.random.default_rng(0)
    # Around another beam: nothing says which way the rays go.
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    spots = (crystals.spots @ rotation).astype(np.float32)
    cells = crystals.cells @ rotation
    reference = np.broadcast_to(crystals.references[0] * np.sign(np.linalg.det(rotation)), cells.shape)
    fitted = fit(CPU.load(spots, crystals.offsets), cells, reference)
    assert len(indexed.spots) > 500
    assert np.median(off(fitted, cells)) < 0.1
