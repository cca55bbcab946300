"""ffbidx convert and inspect: spots to HDF5, results to the formats of other programs."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.detector.beam import offset_along_beam
from ffbidx_core.read.geometry.any import parse_geometry
from tests.helpers.beamline import DISTANCE, WAVELENGTH, geom_text, same_orientation, write_cxi
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.calls import MONO, QUICK
from tests.helpers.frames import OPERATORS


def crystals(path):
    found = read_results(path)
    return found.cells[found.crystals]


def are_true(cells):
    return len(cells) == len(MADE.cells) and all(
        same_orientation(cell, truth, OPERATORS) for cell, truth in zip(cells, MADE.cells, strict=True)
    )


@pytest.mark.parametrize("output", ["run.stream", "run.sol", "run.csv", "run.tsv"])
def test_results_give_the_same_later(run, results, tmp_path, output):
    if output != "run.stream":
        ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", output)
        assert ran.status == 0, ran.err
    later = "later" + os.path.splitext(output)[1]
    assert run("convert", results, "-o", later).status == 0
    assert (tmp_path / later).read_bytes() == (tmp_path / output).read_bytes()


def test_spots_to_hdf5_and_on_to_the_same_stream(run, results, tmp_path):
    ran = run("convert", "run.cxi", "-g", "det.geom", "-o", "spots.h5")
    assert ran.status == 0, ran.err
    with h5py.File(tmp_path / "spots.h5") as file:
        assert file.attrs["geometry"] == geom_text()
        assert file.attrs["half_pixel_shift"]
        assert file["spots"].attrs["units"] == "1/angstrom"
        assert file["frame_id"].asstr()[1] == "run.cxi //1"
        np.testing.assert_allclose(file["pixel"][: len(MADE.peaks[0])], MADE.peaks[0], atol=1e-4)
        np.testing.assert_allclose(file["intensity"][: len(MADE.peaks[0])], MADE.intensity[0], rtol=1e-6)
        assert file["wavelength"].shape == (3,)
    assert run("index", "spots.h5", "--cell", MONO, *QUICK, "-o", "again.stream").status == 0
    first, again = ((tmp_path / name).read_text().splitlines() for name in ("run.stream", "again.stream"))
    # Pixels are kept in float32, so that the last digits of the cells differ.
    named = ("Image filename", "Event", "num_peaks", "indexed_by", "photon_energy")
    assert [line for line in first if line.startswith(named)] == [line for line in again if line.startswith(named)]
    assert run("index", "spots.h5", "--cell", MONO, *QUICK, "-o", "again.h5").status == 0
    assert are_true(crystals("again.h5"))


def test_a_new_geometry_makes_the_spots_of_a_native_file_anew(run, cxi, tmp_path):
    (tmp_path / "wrong.geom").write_text(geom_text("0.3 m"))
    assert run("convert", "run.cxi", "-g", "wrong.geom", "-o", "spots.h5").status == 0
    assert run("index", "spots.h5", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "x.h5").status == 0
    assert are_true(crystals("x.h5"))


def test_a_stream_is_an_input_with_geometry_and_cell_of_its_own(run, results, tmp_path):
    ran = run("index", "run.stream", *QUICK, "-o", "again.h5", "-o", "again.stream")
    assert ran.status == 0, ran.err
    assert are_true(crystals("again.h5"))
    lines = (tmp_path / "again.stream").read_text().splitlines()
    assert "Image filename: run.cxi" in lines
    assert "Event: //2" in lines
    assert run("index", "run.cxi", "-g", "det.geom", "--cell", "run.stream", *QUICK, "-o", "x.h5").status == 0
    assert are_true(crystals("x.h5"))
    assert run("convert", "run.stream", "-o", "spots.h5").status == 0
    assert run("inspect", "spots.h5", "--json").summary["frames"] == 3


def test_what_is_not_converted(run, results, text_file):
    assert run("convert", results, "-o", "x.h5").is_one_line_error(2, "x.h5")
    assert run("convert", "run.cxi", "-g", "det.geom", "-o", "x.sol").is_one_line_error(2, "x.sol", "index")
    assert run("convert", results, "run.cxi", "-o", "x.sol").is_one_line_error(2, "one file at a time")
    assert run("convert", "run.cxi", "-o", "x.h5").is_one_line_error(2, "run.cxi", "-g")
    assert run("convert", "run.cxi", text_file, "-g", "det.geom", "-o", "x.h5").is_one_line_error(2, "pixels")
    assert run("convert", results, "-o", "run.stream").is_one_line_error(6, "--overwrite")
    assert run("index", results, "--cell", MONO).is_one_line_error(2, "convert")


def test_some_inputs_that_cannot_be_read(run, cxi, text_file, tmp_path):
    (tmp_path / "words.txt").write_text("words\n")
    ran = run("convert", text_file, "words.txt", "-o", "x.h5")
    assert ran.status == 3
    assert "words.txt" in ran.err
    assert run("inspect", text_file, "words.txt", "--json").status == 3


def test_inspecting_spots(run, cxi):
    ran = run("inspect", "run.cxi", "-g", "det.geom", "--json")
    assert ran.status == 0
    counts = sorted(len(peaks) for peaks in MADE.peaks)
    assert ran.summary["formats"] == ["CXI peak lists"]
    assert (ran.summary["frames"], ran.summary["spots"], ran.summary["panels"]) == (3, sum(counts), 3)
    assert ran.summary["spots_per_frame"] == counts
    assert sum(n for _, _, n in ran.summary["histogram"]) == 3
    shown = run("inspect", "run.cxi", "-g", "det.geom")
    distance = DISTANCE + offset_along_beam(parse_geometry("x", geom_text()).detector)
    assert (ran.summary["wavelength"], ran.summary["distance"]) == pytest.approx((WAVELENGTH, distance))
    assert f"3 panels; half a pixel: added; first frame: 1.30510 A, {distance:.3f} mm" in shown.out
    assert shown.out.count("█") > 40


def test_inspecting_results(run, results):
    ran = run("inspect", results, "--json")
    assert ran.summary["status"]["indexed"] == 3
    assert ran.summary["crystals_per_frame"] == [[0, 0], [1, 3]]
    (cell,) = ran.summary["cells"]
    np.testing.assert_allclose(cell["median"], [31, 42, 53, 90, 103, 90], atol=0.2)
    assert (cell["lattice"], ran.summary["panels"], ran.summary["keeps_spots"]) == ("mPb", 3, False)
    shown = run("inspect", results).out
    assert "3 indexed (100.0%)" in shown
    assert "cell 0, given, mPb" in shown
    assert "in the inputs of the run" in shown


def test_inspecting_results_tells_what_went_wrong(run, cxi):
    with h5py.File(cxi, "a") as file:
        file["entry_1/result_1/peakXPosRaw"][1, 0] = np.nan
    assert run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "bad.h5", "--keep-spots").status == 3
    ran = run("inspect", "bad.h5", "--json")
    (problem,) = ran.summary["problems"]
    assert "frame 1: spot 0" in problem
    shown = run("inspect", "bad.h5").out
    assert f"note: {problem}" in shown
    assert "kept here" in shown


BAD_STREAMS = {
    "cut off in a peak list": (lambda text: text[: text.rindex("End of peak list")], "frame 2: its peak list"),
    "no energy": (lambda text: text.replace("photon_energy_eV", "energy", 1), "frame 0: has no photon_energy_eV"),
    "a panel of another detector": (
        lambda text: text.replace("   swapped\n", "   q9\n", 1),
        "frame 0: a peak is on the panel q9",
    ),
    "words": (
        lambda text: text.replace("1/d)/nm^-1   Intensity  Panel\n", "1/d)\nsome words\n", 1),
        "frame 0: 'some words'",
    ),
    "no image": (lambda text: text.replace("Image filename", "Image", 1), "frame 0: has no line Image filename"),
    "a geometry of no panels": (
        lambda text: text[: text.index("\n; sim")] + "\n----- End geometry file -----\n",
        "panels",
    ),
    "no geometry": (lambda text: text.replace("Begin geometry", "Begin"), "-g"),
}


@pytest.mark.parametrize("kind", BAD_STREAMS)
def test_bad_streams(run, results, tmp_path, kind):
    change, problem = BAD_STREAMS[kind]
    text = (tmp_path / "run.stream").read_text()
    assert change(text) != text
    (tmp_path / "bad.stream").write_text(change(text))
    ran = run("index", "bad.stream", "--cell", MONO, *QUICK, "--json", "-o", "x.h5")
    if "frame" in problem:
        # All others are used.
        assert ran.status == 3
        assert (ran.summary["indexed"], ran.summary["status"]["unreadable"]) == (2, 1)
        assert any(problem in line for line in ran.summary["problems"])
    else:
        assert ran.is_one_line_error(2, "bad.stream", problem)


@pytest.mark.parametrize(("cell", "centring"), [("61,122,168,90,90,90", "C"), ("79,79,38,90,90,90", "I")])
def test_a_centred_cell_is_reported_as_given(run, tmp_path, cell, centring):
    made = run("simulate", "-o", "stills.h5", "--cell", cell, "--centring", centring, "--frames", 6, "--seed", 4)
    assert made.status == 0, made.err
    ran = run("index", "stills.h5", "--cell", f"{cell},{centring}", *QUICK, "--json", "-o", "x.h5", "-o", "x.sol")
    assert ran.status == 0, ran.err
    assert ran.summary["indexed"] >= 5
    wanted = [float(word) for word in cell.split(",")]
    found = read_results("x.h5")
    np.testing.assert_allclose(found.crystal_parameters, np.tile(wanted, (len(found.crystals), 1)), rtol=0.01)
    np.testing.assert_allclose(ran.summary["cells"][0]["given"], wanted, atol=1e-9)
    code = found.header.lattices
    assert (tmp_path / "x.sol").read_text().split()[13] == code
    assert code[1] == centring
    with h5py.File("stills.h5") as file:
        spots, offsets, lattice, hkl = (file[n][()] for n in ("spots", "offsets", "truth/lattice", "truth/hkl"))
    for k, f in enumerate(found.frame_of_crystal):
        mine = slice(offsets[f], offsets[f + 1])
        indices = np.rint(spots[mine][lattice[mine] >= 0] @ found.cells[found.crystals[k]].T)
        # Up to the symmetry of the lattice, which permutes indices or changes their signs.
        np.testing.assert_array_equal(
            np.sort(np.abs(indices), axis=1), np.sort(np.abs(hkl[mine][lattice[mine] >= 0]), axis=1)
        )


def test_a_centred_cell_of_a_stream_serves_its_frames(run, tmp_path):
    cell = "61,122,168,90,90,90"
    made = run("simulate", "-o", "stills.h5", "--cell", cell, "--centring", "C", "--frames", 4, "--n-spots", 40, 60)
    assert made.status == 0, made.err
    assert run("index", "stills.h5", "--cell", f"{cell},C", *QUICK, "-o", "run.stream").status == 0
    ran = run("index", "run.stream", *QUICK, "-o", "again.h5", "--json")
    assert ran.status == 0, ran.err
    found = read_results("again.h5")
    assert found.header.lattices == "oC"
    np.testing.assert_allclose(found.crystal_parameters, np.tile([61, 122, 168, 90, 90, 90], (4, 1)), rtol=0.01)
    # Of several inputs it serves when all have it.
    shutil.copy("run.stream", "copy.stream")
    assert run("index", "run.stream", "copy.stream", *QUICK, "-o", "two.h5").status == 0
    other = (tmp_path / "run.stream").read_text().replace("b = 122", "b = 123")
    (tmp_path / "copy.stream").write_text(other)
    assert run("index", "run.stream", "copy.stream", *QUICK, "-o", "x.h5").is_one_line_error(2, "run.stream", "--cell")


def test_polymorphs_and_mixtures(run, tmp_path):
    cells = ("61,122,168,90,90,90,C", MONO)
    for name, cell, centring in (("a.h5", cells[0][:-2], "C"), ("b.h5", cells[1], "P")):
        run("simulate", "-o", name, "--cell", cell, "--centring", centring, "--frames", 4, "--n-spots", 60, 80)
    ran = run("index", "a.h5", "b.h5", "--cell", cells[0], "--cell", cells[1], *QUICK, "-o", "x.h5", "--json")
    assert ran.status == 0, ran.err
    found = read_results("x.h5")
    assert found.header.lattices == "oC mPb"
    of_file = {
        name: found.input_cell[found.crystals[found.source[found.frame_of_crystal] == name]]
        for name in ("a.h5", "b.h5")
    }
    assert set(of_file["a.h5"].tolist()) == {0}
    assert set(of_file["b.h5"].tolist()) == {1}
    assert json.loads(ran.out)["cells"][1]["crystals"] == len(of_file["b.h5"])


def test_a_cell_given_twice(run, cxi):
    index = ("index", "run.cxi", "-g", "det.geom", *QUICK, "--cell", "31,42,53,90,90,90")
    assert run(*index, "--cell", "31,42,53,90,90,90,C").is_one_line_error(2, "oP", "oC")
    ran = run(*index, "--cell", "31,42,53,90,90,90", "--cell", MONO, "-o", "x.h5")
    assert ran.status == 0, ran.err
    found = read_results("x.h5")
    # Given twice, and one row.
    assert found.header.lattices == "oP mPb"
    assert len(found.input_cells) == 2
    assert set(found.input_cell[found.crystals].tolist()) == {1}


def test_the_shift_of_each_frame_stays_with_the_spots(run, tmp_path):
    shifts = np.array([0.0, 0.4, -0.3])
    write_cxi(tmp_path / "run.cxi", MADE, **{"/x": shifts})
    (tmp_path / "det.geom").write_text("detector_shift_x = /x mm\n" + geom_text())
    assert run("convert", "run.cxi", "-g", "det.geom", "-o", "spots.h5").status == 0
    with h5py.File(tmp_path / "spots.h5") as file:
        np.testing.assert_allclose(file["shift"], np.column_stack([shifts, 0 * shifts]))
        spots = file["spots"][:]
    # Made anew from the pixels they are where they were.
    (tmp_path / "same.geom").write_text(geom_text())
    assert run("convert", "spots.h5", "-g", "same.geom", "-o", "again.h5").status == 0
    with h5py.File(tmp_path / "again.h5") as file:
        np.testing.assert_allclose(file["spots"], spots, atol=1e-5)


def test_a_cell_of_which_no_crystal_is_found_is_shown_without(run):
    run(
        "simulate", "-o", "a.h5", "--cell", "61,122,168,90,90,90", "--centring", "C", "--frames", 3, "--n-spots", 60, 80
    )
    ran = run("index", "a.h5", "--cell", "61,122,168,90,90,90,C", "--cell", MONO, *QUICK, "-o", "x.h5")
    assert ran.status == 0, ran.err
    first, second = ran.err.split("Input cell 1")
    assert "no crystals" in second
    assert "no crystals" not in first
