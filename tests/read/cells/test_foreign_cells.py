"""Cells in the files of other programs, and cells that are written out."""

import json
from collections.abc import Callable

import gemmi
import numpy as np
import pytest

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.model.cell import cell_parameters
from ffbidx_core.read.cells.input_cell import read_input_cell

TextFile = Callable[..., str]

CRYSTFEL = """CrystFEL unit cell file version 1.0

; of lysozyme
lattice_type = tetragonal
centering = P
unique_axis = c
a = 79.1 A
b = 79.1 A
c = 3.84 nm
al = 90.0 deg
be = 1.5707963267948966 rad
ga = 90 deg
"""
PDB = """HEADER    HYDROLASE
CRYST1   79.100   79.100   38.400  90.00  90.00  90.00 P 43 21 2     8
ATOM      1  N   LYS A   1      35.365  22.342 -11.980  1.00 22.28           N
"""
MMCIF = """data_1LYZ
_cell.length_a 79.1
_cell.length_b 79.1(2)
_cell.length_c 38.4
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_symmetry.space_group_name_H-M 'P 43 21 2'
"""
SMALL_CIF = MMCIF.replace("_cell.", "_cell_").replace("_symmetry.", "_symmetry_")
XDS = "SPACE_GROUP_NUMBER= 96 ! of lysozyme\n UNIT_CELL_CONSTANTS= 79.1 79.1 38.4 90 90 90 ! A\n"
XDS_ASCII = "!FORMAT=XDS_ASCII\n!SPACE_GROUP_NUMBER=   96\n!UNIT_CELL_CONSTANTS= 79.1 79.1 38.4 90 90 90\n1 2 3\n"
XPARM = " XPARM.XDS    VERSION Jan 1, 2024\n 1 0.0 0.1 1 0 0\n 1.0 0 0 1\n 96 79.1 79.1 38.4 90 90 90\n"
EXPT = json.dumps(
    {
        "__id__": "ExperimentList",
        "crystal": [
            {
                "real_space_a": [0, 79.1, 0],
                "real_space_b": [0, 0, 79.1],
                "real_space_c": [38.4, 0, 0],
                "space_group_hall_symbol": " P 4nw 2abw",
            }
        ],
    }
)


@pytest.mark.parametrize("content", [CRYSTFEL, PDB, MMCIF, SMALL_CIF, XDS, XDS_ASCII, XPARM, EXPT])
def test_each_format_gives_the_same_cell_and_lattice(text_file: TextFile, content: str) -> None:
    found = read_input_cell(text_file(content))
    np.testing.assert_allclose(cell_parameters(found.cell), [79.1, 79.1, 38.4, 90, 90, 90], atol=1e-9)
    assert found.lattice.code == "tPc"


@pytest.mark.parametrize(
    ("group", "cell", "code"),
    [
        ("P 1", (31, 42, 53, 75, 83, 68), "aP"),
        # The symbol counts, not how the cell looks.
        ("P 1 21 1", (31, 42, 53, 90, 90, 90), "mPb"),
        ("P 1 1 21", (31, 42, 53, 90, 90, 95), "mPc"),
        ("C 1 2 1", (61, 122, 168, 90, 103, 90), "mCb"),
        ("C 2 2 21", (61, 122, 168, 90, 90, 90), "oC"),
        ("I 4", (79, 79, 38, 90, 90, 90), "tIc"),
        ("H 3 2", (61, 61, 150, 90, 90, 120), "hHc"),
        ("R 3 2", (61, 61, 150, 90, 90, 120), "hHc"),
        ("R 3 2", (61, 61, 61, 78, 78, 78), "rR"),
        ("P 61 2 2", (79, 79, 38, 90, 90, 120), "hPc"),
        ("F 4 3 2", (61, 61, 61, 90, 90, 90), "cF"),
    ],
)
def test_space_groups_give_lattice_and_centring(text_file: TextFile, group: str, cell: tuple, code: str) -> None:
    line = "CRYST1" + "{:9.3f}{:9.3f}{:9.3f}{:7.2f}{:7.2f}{:7.2f} ".format(*cell) + group
    assert read_input_cell(text_file(line + "\n")).lattice.code == code


@pytest.mark.parametrize("symbol", ["", "_symmetry.space_group_name_H-M ?\n"])
@pytest.mark.parametrize("tag", ["_symmetry.Int_Tables_number", "_space_group.IT_number", "_space_group_IT_number"])
@pytest.mark.parametrize(
    ("number", "cell", "code"),
    [
        (96, (79.1, 79.1, 38.4, 90, 90, 90), "tPc"),
        (5, (61, 122, 168, 90, 103, 90), "mCb"),
        (146, (61, 61, 150, 90, 90, 120), "hHc"),
        (146, (61, 61, 61, 78, 78, 78), "rR"),
        # Numbers there are not: the lattice is what the cell looks like.
        ("?", (79.1, 79.1, 38.4, 90, 90, 90), "tPc"),
        (0, (79.1, 79.1, 38.4, 90, 90, 90), "tPc"),
    ],
)
def test_the_number_of_a_space_group_serves_without_its_symbol(
    text_file: TextFile, symbol: str, tag: str, number: object, cell: tuple, code: str
) -> None:
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = "".join(f"_cell.{name} {value}\n" for name, value in zip(names, cell, strict=True))
    assert read_input_cell(text_file(f"data_x\n{lines}{symbol}{tag} {number}\n")).lattice.code == code


def test_the_setting_of_gemmi_and_the_pdb(text_file: TextFile) -> None:
    found = read_input_cell(text_file("CRYST1   61.000  122.000  168.000  80.00  95.00 101.00 P 1\n"))
    # The columns of gemmi's matrix are a, b, c.
    expected = np.array(gemmi.UnitCell(61, 122, 168, 80, 95, 101).orth.mat.tolist()).T
    np.testing.assert_allclose(found.cell, expected, atol=1e-9)


def test_an_orientation_is_kept(text_file: TextFile) -> None:
    np.testing.assert_array_equal(read_input_cell(text_file(EXPT)).cell[0], [0, 79.1, 0])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("79.1,79.1,38.4,90,90,90", "tPc"),
        ("61,122,168,90,90,90,C", "oC"),
        ("61, 122, 168, 90, 103, 90", "mPb"),
        ("61,61,61,78,78,78", "rR"),
        ("61,61,150,90,90,120,H", "hHc"),
        ("61,61,61,90,90,90,f", "cF"),
        ("30,0,0,0,40,0,0,0,50", "oP"),
        ("31,42,53,75,83,68", "aP"),
    ],
)
def test_cells_that_are_written_out(text: str, code: str) -> None:
    assert read_input_cell(text).lattice.code == code


@pytest.mark.parametrize(
    "text",
    [
        "79,79,38,90,90,180",
        "79,79,38,90,90,90,X",
        "1,2,3,4,5,6,7,8",
        "1,2,3,2,4,6,7,8,9",
        "61,61,150,90,90,120,R",
        "61,61,61,78,78,78,H",
    ],
)
def test_written_out_and_no_cell(text: str) -> None:
    with pytest.raises(UsageError, match="--cell"):
        read_input_cell(text)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (CRYSTFEL.replace("a = 79.1 A", "a = 79.1"), "a has the unit"),
        (CRYSTFEL.replace("b = 79.1 A", ""), "has no b"),
        (CRYSTFEL.replace("79.1 A", "many A"), "not a number"),
        (CRYSTFEL.replace("tetragonal", "square"), "lattice_type"),
        (CRYSTFEL.replace("unique_axis = c", ""), "no unique_axis"),
        (CRYSTFEL.replace("unique_axis = c", "unique_axis = ?"), "no unique_axis"),
        (CRYSTFEL.replace("centering = P", "centering = R"), "R means a rhombohedral lattice on its own axes"),
        (CRYSTFEL.replace("centering = P", "centering = Q"), "centering"),
        (PDB.replace("79.100", "      "), "not a number"),
        (PDB.replace("P 43 21 2", "P 43 21 9"), "space group"),
        (MMCIF.replace("_cell.length_a 79.1", ""), "without a cell"),
        (MMCIF + "loop_\n", "CIF"),
        (XDS.replace("38.4", "3x"), "not a number"),
        (XPARM.replace(" 96 79.1", " P4 79.1"), "line 4"),
        ('{"crystal": []}', "without a crystal"),
        ("{nothing", "without a crystal"),
    ],
)
def test_bad_files_say_what_is_wrong(text_file: TextFile, content: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_input_cell(text_file(content))


IN_FORCE = "SPACE_GROUP_NUMBER= 96\nUNIT_CELL_CONSTANTS= 79.1 79.1 38.4 90 90 90\n"


@pytest.mark.parametrize(
    "text",
    [
        "!SPACE_GROUP_NUMBER= 19\n!UNIT_CELL_CONSTANTS= 31 31 97 90 90 90\n" + IN_FORCE,
        IN_FORCE + "! UNIT_CELL_CONSTANTS= 31 31 97 90 90 90\n",
        IN_FORCE.replace("\n", " ", 1).replace("\n", " ! of lysozyme\n"),
        "ORGX= 1000 ORGY= 1010\n" + IN_FORCE.replace("\n", " DETECTOR_DISTANCE= 100\n"),
        IN_FORCE.replace("\n", "\r\n"),
        "!FORMAT=XDS_ASCII\n!" + IN_FORCE.replace("\nU", "\n!U") + "!END_OF_HEADER\n1 2 3\n",
    ],
)
def test_the_cell_of_xds_is_the_one_in_force(tmp_path, text: str):
    (tmp_path / "XDS.INP").write_bytes(text.encode())
    cell = read_input_cell(str(tmp_path / "XDS.INP"))
    np.testing.assert_allclose(cell_parameters(cell.cell), (79.1, 79.1, 38.4, 90, 90, 90))
    assert cell.lattice.kind == "tetragonal"


def test_the_dummy_of_a_template_of_xds_is_refused(tmp_path):
    dummy = "SPACE_GROUP_NUMBER=0 ! 0 if unknown\nUNIT_CELL_CONSTANTS= 70 80 90 90 90 90 ! put correct values\n"
    (tmp_path / "XDS.INP").write_text(dummy)
    with pytest.raises(InputError, match="cell of XDS's template"):
        read_input_cell(str(tmp_path / "XDS.INP"))
    (tmp_path / "XDS.INP").write_text(dummy.replace("NUMBER=0", "NUMBER=16"))
    np.testing.assert_allclose(cell_parameters(read_input_cell(str(tmp_path / "XDS.INP")).cell)[:3], (70, 80, 90))


@pytest.mark.parametrize(
    "text",
    [
        "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n",
        "data_x\n_cell.length_a 1\n_cell.length_b 1\n_cell.length_c 1\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
        "_cell.angle_gamma 90\n",
        "1 1 1 90 90 90\n",
    ],
)
def test_the_placeholder_of_a_structure_without_a_crystal_is_refused(tmp_path, text: str):
    (tmp_path / "model").write_text(text)
    with pytest.raises(InputError, match="placeholder cell of a structure without a crystal"):
        read_input_cell(str(tmp_path / "model"))
    with pytest.raises(UsageError, match="placeholder"):
        read_input_cell("1,1,1,90,90,90")
