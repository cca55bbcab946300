"""Spots are read again from the inputs of a run, which are found elsewhere and compared with what was indexed."""

import os
import shutil

import h5py

from tests.helpers.calls import MONO, QUICK


def test_results_are_found_from_elsewhere(run, results, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("convert", "../run.h5", "-o", "x.stream").status == 0


def test_copies_beside_the_results_serve_as_inputs(run, cxi, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    made = run("index", cxi, "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "other/far.h5", "-o", "far.stream")
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
