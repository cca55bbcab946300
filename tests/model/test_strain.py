"""Strains of oriented cells, and which of them keep a lattice's symmetry."""

import numpy as np
import pytest

from ffbidx_core.model.cell import cell_from_parameters, cell_parameters, symmetry_operators
from ffbidx_core.model.strain import (
    MULTIPLICITY,
    components,
    matrices,
    strains,
    strains_and_rotations,
    symmetric,
    symmetric_basis,
)
from tests.helpers.frames import random_rotation

TETRAGONAL = cell_from_parameters((79, 79, 38, 90, 90, 90))


def test_strain_and_rotation_make_the_cell():
    rng = np.random.default_rng(0)
    strain = 0.01 * rng.normal(size=(5, 3, 3))
    strain = strain + np.swapaxes(strain, 1, 2)
    rotation = np.stack([random_rotation(rng) for _ in range(5)])
    cells = TETRAGONAL @ (np.eye(3) + strain) @ rotation
    found, turned = strains_and_rotations(cells, TETRAGONAL)
    np.testing.assert_allclose(found, strain, atol=1e-12)
    np.testing.assert_allclose(turned, rotation, atol=1e-12)
    np.testing.assert_allclose(strains(cells, np.broadcast_to(TETRAGONAL, cells.shape)), strain, atol=1e-12)
    np.testing.assert_allclose(matrices(components(strain)), strain)


@pytest.mark.parametrize(
    ("parameters", "free"),
    [
        ((50, 50, 50, 90, 90, 90), 1),
        ((79, 79, 38, 90, 90, 90), 2),
        ((60, 60, 90, 90, 90, 120), 2),
        ((50, 50, 50, 70, 70, 70), 2),
        ((50, 60, 70, 90, 90, 90), 3),
        ((50, 60, 70, 90, 103, 90), 4),
        ((50, 60, 70, 80, 103, 95), 6),
    ],
)
def test_a_lattice_keeps_its_symmetry_by_as_many_strains_as_it_has_parameters(parameters, free):
    cell = cell_from_parameters(parameters)
    basis = symmetric_basis(cell, symmetry_operators(cell, 1e-3))
    assert basis.shape == (free, 6)
    np.testing.assert_allclose((basis * MULTIPLICITY) @ basis.T, np.eye(free), atol=1e-12)
    for strain in matrices(basis):
        changed = cell_parameters(cell @ (np.eye(3) + 1e-4 * strain))
        equal = np.isclose(parameters[:3], parameters[0])
        np.testing.assert_allclose(changed[:3][equal], changed[0], rtol=1e-9)
        fixed = np.isin(parameters[3:], (90, 120))
        np.testing.assert_allclose(changed[3:][fixed], np.array(parameters[3:])[fixed], atol=1e-9)


def test_the_symmetric_part_is_what_the_basis_spans():
    rng = np.random.default_rng(1)
    operators = symmetry_operators(TETRAGONAL, 1e-3)
    strain = matrices(rng.normal(size=(4, 6)))
    kept = symmetric(strain, TETRAGONAL, operators)
    np.testing.assert_allclose(symmetric(kept, TETRAGONAL, operators), kept, atol=1e-12)
    basis = symmetric_basis(TETRAGONAL, operators)
    projected = components(strain) * MULTIPLICITY @ basis.T @ basis
    np.testing.assert_allclose(components(kept), projected, atol=1e-12)
    np.testing.assert_allclose(symmetric(strain[0], TETRAGONAL, operators), kept[0], atol=1e-12)
