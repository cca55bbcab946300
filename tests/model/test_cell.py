"""Cells against gemmi, an independent oracle."""

import itertools

import gemmi
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ffbidx_core.errors import CellError
from ffbidx_core.model.cell import (
    cell_from_parameters,
    cell_parameters,
    check_cell,
    is_left_handed,
    other_settings,
    reciprocal,
    shortest_reciprocal,
    symmetry_operators,
)
from tests.helpers.frames import SYSTEMS, cell_of, random_rotation

LENGTHS = st.floats(5, 300)
ANGLES = st.floats(50, 130)

ORDERS = dict(zip(SYSTEMS, (1, 2, 4, 8, 6, 12, 24), strict=True))


@st.composite
def cell_constants(draw):
    """Parameters of a cell that is not nearly flat."""
    parameters = tuple(draw(LENGTHS) for _ in range(3)) + tuple(draw(ANGLES) for _ in range(3))
    alpha, beta, gamma = parameters[3:]
    assume(alpha + beta + gamma < 350 and alpha + beta > gamma + 10)
    assume(beta + gamma > alpha + 10 and alpha + gamma > beta + 10)
    return parameters


def gemmi_rows(cell: gemmi.UnitCell) -> np.ndarray:
    """Rows a, b, c of a gemmi cell."""
    return np.array(cell.orth.mat.tolist()).T


@given(cell_constants())
def test_cell_from_parameters_is_gemmis(parameters):
    np.testing.assert_allclose(
        cell_from_parameters(parameters), gemmi_rows(gemmi.UnitCell(*parameters)), rtol=1e-12, atol=1e-9
    )


@given(cell_constants(), st.integers(0, 2**32 - 1))
def test_parameters_do_not_depend_on_orientation(parameters, seed):
    cell = gemmi_rows(gemmi.UnitCell(*parameters)) @ random_rotation(np.random.default_rng(seed))
    np.testing.assert_allclose(cell_parameters(cell), parameters, rtol=1e-9)


@given(cell_constants())
def test_reciprocal_is_gemmis(parameters):
    cell = gemmi.UnitCell(*parameters)
    np.testing.assert_allclose(cell_parameters(reciprocal(gemmi_rows(cell))), cell.reciprocal().parameters, rtol=1e-9)


@given(cell_constants())
@settings(max_examples=20)
def test_shortest_reciprocal_is_the_longest_spacing(parameters):
    reduced = gemmi.GruberVector(gemmi.UnitCell(*parameters), "P")
    reduced.niggli_reduce()
    cell = reduced.get_cell()
    spacing = max(cell.calculate_d(hkl) for hkl in itertools.product(range(-4, 5), repeat=3) if any(hkl))
    assert shortest_reciprocal(gemmi_rows(cell)) == pytest.approx(1 / spacing, rel=1e-9)


@pytest.mark.parametrize(
    "parameters",
    [
        (0, 42, 53, 90, 90, 90),
        (-31, 42, 53, 90, 90, 90),
        (31, 42, 53, 0, 90, 90),
        (31, 42, 53, 90, 180, 90),
        (31, 42, 53, 120, 120, 125),
        (31, 42, 53, 30, 30, 90),
        (np.nan, 42, 53, 90, 90, 90),
        (31, np.inf, 53, 90, 90, 90),
    ],
)
def test_parameters_of_no_cell_are_refused(parameters):
    with pytest.raises(CellError):
        cell_from_parameters(parameters)


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        (np.eye(2), "shape"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.zeros((3, 3)), "long"),
        ([[30, 0, 0], [0, 40, 0], [30, 40, 0]], "singular"),
        (np.eye(3) * 1e6, "long"),
    ],
)
def test_what_is_no_cell_is_refused(cell, complaint):
    with pytest.raises(CellError, match=complaint):
        check_cell(cell)


def test_a_left_handed_cell_is_taken_as_it_is():
    cell = np.diag([30.0, 40.0, -50.0])
    assert is_left_handed(cell)
    assert not is_left_handed(-cell)
    np.testing.assert_array_equal(check_cell(cell), cell)


@pytest.mark.parametrize("system", SYSTEMS)
def test_symmetry_operators_are_those_of_the_space_group(system):
    """Rotations of fractional coordinates x -> W x turn the basis (rows) by the transpose of W."""
    operators = symmetry_operators(cell_of(system), 1e-3)
    rotations = [np.array(op.rot) // gemmi.Op.DEN for op in gemmi.SpaceGroup(SYSTEMS[system][0]).operations().sym_ops]
    assert len(operators) == ORDERS[system]
    assert {operator.tobytes() for operator in operators} == {rotation.T.tobytes() for rotation in rotations}
    np.testing.assert_array_equal(operators[0], np.eye(3))


CENTRED = ["C 1 2 1", "C 2 2 2", "F 2 2 2", "I 2 2 2", "I 4 2 2", "R 3 2:H", "F 4 3 2", "I 4 3 2"]


@pytest.mark.parametrize("name", CENTRED)
def test_reduced_cells_of_centred_lattices_keep_their_symmetry(name):
    group = gemmi.SpaceGroup(name)
    lengths = {"cubic": (61, 61, 61), "tetragonal": (61, 61, 38), "trigonal": (61, 61, 38)}
    beta = 103 if group.crystal_system_str() == "monoclinic" else 90
    gamma = 120 if group.crystal_system_str() == "trigonal" else 90
    conventional = gemmi.UnitCell(*lengths.get(group.crystal_system_str(), (31, 42, 53)), 90, beta, gamma)
    reduced = gemmi.GruberVector(conventional, group.centring_type())
    reduced.niggli_reduce()
    operators = symmetry_operators(cell_from_parameters(reduced.get_cell().parameters), 1e-4)
    assert len(operators) == len(gemmi.find_lattice_symmetry(conventional, group.centring_type(), 0.1).sym_ops)


@given(cell_constants())
@settings(max_examples=30)
def test_reduced_random_cells_have_gemmis_number_of_operators(parameters):
    reduced = gemmi.GruberVector(gemmi.UnitCell(*parameters), "P")
    reduced.niggli_reduce()
    cell = reduced.get_cell()
    expected = {obliquity: len(gemmi.find_lattice_symmetry(cell, "P", obliquity).sym_ops) for obliquity in (1e-3, 1.0)}
    # Between the two lies a lattice that is nearly symmetric: whether it is one is a matter of the measure.
    assume(expected[1e-3] == expected[1.0])
    assert len(symmetry_operators(cell_from_parameters(cell.parameters), 1e-4)) == expected[1e-3]


def test_operators_are_a_group_of_rotations():
    operators = symmetry_operators(cell_of("hexagonal"), 1e-3)
    members = {operator.tobytes() for operator in operators}
    assert {(a @ b).tobytes() for a in operators for b in operators} == members


def test_the_tolerance_decides_what_is_a_symmetry():
    cell = cell_from_parameters((79, 79.4, 38, 90, 90, 90))
    assert len(symmetry_operators(cell, 1e-3)) == 4
    assert len(symmetry_operators(cell, 2e-2)) == 8


def test_a_pseudo_tetragonal_cell_has_one_other_setting():
    (basis,) = other_settings(cell_from_parameters((79, 81.4, 38, 90, 90, 90)), 0.08)
    np.testing.assert_array_equal(np.abs(basis), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("system", SYSTEMS)
def test_cells_of_exact_symmetry_have_no_other_setting(system):
    assert len(other_settings(cell_of(system), 0.02)) == 0


@pytest.mark.parametrize(
    "parameters",
    [
        (31, 31.7, 53, 90, 90, 90),
        (31, 32, 33, 90, 90, 90),
        (40, 41, 60, 90, 94, 90),
        (50, 51, 70, 88, 92, 117),
    ],
)
def test_other_settings_are_complete(parameters):
    """Every basis that looks like the cell is one found here, or differs from one by a symmetry."""
    tolerance, symmetry = 0.08, 0.012
    cell = cell_from_parameters(parameters)
    bases = np.stack(np.meshgrid(*[[-1, 0, 1]] * 9, indexing="ij"), axis=-1).reshape(-1, 3, 3)
    bases = bases[np.rint(np.linalg.det(bases)) == 1]
    mismatch = cell_mismatch(bases @ cell, parameters)
    group = bases[mismatch < symmetry]
    expected = {basis.tobytes() for basis in bases[(mismatch >= symmetry) & (mismatch < tolerance)]}
    found = other_settings(cell, tolerance, symmetry)
    assert {(operator @ basis).tobytes() for operator in group for basis in found} == expected
    assert len(found) * len(group) == len(expected)
    assert (np.diff(cell_mismatch(found @ cell, parameters)) > -1e-9).all()


def cell_mismatch(bases: np.ndarray, parameters: tuple[float, ...]) -> np.ndarray:
    """Largest relative difference in length or difference in cosine of bases (n, 3, 3) to a cell."""
    lengths, angles = np.split(cell_parameters(bases), 2, axis=-1)
    wanted, wanted_angles = np.split(np.array(parameters), 2)
    cosines = np.abs(np.cos(np.radians(angles)) - np.cos(np.radians(wanted_angles)))
    return np.concatenate([np.abs(lengths / wanted - 1), cosines], axis=-1).max(axis=-1)


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        (
            (1.5708, 1.5708, 2.0944),
            r"alpha 1\.5708, .*, gamma 2\.0944 look like .* \(alpha 90, beta 90, gamma 120\)",
        ),
        ((90, 90, 1.5708), r"^gamma 1\.5708 looks like radians: a cell has its angles in degrees \(gamma 90\)$"),
        ((90, 3.1, 90), r"^beta 3\.1 looks like radians"),
    ],
)
def test_angles_in_radians_are_no_cell_and_only_they_are_named(angles, words):
    with pytest.raises(CellError, match=words):
        cell_from_parameters((79, 79, 38, *angles))
