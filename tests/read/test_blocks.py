"""Frames of many files in blocks: what shares one, what cannot be read, where the input ends."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core.errors import InputError, ParameterError
from ffbidx_core.read import Source, count_frames, read_blocks
from tests.helpers.spot_files import CELL, COUNTS, MakeFile, blocks, frames, good_spots


def test_small_files_share_a_block_while_their_cells_are_equal(text_file: MakeFile) -> None:
    cells = ["30 0 0 0 40 0 0 0 50\n"] * 3 + ["31 0 0 0 40 0 0 0 50\n"] + [""] * 2
    paths = [text_file(cell + "0.1 0.2 0.3\n" * (i + 1), f"{i}.txt") for i, cell in enumerate(cells)]
    found = blocks(*paths, frames_per_block=2)
    assert [block.sources for block in found] == [paths[:2], paths[2:3], paths[3:4], paths[4:]]
    assert [None if block.cells is None else block.cells[0, 0, 0] for block in found] == [30, 30, 31, None]


def test_formats_share_a_block_that_no_unreadable_file_parts(text_file: MakeFile, hdf5_file: MakeFile) -> None:
    paths = [text_file("30 0 0 0 40 0 0 0 50\n0.1 0.2 0.3\n"), "nothere.txt", hdf5_file(), "nothere.h5"]
    (block,) = blocks(*paths)
    assert block.sources == [paths[0], paths[1], *[paths[2]] * 4, paths[3]]
    assert block.indices.tolist() == [0, -1, 0, 1, 2, 3, -1]
    assert block.status.tolist() == [1, 4, 1, 1, 1, 1, 4]
    assert block.n_spots.tolist() == [1, 0, *COUNTS, 0]
    assert block.problems == [f"{path}: cannot be read: no such file or directory" for path in (paths[1], paths[3])]


def test_blocks_hold_a_limited_number_of_spots(hdf5_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("formats.hdf5.native", "blocks"):
        monkeypatch.setattr(f"ffbidx_core.read.{module}.MOST_SPOTS", 6)
    found = blocks(hdf5_file())
    assert [block.n_spots.tolist() for block in found] == [[4, 0], [3], [5]]


def test_one_frame_of_a_file(hdf5_file: MakeFile, text_file: MakeFile) -> None:
    path, text = hdf5_file(), text_file("0.1 0.2 0.3")
    found = blocks(Source(path, 3), Source(path, 0), Source(text, 0), Source(path, 2), Source(path))
    rows = [(source, index, len(spots)) for source, index, spots in frames(found)]
    whole = [(path, i, n) for i, n in enumerate(COUNTS)]
    assert rows == [(path, 3, 5), (path, 0, 4), (text, 0, 1), (path, 2, 3), *whole]
    np.testing.assert_array_equal(found[0].spots[:5], good_spots()[7:])


def test_a_frame_that_is_not_there(hdf5_file: MakeFile, text_file: MakeFile) -> None:
    path, text = hdf5_file(), text_file("0.1 0.2 0.3")
    with pytest.raises(InputError, match=r"has no frame 4: it holds 4, counted from 0"):
        blocks(Source(path, 4))
    with pytest.raises(InputError, match=r"has no frame 1: it holds 1, counted from 0"):
        blocks(Source(text, 1))
    found = blocks(Source(path, 4), Source(path, 1))
    assert [(index, len(spots)) for _, index, spots in frames(found)] == [(-1, 0), (1, 0)]


def problem_files(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "pipe")
    (folder / "empty").write_text("")
    (folder / "blank").mkdir()
    return {
        str(folder / "blank"): "is a directory without spot files, whose names end in .h5, ",
        str(folder): "is a directory",
        str(folder / "no"): "cannot be read: no such file",
        str(folder / "empty/x"): "cannot be read: not a directory",
        str(folder / "pipe"): "is a named pipe",
        "/dev/zero": "is a device",
        str(folder / "empty"): "is empty",
        "a\0b": "is not a file name",
    }


def test_a_directory_that_may_not_be_read_is_not_called_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, denied)
    with pytest.raises(InputError, match=r": cannot be read: permission denied$"):
        blocks(str(tmp_path))


def test_what_is_no_file_is_an_error_alone_and_a_row_among_others(tmp_path: Path, text_file: MakeFile) -> None:
    good = text_file("0.1 0.2 0.3", "good.txt")
    files = problem_files(tmp_path)
    for path, problem in files.items():
        with pytest.raises(InputError, match=problem):
            blocks(path)
    (block,) = blocks(good, *files, good)
    assert block.status.tolist() == [1, *[4] * len(files), 1]
    assert len(block.problems) == len(files)


def test_a_file_without_permission(text_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = text_file("0.1 0.2 0.3")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: permission denied"):
        blocks(path)


def test_a_file_that_fails_while_it_is_read(text_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    path = text_file("0.1 0.2 0.3")
    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(InputError, match="cannot be read: input/output error"):
        blocks(path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"d_min": 0.0}, "d_min = 0.0 is out of range: above 0"),
        ({"d_max": float("nan")}, "d_max = nan"),
        ({"d_min": 3.0, "d_max": 2.0}, "d_min = 3.0 is out of range: below d_max = 2"),
        ({"every": 0}, "every = 0 is out of range: at least 1"),
        ({"max_frames": 0}, "max_frames = 0"),
        ({"frames_per_block": -1}, "frames_per_block = -1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_at_once(options: dict, problem: str) -> None:
    with pytest.raises(ParameterError, match=problem):
        read_blocks([], **options)


def test_the_input_ends_where_enough_frames_were_taken(hdf5_file: MakeFile, text_file: MakeFile) -> None:
    path = hdf5_file()
    assert [index for _, index, _ in frames(blocks(path, "nothere", max_frames=4))] == [0, 1, 2, 3]
    # What cannot be read is no frame.
    assert [index for _, index, _ in frames(blocks("nothere", path, "nothere", max_frames=3))] == [-1, 0, 1, 2]
    bad = text_file("no spots")
    assert [index for _, index, _ in frames(blocks(bad, path, max_frames=3))] == [-1, 0, 1, 2]


def test_text_files_that_are_not_taken_are_not_parsed(text_file: MakeFile) -> None:
    good, bad = text_file("0.1 0.2 0.3", "good.txt"), text_file("words", "bad.txt")
    assert [source for source, _, _ in frames(blocks(good, bad, good, bad, every=2))] == [good, good]


def test_frames_are_counted(hdf5_file: MakeFile, text_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path, text = hdf5_file(), text_file("0.1 0.2 0.3")
    sources = [Source(path), Source(text), Source("nothere"), Source(path, 2)]
    assert count_frames(sources) == 6
    assert count_frames([]) == 0
    monkeypatch.setattr("ffbidx_core.read.blocks.MOST_FILES_COUNTED", 2)
    assert count_frames(sources) is None
    assert count_frames([Source(path, 1)] * 3) == 3


def test_text_needs_no_hdf5(text_file: MakeFile) -> None:
    path = text_file("0.1 0.2 0.3")
    script = f"""
import sys
sys.modules["h5py"] = None
from ffbidx_core.read import Source, read_blocks, count_frames
print(sum(block.n_frames for block in read_blocks([Source({path!r})])), count_frames([Source({path!r})]))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1 1\n"


@settings(max_examples=40)
@given(data=st.data())
def test_blocks_hold_the_same_frames_however_cut(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("files")
    expected = []
    for i, counts in enumerate(data.draw(st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=4))):
        path = str(folder / f"{i}.h5")
        spots = np.random.default_rng(i).uniform(0.1, 0.5, (sum(counts), 3)).astype(np.float32)
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=int)])
        with h5py.File(path, "w") as file:
            file["spots"], file["offsets"] = spots, offsets
            file["spots"].attrs["units"] = "1/angstrom"
            if data.draw(st.booleans()):
                file["cells"] = CELL[None]
        expected += [(path, f, spots[offsets[f] : offsets[f + 1]]) for f in range(len(counts))]
    every, most = data.draw(st.integers(1, 4)), data.draw(st.none() | st.integers(1, 8))
    paths = sorted(str(path) for path in folder.iterdir())
    found = blocks(*paths, frames_per_block=data.draw(st.integers(1, 9)), every=every, max_frames=most)
    for got, wanted in zip(frames(found), expected[::every][:most], strict=True):
        assert got[:2] == wanted[:2]
        np.testing.assert_array_equal(got[2], wanted[2])
