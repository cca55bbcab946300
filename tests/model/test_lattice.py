import pytest

from ffbidx_core.errors import CellError
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.lattice import Lattice, check_axes

CELLS = {"H": (61, 61, 150, 90, 90, 120), "R": (61, 61, 61, 78, 78, 78)}


@pytest.mark.parametrize(("centring", "other"), [("R", "H"), ("H", "R")])
def test_rhombohedral_lattices_have_one_letter_for_each_kind_of_axes(centring, other):
    check_axes(cell_from_parameters(CELLS[centring]), centring)
    with pytest.raises(CellError, match=f"such a lattice is {other}"):
        check_axes(cell_from_parameters(CELLS[other]), centring)


@pytest.mark.parametrize("code", ["aP", "mCb", "oF", "tPc", "tIa", "hHc", "rR", "cI"])
def test_codes_go_round(code):
    assert Lattice.of_code(code).code == code


@pytest.mark.parametrize("code", ["", "xP", "tQ", "tPd"])
def test_no_codes(code):
    with pytest.raises(ValueError, match="not a lattice"):
        Lattice.of_code(code)
