"""`ffbidx table`."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.calls import write_spots
from tests.helpers.frames import frame


def test_a_line_for_each_crystal(index, run, spots_file):
    index(spots_file)
    ran = run("table", "spots.ffbidx.h5")
    head, *lines = ran.out.splitlines()
    assert ran.status == 0
    assert head.split() == [
        "frame",
        "spots",
        "indexed",
        "by",
        "chance",
        "rmsd",
        "1/A",
        "d/A",
        "log10",
        "false",
        "a",
        "b",
        "c",
        "alpha",
        "beta",
        "gamma",
    ]
    assert [line.split()[0] for line in lines] == [f"{spots_file}//{i}" for i in range(3)]
    assert np.allclose([float(v) for v in lines[0].split()[7:]], [31, 42, 53, 90, 103, 90], atol=0.5)
    assert ran.err.splitlines() == ["3 crystals on 3 frames"]


def test_the_first_rows_only(index, run, spots_file):
    index(spots_file)
    ran = run("table", "spots.ffbidx.h5", "--max-rows", 1)
    assert len(ran.out.splitlines()) == 2
    assert ran.err.splitlines() == ["3 crystals on 3 frames, 2 more not shown"]


def test_other_programs_get_every_column(index, run, spots_file):
    index(spots_file)
    assert run("convert", "spots.ffbidx.h5", "-o", "spots.csv").status == 0
    ran = run("table", "spots.ffbidx.h5", "--format", "csv")
    assert ran.out.replace("\r\n", "\n") == Path("spots.csv").read_text()
    first, second = json.loads(run("table", "spots.ffbidx.h5", "--format", "json", "--max-rows", 2).out)
    assert (first["id"], second["id"], second["index"], second["crystal"]) == ("one", "two", 1, 0)
    assert np.allclose([first[name] for name in ("a", "b", "c")], [31, 42, 53], atol=0.5)


def test_frames_for_other_programs(index, run, tmp_path):
    write_spots(tmp_path / "few.h5", [frame(0)[1], np.zeros((0, 3))])
    index("few.h5")
    (failed,) = json.loads(run("table", "few.ffbidx.h5", "--failed", "--format", "json").out)
    assert (failed["index"], failed["status"], failed["reason"]) == (1, "too_few_spots", "too few spots")
    lines = run("table", "few.ffbidx.h5", "--frames", "--format", "csv").out.splitlines()
    assert lines[0] == "source,index,id,n_spots,crystals,status,reason,try"
    assert len(lines) == 3


def test_files_that_are_no_results(run, spots_file, text_file):
    for bad in (spots_file, text_file, "nowhere.h5"):
        assert run("table", bad).is_one_line_error(2, bad)
    assert run("table", spots_file, "--max-rows", 0).is_one_line_error(2, "--max-rows")
