"""Spots are read again from the inputs of a run, which are found elsewhere and compared with what was indexed."""

import os
import shutil
from dataclasses import replace

import h5py

from ffbidx_core.read.results import read_record
from ffbidx_core.read.run_inputs import RunInputs
from tests.helpers.calls import MONO, QUICK

GIVEN = ("-g", "det.geom", "--cell", MONO, *QUICK)


def test_results_are_found_from_elsewhere(run, results, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("convert", "../run.h5", "-o", "x.stream").status == 0


def test_copies_beside_the_results_serve_as_inputs(run, cxi, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    made = run("index", cxi, *GIVEN, "-o", "other/far.h5", "-o", "far.stream")
    assert made.status == 0, made.err
    shutil.move(cxi, tmp_path / "other")
    for folder, name in ((tmp_path, "other/far.h5"), (tmp_path / "other", "far.h5")):
        monkeypatch.chdir(folder)
        ran = run("convert", name, "-o", "x.stream")
        assert ran.status == 0, ran.err
        assert (folder / "x.stream").read_bytes() == (tmp_path / "far.stream").read_bytes()
    # A file that only has the name of the input is not taken for a copy.
    with open("run.cxi", "ab") as file:
        file.write(b"more")
    ran = run("convert", "far.h5", "-o", "y.stream")
    assert ran.is_one_line_error(2, str(cxi), "no longer there", "copy it beside")


def test_inputs_that_changed_or_went(run, results, cxi, tmp_path):
    # Copied: another time, the same content.
    shutil.copyfile(cxi, tmp_path / "copy")
    os.replace(tmp_path / "copy", cxi)
    os.utime(cxi, ns=(1, 1))
    assert run("convert", results, "-o", "x.stream").status == 0
    assert (tmp_path / "x.stream").read_bytes() == (tmp_path / "run.stream").read_bytes()
    before = os.stat(cxi)
    with h5py.File(cxi, "r+") as file:
        file["/entry_1/result_1/peakXPosRaw"][1, 3] += 0.25
    os.utime(cxi, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(cxi).st_size == before.st_size
    assert run("convert", results, "-o", "y.stream").is_one_line_error(2, "run.cxi", "has changed", "not its content")
    with open(cxi, "ab") as file:
        file.write(b"more")
    assert run("convert", results, "-o", "y.stream").is_one_line_error(2, "run.cxi", "has changed", "bytes then")
    cxi.unlink()
    assert run("convert", results, "-o", "y.stream").is_one_line_error(2, "run.cxi", "no longer there")
    # What needs no spots is made all the same.
    assert run("convert", results, "-o", "x.sol").status == 0


def of_two_formats(run, cxi, tmp_path):
    """Names of a CXI file, whose peaks are shifted by half a pixel, and of a stream, whose peaks are not."""
    made = run("index", cxi, *GIVEN, "-o", "one.stream")
    assert made.status == 0, made.err
    text = (tmp_path / "one.stream").read_text()
    (tmp_path / "one.stream").write_text(text.replace(f"Image filename: {cxi}", "Image filename: other.cxi"))
    return [str(cxi), "one.stream"]


def peaks_in(path):
    """The lines of a stream without the records at its beginning."""
    return path.read_text().partition("Begin chunk")[2]


def test_each_input_is_read_again_with_the_half_pixel_of_its_format(run, cxi, tmp_path):
    inputs = of_two_formats(run, cxi, tmp_path)
    assert run("index", *inputs, *GIVEN, "-o", "run.h5", "-o", "run.stream").status == 0
    assert run("convert", "run.h5", "-o", "again.stream").status == 0
    assert peaks_in(tmp_path / "again.stream") == peaks_in(tmp_path / "run.stream")
    # Runs of one input each can be joined, as one run can have both inputs.
    for path, name in zip(inputs, "ab", strict=True):
        assert run("index", path, *GIVEN, "-o", f"{name}.h5").status == 0
    ran = run("merge", "a.h5", "b.h5", "-o", "both.h5")
    assert ran.status == 0, ran.err
    # A shift that was given holds for all inputs of its run.
    assert run("index", inputs[1], *GIVEN, "--half-pixel-shift", "-o", "c.h5").status == 0
    assert run("merge", "a.h5", "c.h5", "-o", "x.h5").is_one_line_error(2, "c.h5", "half_pixel_shift was None, is True")
    # The first input is another one now, and that is named, although its half-pixel shift is another one, too.
    cxi.write_text("0.1 0.1 0.1\n")
    assert run("index", "--config", "a.h5", "--resume").is_one_line_error(2, "run.cxi has changed", "bytes then")


def test_results_without_options_have_one_half_pixel_for_all_inputs(results):
    header, record = read_record(results)
    for options, shift in ((record.config, None), ({}, True), ({"half-pixel-shift": False}, False)):
        inputs = RunInputs.of_header(header, None, replace(record, config=options), results)
        assert inputs.geometry.half_pixel_shift is shift
        moved = inputs.as_recorded(replace(header, geometry=f"; moved\n{header.geometry}"))
        assert moved.geometry.text != inputs.geometry.text
        assert moved.geometry.half_pixel_shift is shift
