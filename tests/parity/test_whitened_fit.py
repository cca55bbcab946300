"""The last fit with weighed residuals: each backend's kernel against the plain array code, both in float64.

Spots and sums are the same but for the order of the sums, so that cells agree to some 1e-13 of their length; 1e-9
angstrom leaves room for fits that are hardly determined.
"""

import numpy as np
import pytest

from ffbidx_core.backends.generic.fit_whitened import fit_whitened
from ffbidx_core.model.misfit.equations import Spread
from ffbidx_core.model.strain import MATRICES, components, symmetric
from tests.helpers.misfits import crystals_of
from tests.helpers.parity.oracle_checks import to_host

SPREAD, PRIOR, TOLERANCE = Spread(across=2.1e-4, along=5.6e-4, scatter=1e-4), 1e-3, 1e-9
AXES = ([0, 1, 2], [1, 2, 0])
"""Spots on the Ewald sphere of a beam along z, and turned to where no sphere is found."""


def starts(settings, axes):
    """Spots, offsets, cells turned by 0.05 degrees, references."""
    crystals = crystals_of(24, 7, turned=0.05, **settings)
    cells = crystals.cells[:, :, axes].copy()
    cells[3] = 0
    reference = np.ascontiguousarray(np.broadcast_to(crystals.references[0], cells.shape))
    return np.ascontiguousarray(crystals.spots.astype(np.float32)[:, axes]), crystals.offsets, cells, reference


@pytest.mark.parametrize("axes", AXES, ids=["sphere", "no sphere"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_spots": (5, 140)},
        {"cell_spread": 0.004},
        {"false_share": (0.5, 0.7)},
        {"wavelength": 1.6, "d_min": 3.0},
    ],
    ids=str,
)
def test_the_kernel_computes_the_same(backend, oracle, settings, axes):
    spots, offsets, start, reference = starts(settings, axes)
    cutoff = np.full(24, 0.002)
    wanted = fit_whitened(oracle.load(spots, offsets), start, reference, cutoff, SPREAD, PRIOR)
    xp = backend.xp
    fitted = to_host(
        backend.fit_whitened(
            backend.load(spots, offsets), xp.asarray(start), xp.asarray(reference), xp.asarray(cutoff), SPREAD, PRIOR
        )
    )
    np.testing.assert_allclose(fitted, wanted, rtol=0, atol=TOLERANCE)
    assert np.abs(fitted - start).max() > 0.01
    assert (fitted[3] == 0).all()


def test_it_leaves_frames_without_spots(backend):
    _, _, start, reference = starts({}, AXES[0])
    empty = backend.load(np.zeros((0, 3), np.float32), np.zeros(25, np.int64))
    xp = backend.xp
    fitted = backend.fit_whitened(empty, xp.asarray(start), xp.asarray(reference), xp.full(24, 0.002), SPREAD, PRIOR)
    np.testing.assert_allclose(to_host(fitted), start, rtol=1e-12)


def test_a_lattice_keeps_its_symmetry_on_every_backend(backend, oracle):
    spots, offsets, start, reference = starts({}, AXES[0])
    cutoff, operators = np.full(24, 0.002), crystals_of(1, 0).operators[0]
    symmetry = np.tile(components(symmetric(MATRICES, reference[0], operators)).T, (24, 1, 1))
    wanted = fit_whitened(oracle.load(spots, offsets), start, reference, cutoff, SPREAD, PRIOR, symmetry)
    xp = backend.xp
    fitted = to_host(
        backend.fit_whitened(
            backend.load(spots, offsets),
            xp.asarray(start),
            xp.asarray(reference),
            xp.asarray(cutoff),
            SPREAD,
            PRIOR,
            xp.asarray(symmetry),
        )
    )
    np.testing.assert_allclose(fitted, wanted, rtol=0, atol=TOLERANCE)
