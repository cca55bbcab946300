from collections.abc import Callable
from pathlib import Path

import gemmi
import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read import read_cell
from ffbidx_core.read.cells.input_cell import read_cell_file

TextFile = Callable[..., str]


@pytest.mark.parametrize(
    "content",
    [
        "30 1 2 3 40 4 5 6 50",
        "30 1 2\n3 40 4\n5 6 50\n",
        "# a, b, c\r\n30, 1, 2\r\n\r\n3, 40, 4 # b\r\n5, 6, 50\r\n",
        "\ufeff30\t1\t2\t3\t40\t4\t5\t6\t50",
    ],
)
def test_nine_numbers_are_three_vectors(text_file: TextFile, content: str) -> None:
    cell = read_cell(text_file(content))
    assert cell.dtype == np.float64
    np.testing.assert_array_equal(cell, [[30, 1, 2], [3, 40, 4], [5, 6, 50]])


@pytest.mark.parametrize("content", ["61 122 168 80 95 101", "61,122,168,80,95,101\r\n", "61\n122\n168\n80\n95\n101"])
def test_six_numbers_are_the_cell_that_gemmi_makes_of_them(text_file: TextFile, content: str) -> None:
    # The columns of gemmi's matrix are a, b, c.
    expected = np.array(gemmi.UnitCell(61, 122, 168, 80, 95, 101).orth.mat.tolist()).T
    np.testing.assert_allclose(read_cell(text_file(content)), expected, atol=1e-12 * 168)


@pytest.mark.parametrize(
    ("content", "code"),
    [("61 122 168 90 90 90 C", "oC"), ("61,122,168,90,90,90\nf", "oF"), ("61 0 0 0 122 0 0 0 168 I", "oI")],
)
def test_a_centring_letter_may_follow_the_numbers(text_file: TextFile, content: str, code: str) -> None:
    found = read_cell_file(text_file(content))
    assert found.lattice.code == code
    np.testing.assert_allclose(found.cell, np.diag([61, 122, 168]), atol=1e-12 * 168)


def test_a_left_handed_cell_is_taken_as_it_is(text_file: TextFile) -> None:
    assert np.linalg.det(read_cell(text_file("30 0 0 0 40 0 0 0 -50"))) < 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "has no numbers: a cell has 9 numbers"),
        ("# nothing\n", "has no numbers"),
        ("30 40 50 90 90", "has 5 numbers"),
        ("30 40 50 90 90 90 1 2", "has 8 numbers"),
        ("30 0 0 0 40 0 0 0 50\n0.1 0.2 0.3\n", "line 2: has more numbers than a cell"),
        ("a cell of lysozyme\n", "line 1: 'a' is not a number: a cell has 9 numbers"),
        ("30 40 50\n90 90 ninety\n", "line 2: 'ninety' is not a number"),
        ("30 40 50 90 90 90 Q", "line 1: 'Q' is not a number: .* and a centring letter if it is not P"),
        ("30 40 50 90 90 90 R", "R means a rhombohedral lattice on its own axes"),
        ("1 2 3 2 4 6 7 8 9", "singular"),
        ("0 0 0 0 0 0 0 0 0", "vectors are 0 to 0 A long"),
        ("30 0 0 0 nan 0 0 0 50", "not finite"),
        ("30 0 0 0 1e400 0 0 0 50", "not finite"),
        ("30 40 50 90 90 180", "no cell has the parameters"),
        ("30 40 50 20 20 90", "no cell has the parameters"),
        ("30 40 nan 90 90 90", "no cell has the parameters"),
        ("-30 40 50 90 90 90", "no cell has the parameters"),
        (b"\0\1\2", "neither HDF5 nor text"),
        ("0 " * (2**23 + 1), "larger than the limit for text"),
    ],
)
def test_what_is_no_cell_says_what_is_wanted(text_file: TextFile, content: str | bytes, problem: str) -> None:
    path = text_file(content, "cell.txt")
    with pytest.raises(InputError, match=problem) as caught:
        read_cell(path)
    assert str(caught.value).startswith(path)
    assert caught.value.exit_status == 2


def test_files_that_are_no_text(tmp_path: Path) -> None:
    h5py.File(tmp_path / "cell.h5", "w").close()
    for name, problem in (("cell.h5", "is an HDF5 file: a cell has"), ("", "is a directory"), ("no", "no such file")):
        with pytest.raises(InputError, match=problem):
            read_cell(str(tmp_path / name))
