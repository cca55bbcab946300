import gemmi
import numpy as np
import pytest

from ffbidx_core.model.basis import (
    CENTRINGS,
    ChangeOfBasis,
    centring_basis,
    is_allowed,
    primitive_basis,
    shortest_basis,
)
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters

CELLS = {
    "P": (31, 42, 53, 75, 83, 68),
    "A": (61, 122, 168, 90, 90, 90),
    "B": (61, 122, 168, 90, 90, 90),
    "C": (61, 122, 168, 90, 103, 90),
    "I": (79, 79, 38, 90, 90, 90),
    "F": (61, 61, 61, 90, 90, 90),
    "H": (61, 61, 150, 90, 90, 120),
    "R": (61, 61, 61, 78, 78, 78),
}
GROUPS = {
    "P": "P 1", "A": "A 2 2 2", "B": "B 2 2 2", "C": "C 2 2 2", "I": "I 2 2 2", "F": "F 2 2 2", "H": "R 3:H",
    "R": "R 3:R",
}  # fmt: skip
HKL = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@pytest.mark.parametrize("centring", CENTRINGS)
def test_the_reflections_are_those_of_a_space_group_with_this_centring(centring):
    operations = gemmi.SpaceGroup(GROUPS[centring]).operations()
    expected = [not operations.is_systematically_absent(hkl) for hkl in HKL.tolist()]
    assert is_allowed(HKL, centring).tolist() == expected


@pytest.mark.parametrize("centring", CENTRINGS)
def test_the_primitive_cell_has_one_lattice_point(centring):
    n_points = {"P": 1, "R": 1, "F": 4, "H": 3}.get(centring, 2)
    assert np.linalg.det(centring_basis(centring)) == pytest.approx(1 / n_points)


@pytest.mark.parametrize("centring", CENTRINGS)
def test_the_primitive_cell_is_gemmis_reduced_one(centring):
    cell = cell_from_parameters(CELLS[centring])
    primitive = primitive_basis(cell, centring) @ cell
    letter = {"H": "R", "R": "P"}.get(centring, centring)
    vector = gemmi.GruberVector(gemmi.UnitCell(*CELLS[centring]), letter)
    vector.niggli_reduce()
    reduced = vector.get_cell()
    if centring in "PR":
        np.testing.assert_array_equal(primitive, cell)
    else:
        np.testing.assert_allclose(
            np.sort(np.linalg.norm(primitive, axis=1)), [reduced.a, reduced.b, reduced.c], rtol=1e-9
        )
    assert np.linalg.det(primitive) == pytest.approx(reduced.volume)


@pytest.mark.parametrize("seed", range(20))
def test_the_shortest_basis_is_gemmis(seed):
    rng = np.random.default_rng(seed)
    change = np.array(
        [[1, int(rng.integers(-4, 5)), int(rng.integers(-4, 5))], [0, 1, int(rng.integers(-4, 5))], [0, 0, 1]]
    )
    cell = change @ cell_from_parameters(rng.uniform([20, 20, 20, 70, 70, 70], [90, 90, 90, 110, 110, 110]))
    found = shortest_basis(cell)
    vector = gemmi.GruberVector(gemmi.UnitCell(*cell_parameters(cell)), "P")
    vector.niggli_reduce()
    reduced = vector.get_cell()
    np.testing.assert_array_equal(found, np.rint(found))
    assert np.linalg.det(found) == pytest.approx(1)
    np.testing.assert_allclose(
        np.sort(np.linalg.norm(found @ cell, axis=1)), [reduced.a, reduced.b, reduced.c], rtol=1e-6
    )


def test_each_cell_is_changed_by_its_own_centring():
    cells = np.stack([cell_from_parameters(CELLS[centring]) for centring in CENTRINGS])
    change = ChangeOfBasis.of_each(cells, CENTRINGS)
    for row, centring in enumerate(CENTRINGS):
        wanted = primitive_basis(cells[row], centring) @ cells[row]
        np.testing.assert_array_equal(change.primitive(cells)[row], wanted)
        np.testing.assert_array_equal(change[row].primitive(cells[row]), wanted)
        np.testing.assert_array_equal(ChangeOfBasis.of(cells[row], centring).primitive(cells[row]), wanted)


def test_crystals_are_changed_by_the_input_cell_that_they_came_from():
    cells = np.stack([cell_from_parameters(CELLS[centring]) for centring in CENTRINGS])
    change, rows = ChangeOfBasis.of_each(cells, CENTRINGS), np.array([5, 2, 5, 0])
    crystals = change.primitive(cells[rows], rows)
    np.testing.assert_array_equal(crystals, change.primitive(cells)[rows])
    np.testing.assert_allclose(change.conventional(crystals, rows), cells[rows], rtol=1e-12, atol=1e-12)


def test_no_cells_have_no_change_of_basis():
    nothing = np.zeros((0, 3, 3))
    assert ChangeOfBasis.of_each(nothing, []).primitive(nothing).shape == (0, 3, 3)
