from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.errors import InputError
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.read.files.content import read_text
from ffbidx_core.read.formats.text import parse_spots
from tests.helpers.frames import random_rotation
from tests.helpers.paths import SHARED
from tests.helpers.spot_files import blocks

TextFile = Callable[..., str]
CELL_LINE = "30 0 0 0 40 0 0 0 50"
SPOTS = [[0.1, 0.2, 0.3], [-0.1, 0.25, 1e-2]]
PSI = SHARED / "data" / "psi_simple"


WAYS = [
    "0.1 0.2 0.3\n-0.1 .25 1e-2\n",
    "0.1 0.2 0.3\n-0.1 .25 1e-2",
    "0.1 0.2 0.3\r\n-0.1 .25 1e-2\r\n",
    "0.1 0.2 0.3\r-0.1 .25 1e-2\r",
    "0.1\t0.2\t0.3\n\t-0.1\t.25\t1e-2\t\n",
    "0.1,0.2,0.3\n-0.1,.25,1e-2\n",
    "0.1, 0.2, 0.3,\n-0.1 , .25 , 1e-2\n",
    "# spots\n\n0.1 0.2 0.3 # strong\n   # Å\n-0.1 .25 1e-2\n\n#",
    "0.1 0.2 0.3 15 weak\n-0.1 .25 1e-2 nan\n",
]


@pytest.mark.parametrize(
    ("cell", "noted"),
    [
        (cell_from_parameters((31, 42, 53, 90, 103, 90)), False),
        # The orthogonalisation matrix, whose columns are a, b, c, as DIALS writes it.
        (cell_from_parameters((31, 42, 53, 90, 103, 90)).T, True),
        (cell_from_parameters((31, 42, 53, 75, 83, 68)).T, True),
        # Nothing is lost of these, whichever way.
        (np.diag([30.0, 40.0, 50.0]) + 1e-15, False),
        (cell_from_parameters((31, 42, 53, 75, 83, 68)) @ random_rotation(np.random.default_rng(0)), False),
    ],
)
def test_a_cell_in_columns_is_noted(text_file: TextFile, cell: np.ndarray, noted: bool) -> None:
    (block,) = blocks(text_file(" ".join(map(repr, cell.ravel().tolist())) + "\n0.1 0.2 0.3\n"))
    assert block.cells is not None
    np.testing.assert_array_equal(block.cells[0], cell)
    assert len(block.problems) == noted
    assert all("in columns, as DIALS" in problem and "--cell" in problem for problem in block.problems)


@pytest.mark.parametrize("content", WAYS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_spots_in_every_way_of_writing_them(text_file: TextFile, content: str, encoding: str) -> None:
    (block,) = blocks(text_file(content.encode(encoding)))
    np.testing.assert_array_equal(block.spots, np.float32(SPOTS))
    assert (block.n_spots, block.status, block.indices) == ([2], [FrameStatus.NOT_INDEXED], [0])
    assert block.cells is None
    assert block.problems == []


@pytest.mark.parametrize("content", WAYS)
@pytest.mark.parametrize("before", ["", "\n", "# the cell\r\n"])
def test_the_first_line_may_be_the_cell(text_file: TextFile, content: str, before: str) -> None:
    (block,) = blocks(text_file(f"{before}{CELL_LINE} # a b c\n{content}"))
    np.testing.assert_array_equal(block.spots, np.float32(SPOTS))
    np.testing.assert_array_equal(block.cells, [np.diag([30, 40, 50])])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("# only comments\n\n", "is empty"),
        ("0.1 0.2 0.3\n0.1 0.2\n", "line 2: a spot has three numbers x y z, here are 2: .* not in pixels"),
        ("\n# x\n0.1 0.2 0.3\n0.1 high 0.3\n", "line 4: 'high' is not a number"),
        ("h k l\n0.1 0.2 0.3\n", "line 1: 'h' is not a number: a spot file has a line x y z"),
        ("0.1 0.2 0.3\n1_0 0.2 0.3\n", "line 2: '1_0' is not a number"),
        ("0.1 0.2 0x1\n", "line 1: '0x1' is not a number"),
        ("0.1 0.2 −0.3\n", "line 1: '−0.3' is not a number"),
        ("0.1;0.2;0.3\n", "line 1"),
        ("0,1 0,2 0,3\n", "line 1: decimal commas"),
        ("1 2 3 4 5 6 7 8 nine\n0.1 0.2 0.3\n", "line 1: 'nine' is not a number"),
        ("# cell\n1 2 3 2 4 6 7 8 9\n0.1 0.2 0.3\n", "line 2: nine numbers are taken for a cell.*singular"),
        ("0 0 0 0 0 0 0 0 0\n0.1 0.2 0.3\n", "line 1: nine numbers are taken for a cell"),
        ("30 0 0 0 nan 0 0 0 50\n0.1 0.2 0.3\n", "line 1: .*not finite"),
        (b"0.1 0.2 0.3\n\0\0\0", "neither HDF5 nor text"),
        (b"\x93NUMPY\x01\x00", "neither HDF5 nor text"),
        (b"\x89PNG\r\n\x1a\n", "not a number"),
    ],
)
def test_text_that_cannot_be_used_names_the_line(text_file: TextFile, content: str | bytes, problem: str) -> None:
    path = text_file(content)
    with pytest.raises(InputError, match=problem) as caught:
        blocks(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e400", "1e39", "1000"])
def test_numbers_that_are_no_spot_make_a_bad_frame(text_file: TextFile, number: str) -> None:
    path = text_file(f"0.1 0.2 0.3\n0.1 {number} 0.3\n0 0 0\n")
    (block,) = blocks(path)
    assert block.status == [FrameStatus.BAD_SPOTS]
    assert len(block.spots) == 0
    assert block.n_spots == [3]
    assert block.problems[0].startswith(f"{path}, frame 0: spot 1 is (0.1, ")


def test_a_cell_alone_is_a_frame_without_spots(text_file: TextFile) -> None:
    (block,) = blocks(text_file(CELL_LINE + "\n# no spots\n"))
    assert block.n_spots == [0]
    assert block.status == [FrameStatus.NOT_INDEXED]
    np.testing.assert_array_equal(block.cells, [np.diag([30, 40, 50])])


def test_nine_columns_are_a_cell_in_the_first_line_only(text_file: TextFile) -> None:
    (block,) = blocks(text_file(f"{CELL_LINE}\n0.1 0.2 0.3 4 5 6 7 8 9\n"))
    np.testing.assert_array_equal(block.spots, np.float32([[0.1, 0.2, 0.3]]))


def test_text_larger_than_a_frame_can_be_is_refused(text_file: TextFile) -> None:
    path = text_file("0.1 0.2 0.3\n" * 1000)
    with pytest.raises(InputError, match="larger than the limit for text"):
        read_text(path, 10_000)


numbers = st.floats(-10, 10, width=32)
separators = st.sampled_from([" ", "\t", ", ", "  "])


@given(
    spots=st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=20),
    separator=separators,
    end=st.sampled_from(["\n", "\r\n"]),
    extra=st.sampled_from(["", "7", "7.5 word", "# why"]),
    noise=st.sampled_from(["", "\n", "# comment\n", " \t\n"]),
)
def test_what_is_written_is_read(
    spots: list[tuple[float, ...]], separator: str, end: str, extra: str, noise: str
) -> None:
    lines = [separator.join(repr(x) for x in spot) + separator + extra + end + noise for spot in spots]
    found, cell, _ = parse_spots("f", "".join(lines))
    assert cell is None
    np.testing.assert_array_equal(found, spots)


@pytest.mark.skipif(not PSI.is_dir(), reason="needs the shared data")
def test_real_files_are_read_as_numpy_reads_them() -> None:
    for path in PSI.glob("*.txt"):
        (block,) = blocks(str(path))
        first = np.loadtxt(path, max_rows=1)
        rest = np.loadtxt(path, skiprows=1, usecols=(0, 1, 2)).astype(np.float32)
        np.testing.assert_array_equal(block.cells, first.reshape(1, 3, 3))
        np.testing.assert_array_equal(block.spots, rest[np.linalg.norm(rest, axis=1) >= 1e-6])


@pytest.mark.parametrize("first", ["79.1 79.1 38 90 90 90", "0.1 0.2 0.3 0.4", "1 2 3 4 5 6 7 8"])
def test_a_first_line_of_other_numbers_is_asked_about(tmp_path, first):
    (tmp_path / "a.txt").write_text(f"# spots\n{first}\n0.1 0.2 0.3\n0.2 0.1 0.3\n")
    (block,) = blocks(str(tmp_path / "a.txt"))
    assert block.n_spots.tolist() == [2]
    (note,) = block.problems
    assert f"line 2: has {len(first.split())} numbers, all others 3: is it the cell?" in note
    # Columns behind the third are usual where all lines have them.
    (tmp_path / "b.txt").write_text("0.1 0.2 0.3 5\n0.2 0.1 0.3 6\n")
    (block,) = blocks(str(tmp_path / "b.txt"))
    assert (block.n_spots.tolist(), block.problems) == ([2], [])
