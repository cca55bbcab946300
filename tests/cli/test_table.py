"""`ffbidx table`."""

import numpy as np


def test_a_line_for_each_crystal(index, run, spots_file):
    index(spots_file)
    ran = run("table", "spots.ffbidx.h5")
    head, *lines, last = ran.out.splitlines()
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
    assert last == "3 crystals on 3 frames"


def test_the_first_rows_only(index, run, spots_file):
    index(spots_file)
    lines = run("table", "spots.ffbidx.h5", "--max-rows", 1).out.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "3 crystals on 3 frames, 2 more not shown"


def test_files_that_are_no_results(run, spots_file, text_file):
    for bad in (spots_file, text_file, "nowhere.h5"):
        assert run("table", bad).is_one_line_error(2, bad)
    assert run("table", spots_file, "--max-rows", 0).is_one_line_error(2, "--max-rows")
