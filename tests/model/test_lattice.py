import gemmi
import numpy as np
import pytest

from ffbidx_core.errors import CellError
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from ffbidx_core.model.lattice import (
    CENTRINGS,
    Lattice,
    centring_basis,
    check_axes,
    is_allowed,
    primitive_basis,
    shortest_basis,
)

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


@pytest.mark.parametrize(("centring", "other"), [("R", "H"), ("H", "R")])
def test_rhombohedral_lattices_have_one_letter_for_each_kind_of_axes(centring, other):
    check_axes(cell_from_parameters(CELLS[centring]), centring)
    with pytest.raises(CellError, match=f"such a lattice is {other}"):
        check_axes(cell_from_parameters(CELLS[other]), centring)


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


@pytest.mark.parametrize("code", ["aP", "mCb", "oF", "tPc", "tIa", "hHc", "rR", "cI"])
def test_codes_go_round(code):
    assert Lattice.of_code(code).code == code


@pytest.mark.parametrize("code", ["", "xP", "tQ", "tPd"])
def test_no_codes(code):
    with pytest.raises(ValueError, match="not a lattice"):
        Lattice.of_code(code)
