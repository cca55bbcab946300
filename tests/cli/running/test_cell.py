"""`ffbidx cell`: the unit cell that nobody knows."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.read.cells.input_cell import read_input_cell
from ffbidx_core.read.results import read_run
from tests.helpers.calls import write_spots

CELL = "33,51,74,90,90,90"
QUICK = ("--backend", "cpu", "--longest", 100)


@pytest.fixture
def stills(run):
    """Stills of one cell, a quarter of whose spots is false."""
    spots = ("--n-spots", 30, 50, "--false-share", 0.25, 0.25, "--d-min", 3)
    assert run("simulate", "-o", "s.h5", "--cell", CELL, "--frames", 12, *spots).status == 0
    return "s.h5"


def test_the_cell_is_found_and_can_be_typed(run, stills):
    ran = run("cell", stills, *QUICK, "-o", "found.cell", "--png", "found.png")
    assert ran.status == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("cell 1: primitive orthorhombic 33.0 51.0 74.0; nothing half as likely; on 100% of")
    option = next(line.split()[1] for line in lines if line.strip().startswith("--cell"))
    for text in ("found.cell", option):
        found = read_input_cell(text)
        assert found.lattice.code == "oP"
        np.testing.assert_allclose(np.sort(np.linalg.norm(found.cell, axis=1)), (33, 51, 74), rtol=2e-3)
    assert "vectors up to 100 A" in ran.err
    with open("found.png", "rb") as picture:
        assert picture.read(4) == b"\x89PNG"
    assert run("index", stills, "--cell", option, "-o", "r.h5", "--backend", "cpu", "-q").status == 0
    assert run("cell", stills, *QUICK, "-o", "found.cell").is_one_line_error(6, "found.cell")


def test_everything_as_json(run, stills):
    ran = run("cell", stills, *QUICK, "--json", "-q", "--symmetry", "aP")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    values = json.loads(ran.out)
    (cell,) = values["cells"]
    assert cell["bravais"] == "aP"
    assert {"aP", "oP"} <= {each["bravais"] for each in cell["symmetries"]}
    np.testing.assert_allclose(cell["primitive"], (33, 51, 74, 90, 90, 90), rtol=3e-3)
    assert cell["share"] == 1
    assert cell["evidence"] > 100
    assert {each["index"] for each in cell["multiples"]} == {-4, -3, -2, 2, 3, 4}
    assert any(each["claim"] for each in values["candidates"])
    assert run("cell", stills, *QUICK, "-q", "--symmetry", "cF").is_one_line_error(2, "--symmetry cF", "oP")


def test_a_known_cell_leaves_nothing(run, stills):
    ran = run("cell", stills, *QUICK, "-q", "--known", CELL)
    assert ran.is_one_line_error(5, "no further cell", "have a crystal of a known cell", "are too few")
    assert json.loads(run("cell", stills, *QUICK, "-q", "--known", CELL, "--json").out)["cells"] == []


def test_files_that_cannot_be_read_are_noted(run, stills):
    Path("junk.txt").write_text("junk\n")
    ran = run("cell", stills, "junk.txt", *QUICK, "--json")
    assert ran.status == 3
    assert "note: junk.txt, line 1: 'junk' is not a number" in ran.err
    assert json.loads(ran.out)["bad_frames"] == 1


def test_spots_of_no_lattice_give_none(run):
    rng = np.random.default_rng(5)
    write_spots("blank.h5", [rng.normal(0, 0.1, (12, 3)) for _ in range(12)])
    ran = run("cell", "blank.h5", *QUICK, "-q", "--png", "blank.svg")
    assert ran.is_one_line_error(
        5, "blank.h5", "no cell in 12 frames", "all its frames with 7 spots or more: try with more files"
    )
    with open("blank.svg", "rb") as picture:
        assert picture.read(5) == b"<?xml"


def test_frames_of_too_few_spots_say_so(run):
    rng = np.random.default_rng(6)
    write_spots("few.h5", [rng.normal(0, 0.1, (6, 3)) for _ in range(5)])
    assert run("cell", "few.h5", *QUICK, "-q").is_one_line_error(5, "few.h5", "no frame has the required 7 spots")


def test_nonsense_is_refused(run, stills):
    assert run("cell", "nowhere.h5", *QUICK).is_one_line_error(2, "nowhere.h5")
    assert run("cell", stills, *QUICK, "--known", "1,2,3").is_one_line_error(2, "--known 1,2,3")
    assert run("cell", stills, *QUICK, "--symmetry", "oQ").is_one_line_error(2, "--symmetry oQ", "tP")
    assert run("cell", stills, *QUICK, "-o", "x", "--png", "./x").is_one_line_error(2, "-o and --png")
    assert run("cell", stills, *QUICK, "--png", "x.pdf").is_one_line_error(2, "--png x.pdf", ".png or .svg")
    Path("known.cell").write_text(CELL.replace(",", " "))
    known = ("--known", "known.cell", "-o", "known.cell", "--overwrite")
    assert run("cell", stills, *QUICK, *known).is_one_line_error(2, "the output is the input known.cell")
    assert run("cell", stills, "--longest", 5).status == 2
    assert run("cell", stills, "--frames", 0).status == 2
    assert run("cell").status == 2


def test_a_run_finds_its_cell(run, stills):
    auto = ("--cell", "auto", "--backend", "cpu")
    ran = run("index", stills, *auto, "-o", "auto.h5")
    assert ran.status == 0, ran.err
    assert "the unit cell was found on the first 12 frames: primitive orthorhombic 33.0 51.0 74.0" in ran.err
    found = read_results("auto.h5")
    assert found.header.lattices == "oP"
    with h5py.File("auto.h5") as file:
        assert b"the unit cell was found on the first 12 frames" in file["run/mark"][()]
    numbers = ",".join(map(repr, found.input_cells[0].ravel().tolist()))
    assert run("index", stills, "--cell", numbers, "-o", "typed.h5", "--backend", "cpu", "-q").status == 0
    np.testing.assert_array_equal(found.cells, read_results("typed.h5").cells)
    # It goes on where it was, and shares find the same cell.
    assert run("index", stills, *auto, "-o", "auto.h5", "--resume", "-q").status == 0
    for share in ("1/2", "2/2"):
        assert run("index", stills, *auto, "-o", "s.ffbidx.h5", "--shard", share, "-q").status == 0
    assert run("merge", "s.ffbidx.1-of-2.h5", "s.ffbidx.2-of-2.h5", "-o", "merged.h5").status == 0
    merged = read_results("merged.h5")
    assert len(merged.input_cells) == 1
    np.testing.assert_array_equal(merged.cells, found.cells)
    # The search is in the record of the run and of its shares, and in the report.
    _, _, record, *_ = read_run("merged.h5")
    assert record.cell_search == read_run("auto.h5")[2].cell_search
    (cell,) = record.cell_search["cells"]
    np.testing.assert_allclose(cell["parameters"], (33, 51, 74, 90, 90, 90), rtol=2e-3)
    assert run("report", "merged.h5", "-o", "merged.html", "--no-diagnose").status == 0
    with open("merged.html", encoding="utf-8") as page:
        text = page.read()
    assert 'id="cell_search"' in text
    assert 'id="cell_search_planes0"' in text
    assert "The cell found" in text
    assert run("report", "typed.h5", "-o", "typed.html", "--no-diagnose").status == 0
    with open("typed.html", encoding="utf-8") as page:
        assert "cell_search" not in page.read()


def test_a_run_with_a_known_cell_goes_on_with_it_where_nothing_is_left(run, stills):
    both = ("--cell", "auto", "--cell", CELL, "--backend", "cpu", "-q")
    assert run("index", stills, *both, "-o", "r.h5").status == 0
    assert len(read_results("r.h5").input_cells) == 1


def test_a_run_without_a_cell_to_find_says_so(run):
    rng = np.random.default_rng(5)
    write_spots("blank.h5", [rng.normal(0, 0.1, (12, 3)) for _ in range(12)])
    auto = ("--cell", "auto", "--backend", "cpu")
    assert run("index", "blank.h5", *auto, "-q").is_one_line_error(5, "--cell auto", "no cell in 12 frames")
    assert run("index", "blank.h5", *auto, "--dry-run").is_one_line_error(2, "--cell auto", "--dry-run")
    assert run("index", "blank.h5", *auto, "--cell", "auto").is_one_line_error(2, "--cell auto", "more than once")
    assert run("index", "blank.h5", *auto, "--follow").is_one_line_error(2, "--cell auto", "--follow")
    ran = run("index", "blank.h5", *auto, "--print-config")
    assert ran.status == 0
    assert 'cell = ["auto"]' in ran.out
