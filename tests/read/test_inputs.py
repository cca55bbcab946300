import io
from pathlib import Path

import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read import Source, expand_inputs
from ffbidx_core.read.files.inputs import named_again


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a.h5"], [Source("a.h5")]),
        (["a.h5//3"], [Source("a.h5", 3)]),
        (["a.h5 //12"], [Source("a.h5", 12)]),
        (["a.h5", "//12", "b.h5"], [Source("a.h5", 12), Source("b.h5")]),
        (["dir//a.h5"], [Source("dir//a.h5")]),
        (["dir//a.h5//007"], [Source("dir//a.h5", 7)]),
        (["a.h5//3x"], [Source("a.h5//3x")]),
        (["a.h5//-1"], [Source("a.h5//-1")]),
        (["a.h5/3"], [Source("a.h5/3")]),
        (["//3"], [Source("//3")]),
        (["a.h5//٣"], [Source("a.h5//٣")]),
        (["name with //blanks.h5 //3"], [Source("name with //blanks.h5", 3)]),
        ([], []),
    ],
)
def test_a_frame_is_selected_only_by_digits_at_the_end(arguments: list[str], expected: list[Source]) -> None:
    assert expand_inputs(arguments) == expected


def test_a_file_of_the_whole_name_wins_over_a_frame() -> None:
    Path("run").mkdir()
    Path("run/7").write_text("")
    assert expand_inputs(["run//7", "run//8"]) == [Source("run//7"), Source("run", 8)]


@pytest.mark.parametrize("name", ["frames.lst", "@frames.lst", "@other"])
def test_lists_name_one_input_a_line(name: str) -> None:
    content = "\ufeff# a comment\r\na.h5\r\n\r\n  b c.h5 //2  \r\n#d.h5\r\ne#1.txt//0\r\n"
    Path(name.removeprefix("@")).write_bytes(content.encode())
    assert expand_inputs(["first.h5", name, "last.h5"]) == [
        Source("first.h5"),
        Source("a.h5"),
        Source("b c.h5", 2),
        Source("e#1.txt", 0),
        Source("last.h5"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "names no inputs"),
        (b"# nothing\n\n", "names no inputs"),
        (b"a.h5\nmore.lst\n", "line 2: names another list"),
        (b"a.h5\n@more\n", "line 2: names another list"),
        (b"a\0b", "neither HDF5 nor text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
    ],
)
def test_a_list_that_is_none_is_an_error(content: bytes, problem: str) -> None:
    Path("frames.lst").write_bytes(content)
    with pytest.raises(InputError, match=problem):
        expand_inputs(["frames.lst"])


def test_a_missing_list_is_an_error_and_a_missing_file_is_left_to_the_reader() -> None:
    with pytest.raises(InputError, match=r"^nothere\.lst: cannot be read: no such file"):
        expand_inputs(["@nothere.lst"])
    assert expand_inputs(["nothere.h5"]) == [Source("nothere.h5")]


def test_directories_and_patterns_stand_for_their_files() -> None:
    for name in ("d/run10.h5", "d/run9.h5", "d/x.TXT", "d/.hidden.h5", "d/run9.ffbidx.h5", "d/notes.md", "d/s/deep.h5"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    Path("a[1].h5").write_text("")
    assert expand_inputs(["d"]) == [Source("d/run9.h5"), Source("d/run10.h5"), Source("d/x.TXT")]
    assert expand_inputs(["d/run?.h5", "d/run*.h5"]) == [
        Source("d/run9.h5"),
        Source("d/run9.ffbidx.h5"),
        Source("d/run9.h5"),
        Source("d/run10.h5"),
    ]
    assert [source.path for source in expand_inputs(["d/**/*.h5"])] == [
        "d/run9.ffbidx.h5",
        "d/run9.h5",
        "d/run10.h5",
        "d/s/deep.h5",
    ]
    assert expand_inputs(["a[1].h5"]) == [Source("a[1].h5")]
    Path("list.lst").write_text("d\nd/run1*.h5\n")
    assert len(expand_inputs(["list.lst"])) == 4


def test_directories_and_patterns_without_files_are_left_to_the_reader() -> None:
    Path("empty").mkdir()
    assert expand_inputs(["nothing*.h5", "empty", "none/"]) == [Source("nothing*.h5"), Source("empty"), Source("none/")]


def test_a_list_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.h5\n\n# no\nb\xff.h5 //3\n")))
    assert expand_inputs(["first.h5", "-"]) == [Source("first.h5"), Source("a.h5"), Source("b\udcff.h5", 3)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="standard input: names no inputs"):
        expand_inputs(["-"])


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (["a.h5", "b.h5", "a.h5//3"], ["a.h5"]),
        (["a.h5//3", "a.h5"], ["a.h5"]),
        (["a.h5", "./a.h5", "x/../a.h5"], ["./a.h5"]),
        (["a.h5//3", "a.h5//4", "a.h5//3"], ["a.h5"]),
        (["a.h5", "b/a.h5", "c.h5//3", "c.h5//4"], []),
    ],
)
def test_files_named_twice_are_noted_once(names, noted):
    assert [note.partition(":")[0] for note in named_again(expand_inputs(names))] == noted


def test_an_event_with_a_row_is_one_of_a_file_that_is_there(tmp_path):
    for name in ("run.h5", "my run.h5"):
        (tmp_path / name).write_text("")
    for name, source in (
        ("run.h5 part1//3", Source(f"{tmp_path}/run.h5", event="part1//3")),
        ("my run.h5//3", Source(f"{tmp_path}/my run.h5", 3)),
        ("run.h5 //3", Source(f"{tmp_path}/run.h5", 3)),
        ("gone.h5 part1//3", Source(f"{tmp_path}/gone.h5 part1", 3)),
    ):
        assert expand_inputs([f"{tmp_path}/{name}"]) == [source]
