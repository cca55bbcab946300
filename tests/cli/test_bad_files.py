"""What `ffbidx index` says to unusable files: one line, the right exit status, no output; and to odd ones."""

import json
import os

import h5py
import numpy as np
import pytest

from tests.helpers.calls import write_spots, write_text
from tests.helpers.frames import frame

SPOTS = frame(0)[1]


def _file(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)


def _with(**datasets):
    def make(path):
        _file(path, lambda file: [file.create_dataset(name, data=values) for name, values in datasets.items()])

    return make


def _truncated(path):
    write_spots(path, [SPOTS])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _group_for(name):
    def make(path):
        write_spots(path, [SPOTS])
        with h5py.File(path, "a") as file:
            del file[name]
            file.create_group(name)

    return make


def _sparse(path):
    _file(path, lambda file: file.create_dataset("spots", shape=(10**12, 3), dtype="f4", chunks=(1024, 3)))


def _many_frames(path):
    def fill(file):
        file["spots"] = SPOTS
        file.create_dataset("offsets", shape=(10**12,), dtype="i8", chunks=(1024,))

    _file(path, fill)


def _external_link(path):
    other = write_spots(path.with_name("other.h5"), [SPOTS])
    _file(path, lambda file: file.__setitem__("spots", h5py.ExternalLink(other.name, "/spots")))


def _soft_link_to_itself(path):
    _file(path, lambda file: file.__setitem__("spots", h5py.SoftLink("/spots")))


def _foreign_units(path):
    write_spots(path, [SPOTS])
    with h5py.File(path, "a") as file:
        file["spots"].attrs["units"] = "pixel"


BAD_FILES = {
    "truncated": (_truncated, ""),
    "foreign hdf5": (_with(entry=[1.0]), "/spots"),
    "spots a group": (_group_for("spots"), "/spots"),
    "spots of two columns": (_with(spots=np.ones((5, 2), "f4")), "/spots"),
    "spots in a row": (_with(spots=np.ones(15, "f4")), "/spots"),
    "whole-number spots": (_with(spots=np.ones((5, 3), "i4")), "/spots"),
    "spots of words": (_with(spots=[[b"a", b"b", b"c"]]), "/spots"),
    "complex spots": (_with(spots=np.ones((5, 3), "c8")), "/spots"),
    "foreign units": (_foreign_units, "pixel"),
    "offsets a group": (_group_for("offsets"), "/offsets"),
    "offsets backwards": (_with(spots=SPOTS, offsets=[0, 40, 20, len(SPOTS)]), "/offsets"),
    "offsets beyond": (_with(spots=SPOTS, offsets=[0, len(SPOTS) + 1]), "/offsets"),
    "negative offsets": (_with(spots=SPOTS, offsets=[-5, len(SPOTS)]), "/offsets"),
    "fractional offsets": (_with(spots=SPOTS, offsets=[0.0, 60.0]), "/offsets"),
    "offsets of two dimensions": (_with(spots=SPOTS, offsets=[[0, 60]]), "/offsets"),
    "no offsets": (_with(spots=SPOTS, offsets=np.zeros(0, "i8")), "/offsets"),
    "too few names": (_with(spots=SPOTS, offsets=[0, 60], frame_id=[b"a", b"b"]), "/frame_id"),
    "cells of a wrong shape": (_with(spots=SPOTS, cells=np.ones((3, 3))), "/cells"),
    "a singular cell": (_with(spots=SPOTS, cells=np.ones((1, 3, 3))), "/cells"),
    "a cell that is not finite": (_with(spots=SPOTS, cells=np.full((1, 3, 3), np.nan)), "/cells"),
    "a dataset of 10^12 rows": (_sparse, "/spots"),
    "offsets of 10^12 frames": (_many_frames, "/offsets"),
    "an external link": (_external_link, "link"),
    "a link to itself": (_soft_link_to_itself, "/spots"),
    "words": (lambda path: path.write_text("0.1 0.2 0.3\nthese are words\n"), "line 2"),
    "a word among numbers": (lambda path: path.write_text("0.1 0.2 0.3\n0.1 x 0.3\n"), "line 2"),
    "two numbers a line": (lambda path: path.write_text("0.1 0.2 0.3\n0.1 0.2\n"), "line 2"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 8), ""),
    "zero bytes": (lambda path: path.write_bytes(bytes(4096)), ""),
    "empty": (lambda path: path.write_text(""), "empty"),
    "comments only": (lambda path: path.write_text("\n# nothing but this\n"), "empty"),
    "a directory": (lambda path: path.mkdir(), ""),
    "missing": (lambda path: None, ""),
    "a pipe": (os.mkfifo, ""),
}
"""Kinds of file that cannot be used: how to make one, and a word of the message besides its name."""


@pytest.mark.parametrize("kind", BAD_FILES)
def test_an_only_input_that_cannot_be_used(index, tmp_path, kind):
    make, word = BAD_FILES[kind]
    make(tmp_path / "bad")
    before = sorted(tmp_path.iterdir())
    ran = index("bad", "-o", "x.h5")
    assert ran.is_one_line_error(2, "bad", word)
    assert ran.out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", BAD_FILES)
def test_one_such_input_among_others(index, spots_file, tmp_path, kind):
    BAD_FILES[kind][0](tmp_path / "bad")
    ran = index("bad", spots_file, "--json", "-o", "x.h5")
    assert ran.status == 3, ran.err
    assert ran.summary["status"]["unreadable"] == 1
    assert ran.summary["indexed"] == 3
    assert any("bad" in problem for problem in ran.summary["problems"])


def test_several_inputs_and_nothing_usable(index, tmp_path):
    (tmp_path / "words").write_text("no numbers here\n")
    assert index("words", "missing").is_one_line_error(5, "words")
    assert not (tmp_path / "words.ffbidx.h5").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(index, spots_file):
    spots_file.chmod(0)
    assert index(spots_file).is_one_line_error(2, spots_file, "ermission")


def test_an_index_beyond_the_file(index, spots_file):
    assert index(f"{spots_file}//3").is_one_line_error(2, spots_file, "3")


def test_no_frames_at_all(index, tmp_path):
    write_spots(tmp_path / "none.h5", [np.zeros((0, 3), np.float32)])
    with h5py.File(tmp_path / "none.h5", "a") as file:
        del file["offsets"]
        file["offsets"] = [0]
    assert index("none.h5").status == 5


def test_text_of_a_cell_and_no_spots_is_a_frame_of_too_few(index, tmp_path):
    (tmp_path / "empty.txt").write_text("10 0 0 0 10 0 0 0 10\n")
    ran = index("empty.txt", "--json", "-q")
    assert ran.status == 0
    assert ran.summary["status"]["too_few_spots"] == 1


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "5000"])
def test_numbers_that_cannot_be_spots_make_a_bad_frame(index, text_file, tmp_path, value):
    bad = tmp_path / "bad.txt"
    bad.write_text(text_file.read_text() + f"0.1 {value} 0.1\n")
    assert index("bad.txt").is_one_line_error(5, "bad.txt")
    ran = index("bad.txt", text_file, "--json", "-o", "x.h5")
    assert ran.status == 3
    assert (ran.summary["status"]["bad_spots"], ran.summary["indexed"]) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace(" ", ", "),
        lambda text: "# a comment\n\n" + text.replace("\n", "  # more\n", 3) + "\n \n# end",
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", " 1000 7\n"),
    ],
    ids=["crlf", "byte order mark", "tabs", "commas", "comments", "no last line break", "further columns"],
)
def test_text_in_other_clothes_is_the_same_frame(index, text_file, tmp_path, change):
    wanted = index(text_file, "-o", "-").out.split("\t")[-19:]
    (tmp_path / "changed.txt").write_bytes(change(text_file.read_text()).encode())
    ran = index("changed.txt", "-o", "-")
    assert ran.status == 0, ran.err
    assert ran.out.split("\t")[-19:] == wanted


def test_spots_in_nanometres_get_a_note(index, tmp_path):
    write_text(tmp_path / "nm.txt", SPOTS * 10)
    ran = index("nm.txt")
    assert ran.status == 0
    assert "1/nm" in ran.err


def test_missing_units_are_assumed_with_a_note(index, tmp_path):
    _with(spots=SPOTS)(tmp_path / "plain.h5")
    ran = index("plain.h5")
    assert ran.status == 0
    assert "/spots: no attribute units" in ran.err


def test_padding_and_duplicates_are_counted(index, tmp_path):
    write_text(tmp_path / "padded.txt", np.concatenate([SPOTS, SPOTS[:5], np.zeros((7, 3))]))
    ran = index("padded.txt", "--json")
    assert (ran.summary["spots"], ran.summary["spots_left_out"]) == (len(SPOTS), 12)
    assert "12 more left out" in ran.err


def test_spots_beyond_max_spots_are_counted(index, text_file):
    ran = index(text_file, "--max-spots", 50, "--json")
    assert ran.summary["spots_not_sampled"] == len(SPOTS) - 50
    assert f"{len(SPOTS) - 50} beyond max_spots" in ran.err


def test_names_are_shown_as_they_are(index, text_file, tmp_path):
    name = "[red]odd:smile:\nname.txt"
    text_file.rename(tmp_path / name)
    ran = index(name, "-o", "x.h5", "-v")
    assert ran.status == 0
    (tmp_path / name).write_text("words")
    assert index(name, "-o", "y.h5").is_one_line_error(2, "[red]odd:smile: name.txt")


def test_inspect_lists_all_faults_of_a_geometry_and_a_run_the_first(run, cell_file, spots_file, tmp_path):
    (tmp_path / "det.geom").write_text("words\nclen = 0,1\np0/min_fs = 0\nphoton_energy = 9 parsec\n")
    ran = run("inspect", spots_file, "-g", "det.geom")
    assert ran.status == 2
    *further, first = ran.err.splitlines()
    assert first.startswith("ffbidx: det.geom, line 1: 'words' is not KEY = VALUE")
    assert len(further) == 3
    for line, words in zip(further, ("'parsec'", "clen = 0,1", "panel p0: has no "), strict=True):
        assert line.startswith("ffbidx: det.geom")
        assert words in line
    ran = run("index", spots_file, "--cell", cell_file, "-g", "det.geom")
    assert ran.is_one_line_error(2, "det.geom, line 1", "3 further faults (ffbidx inspect lists all)")


def test_inspect_lists_all_faults_of_a_spot_file(run, tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["spots"], file["offsets"] = np.zeros((4, 3)), [0, 4]
        file["spots"].attrs["units"] = "ell"
        file["frame_id"], file["intensity"] = ["a", "b"], np.zeros(3)
    ran = run("inspect", "bad.h5")
    assert ran.status == 2
    *others, first = ran.err.splitlines()
    assert first.startswith("ffbidx: bad.h5, /spots: has the units 'ell'")
    assert "2 further faults" in first
    assert [line.split(": ")[1] for line in others] == ["bad.h5, /frame_id", "bad.h5, /intensity"]
    ran = run("inspect", "bad.h5", "--json")
    assert ran.status == 2
    assert [problem.split(": ")[0] for problem in json.loads(ran.out)["problems"]] == [
        "bad.h5, /spots", "bad.h5, /frame_id", "bad.h5, /intensity"
    ]  # fmt: skip


def test_inspect_shows_the_first_of_many_faults_and_lists_all_as_json(run, tmp_path):
    (tmp_path / "a.txt").write_text("0.1 0.2 0.3\n0.1 0.2 x\n" * 40)
    ran = run("inspect", "a.txt")
    assert ran.status == 2
    *others, first = ran.err.splitlines()
    assert [line.split(":")[1] for line in others] == [f" a.txt, line {2 * i}" for i in range(2, 22)]
    assert first.startswith("ffbidx: a.txt, line 2: 'x' is not a number")
    assert first.endswith("; and 39 further faults (the first 20 above, all with --json)")
    assert len(json.loads(run("inspect", "a.txt", "--json").out)["problems"]) == 40


def test_inspect_of_files_without_a_usable_frame(run, tmp_path):
    (tmp_path / "a.txt").write_text("x y z\n")
    (tmp_path / "b[").mkdir()
    (tmp_path / "b[/bold].txt").write_text("nan 1 2\n")
    ran = run("inspect", "a.txt", "b[/bold].txt")
    assert ran.status == 5
    assert "b[/bold].txt, frame 0" in ran.out
