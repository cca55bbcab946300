"""Orientations, against rotations made here and gemmi's reduced cells and space groups."""

import gemmi
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ffbidx_core.model.cell import cell_from_parameters, cell_parameters, symmetry_operators
from ffbidx_core.model.orientation import (
    canonical_setting,
    drifted,
    equal_lattices,
    misorientation,
    rotation_angle,
    rotation_between,
)
from tests.helpers.frames import SYSTEMS, cell_of, random_rotation, rotation

SEEDS = st.integers(0, 2**32 - 1)


def group_bases(system: str) -> np.ndarray:
    """gemmi's rotations of the space group, as matrices U that turn the basis A to U A."""
    operations = gemmi.SpaceGroup(SYSTEMS[system][0]).operations()
    return np.array([np.array(op.rot).T // gemmi.Op.DEN for op in operations.sym_ops])


def random_basis(rng: np.random.Generator) -> np.ndarray:
    """A unimodular matrix: a product of shears."""
    basis = np.eye(3, dtype=np.int64)
    for _ in range(4):
        i, j = rng.choice(3, 2, replace=False)
        shear = np.eye(3, dtype=np.int64)
        shear[i, j] = rng.choice([-1, 1])
        basis = shear @ basis
    return basis


@given(SEEDS, st.floats(0, 180))
def test_rotation_between_recovers_the_rotation(seed, degrees):
    rng = np.random.default_rng(seed)
    cell, turn = cell_of("triclinic"), rotation(rng.normal(size=3), degrees)
    np.testing.assert_allclose(rotation_between(cell @ turn, cell), turn, atol=1e-9)
    assert rotation_angle(turn) == pytest.approx(degrees, abs=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
@given(seed=SEEDS, degrees=st.floats(0, 4))
@settings(max_examples=10)
def test_misorientation_is_the_small_turn_whatever_the_symmetric_basis(system, seed, degrees):
    """Two symmetric orientations differ by 60 degrees or more here, so that a small turn is the smallest one."""
    rng = np.random.default_rng(seed)
    cell = cell_of(system) @ random_rotation(rng)
    other = rng.permutation(group_bases(system))[0] @ cell @ rotation(rng.normal(size=3), degrees)
    operators = symmetry_operators(cell, 1e-3)
    assert misorientation(cell, other, operators) == pytest.approx(degrees, abs=1e-5)
    assert misorientation(other, cell, operators) == pytest.approx(degrees, abs=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_canonical_setting_is_one_for_all_symmetric_bases(system):
    rng = np.random.default_rng(7)
    cell = cell_of(system)
    operators = symmetry_operators(cell, 1e-3)
    for _ in range(10):
        turned = cell @ random_rotation(rng)
        bases = group_bases(system) @ turned
        canonical = canonical_setting(bases, cell, operators)
        np.testing.assert_allclose(canonical, np.broadcast_to(canonical[0], canonical.shape), atol=1e-9)
        assert misorientation(canonical[0], turned, operators) == pytest.approx(0, abs=1e-4)
        least = min(float(rotation_angle(rotation_between(basis, cell))) for basis in bases)
        assert float(rotation_angle(rotation_between(canonical[0], cell))) == pytest.approx(least, abs=1e-3)


def test_canonical_setting_prefers_the_metric_of_the_input_cell():
    """Where a is 1 % longer than b, the basis with the longer vector first is right, however far it is turned."""
    cell = cell_from_parameters((80, 79.2, 38, 90, 90, 90))
    operators = symmetry_operators(cell, 0.03)
    swapped = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]) @ cell
    (canonical,) = canonical_setting(swapped[None], cell, operators)
    np.testing.assert_allclose(canonical, cell, atol=1e-9)


def test_canonical_setting_breaks_ties_by_the_order_of_the_operators():
    """A turn of 45 degrees about the fourfold axis is as far from two settings."""
    cell = cell_of("tetragonal")
    operators = symmetry_operators(cell, 1e-3)
    turned = cell @ rotation(np.array([0, 0, 1.0]), 45)
    noise = 1e-9 * np.random.default_rng(1).normal(size=(20, 3, 3))
    canonical = canonical_setting(turned + noise, cell, operators)
    np.testing.assert_allclose(canonical, np.broadcast_to(canonical[0], canonical.shape), atol=1e-6)


def test_canonical_setting_of_no_cells():
    cell = cell_of("triclinic")
    assert len(canonical_setting(np.zeros((0, 3, 3)), cell, symmetry_operators(cell, 1e-3))) == 0


@pytest.mark.parametrize("system", SYSTEMS)
@given(seed=SEEDS)
@settings(max_examples=10)
def test_bases_of_one_lattice_are_equal_lattices(system, seed):
    rng = np.random.default_rng(seed)
    cell = cell_of(system) @ random_rotation(rng)
    strained = random_basis(rng) @ cell @ (np.eye(3) + 0.003 * rng.uniform(-1, 1, size=(3, 3)))
    assert niggli(strained) == pytest.approx(niggli(cell), rel=0.1)
    assert equal_lattices(strained, cell, 0.03)
    assert equal_lattices(-strained, cell, 0.03)


@given(SEEDS, st.floats(3, 60))
@settings(max_examples=30)
def test_a_turned_lattice_is_another_one(seed, degrees):
    rng = np.random.default_rng(seed)
    cell = cell_of("triclinic")
    assert not equal_lattices(cell @ rotation(rng.normal(size=3), degrees), cell, 0.03)


def test_a_sublattice_is_another_lattice():
    cell = cell_of("orthorhombic")
    assert not equal_lattices(np.diag([2, 1, 1]) @ cell, cell, 0.03)
    assert not equal_lattices(cell, np.diag([1, 1, 3]) @ cell, 0.03)


@given(SEEDS)
@settings(max_examples=30)
def test_lattices_with_other_reduced_cells_are_not_equal(seed):
    rng = np.random.default_rng(seed)
    cells = [cell_from_parameters((*rng.uniform(30, 80, 3), *rng.uniform(75, 105, 3))) for _ in range(2)]
    reduced = [niggli(cell) for cell in cells]
    assume(np.abs(np.array(reduced[0][:3]) / reduced[1][:3] - 1).max() > 0.05)
    assert not equal_lattices(cells[0], cells[1], 0.03)


def niggli(cell: np.ndarray) -> tuple[float, ...]:
    """Lengths of gemmi's reduced cell."""
    vector = gemmi.GruberVector(gemmi.UnitCell(*cell_parameters(cell)), "P")
    vector.niggli_reduce()
    return vector.get_cell().parameters[:3]


@pytest.mark.parametrize(
    ("parameters", "far"),
    [
        ((80, 79, 38, 90, 90, 90), False),
        ((82, 79, 38, 90, 92, 90), False),
        ((84.5, 79, 38, 90, 90, 90), True),
        ((80, 79, 35.9, 90, 90, 90), True),
        ((80, 79, 38, 90, 93.5, 90), True),
        ((80, 79, 38, 86.5, 90, 90), True),
    ],
)
def test_drift_is_a_share_of_length_or_an_angle(parameters, far):
    own = cell_from_parameters((80, 79, 38, 90, 90, 90))
    cell = cell_from_parameters(parameters) @ random_rotation(np.random.default_rng(3))
    assert drifted(cell[None], own[None], (0.05, 3.0)).tolist() == [far]
