"""What `ffbidx index` says to cells, outputs and options that cannot be used: one line, the right exit status."""

import os

import pytest

from tests.helpers.calls import QUICK
from tests.helpers.frames import CELL

BAD_CELLS = {
    "zero": "0 0 0 0 0 0 0 0 0",
    "singular": "10 0 0 0 10 0 10 10 0",
    "not finite": "nan 0 0 0 10 0 0 0 10",
    "infinite": "inf 20 30 90 90 90",
    "zero length": "0 20 30 90 90 90",
    "angles of no cell": "10 20 30 10 10 170",
    "an angle of zero": "10 20 30 90 90 0",
    "seven numbers": "10 20 30 90 90 90 1",
    "words": "ten twenty thirty",
    "empty": "",
}


@pytest.mark.parametrize("kind", BAD_CELLS)
def test_a_cell_that_cannot_be_used(run, spots_file, tmp_path, kind):
    (tmp_path / "bad.cell").write_text(BAD_CELLS[kind])
    assert run("index", spots_file, "--cell", "bad.cell").is_one_line_error(2, "bad.cell")


def test_a_cell_file_that_is_not_there(run, spots_file):
    assert run("index", spots_file, "--cell", "nowhere").is_one_line_error(2, "nowhere", "no such file", "9 numbers")
    assert run("index", spots_file, "--cell", "79", "79", "38", "90", "90", "90").is_one_line_error(
        2, "--cell 79", "quotes"
    )
    assert run("index", spots_file, "--cell", ".").is_one_line_error(2, ".")


def test_no_cell_at_all(run, spots_file):
    for more in ([], ["--dry-run"]):
        assert run("index", spots_file, *more).is_one_line_error(2, spots_file, "--cell")


def test_a_left_handed_cell_is_taken_with_a_note(run, spots_file, tmp_path):
    (tmp_path / "left.cell").write_text(" ".join(str(v) for v in (CELL * [1, 1, -1]).ravel()))
    ran = run("index", spots_file, "--cell", "left.cell", *QUICK, "--json")
    assert ran.summary["indexed"] == 3
    assert ran.err.count("left-handed") == 1


def test_a_cell_in_nanometres_gets_a_note(run, spots_file, tmp_path):
    (tmp_path / "nm.cell").write_text("3.1 4.2 5.3 90 103 90")
    ran = run("index", spots_file, "--cell", "nm.cell", *QUICK)
    assert ran.status == 0
    assert "nanometres" in ran.err


@pytest.mark.parametrize(
    ("output", "status", "word"),
    [
        ("nowhere/x.h5", 6, "nowhere"),
        (".", 2, "suffix"),
        ("x.mtz", 2, "suffix"),
        ("x", 2, "suffix"),
        ("", 2, "suffix"),
        ("directory.h5", 6, "directory.h5"),
    ],
)
def test_outputs_that_cannot_be_written(index, spots_file, tmp_path, output, status, word):
    (tmp_path / "directory.h5").mkdir()
    assert index(spots_file, "-o", output).is_one_line_error(status, word)


def test_the_output_is_never_an_input(index, spots_file, text_file, cell_file):
    for victim in (spots_file, text_file, cell_file):
        content = victim.read_bytes()
        ran = index(spots_file, text_file, "-o", victim, "--overwrite")
        assert ran.is_one_line_error(2, victim, "input")
        assert victim.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(index, spots_file, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    assert index(spots_file, "-o", "shut/x.h5").is_one_line_error(6, "shut/x.h5")


@pytest.mark.parametrize(
    "options",
    [
        "--max-output-cells 0",
        "--max-input-cells 0",
        "--max-spots 3",
        "--num-candidate-vectors 0",
        "--triml -0.1",
        "--trimh 0.6",
        "--triml 0.4",
        "--delta -0.5",
        "--num-halfsphere-points 1",
        "--num-halfsphere-points 8",
        "--num-angle-points -1",
        "--n-output-cells 0",
        "--contraction 1",
        "--contraction 0",
        "--max-dist 0",
        "--min-spots 3",
        "--n-iter -1",
        "--length-threshold -1",
        "--vr-min-spots 3",
        "--method best",
        "--accept all",
        "--polish full",
        "--preset slow",
        "--max-drift 5%",
        "--max-drift 5%,x",
        "--max-drift 0,3",
        "--max-drift 200%,3",
        "--max-drift 5%,95",
        "--max-drift nan,3",
        "--delta nan",
        "--max-dist inf",
        "--dist1 1e999",
        "--max-spots ten",
        "--max-spots 1.5",
        "--learn-cell -1",
        "--searches 0",
        "--max-log10-chance 1",
        "--d-min 0",
        "--d-min -2",
        "--d-min nan",
        "--d-max inf",
        "--d-min 5 --d-max 3",
        "--every 0",
        "--max-frames 0",
        "--max-frames -3",
        "--batch-size 0",
        "--threads 0",
        "--backend gpu",
        "--keep some",
        "--bogus 3",
    ],
)
def test_option_values_out_of_range(index, spots_file, options):
    assert index(spots_file, *options.split()).is_one_line_error(2, options.split()[0])


def test_options_that_exclude_each_other(index, spots_file):
    assert index(spots_file, "--json", "-o", "-").is_one_line_error(2, "--json", "-o -")
    assert index(spots_file, "--json", "--dry-run").is_one_line_error(2, "--json", "--dry-run")


@pytest.mark.parametrize(
    ("gpus", "cupy", "words"),
    [
        ((0, "no NVIDIA driver on this machine"), True, "no NVIDIA driver on this machine"),
        ((1, ""), False, "CuPy is not installed: pip install 'ffbidx[cuda12]'"),
    ],
)
def test_a_backend_that_is_not_there(index, spots_file, tmp_path, monkeypatch, gpus, cupy, words):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: gpus)
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.driver_cuda", lambda: (12, 4))
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.has_cupy", lambda: cupy)
    for options in (["--backend", "cuda"], ["--device", "0"], ["--backend", "cuda", "--device", "0"]):
        assert index(spots_file, *options, "-o", "x.h5").is_one_line_error(4, words)
        assert not (tmp_path / "x.h5").exists()


def test_a_device_for_a_backend_without_any(index, spots_file):
    assert index(spots_file, "--backend", "cpu", "--device", "0").is_one_line_error(2, "--device", "backend cpu")


def test_why_the_cpu_computes_is_said_to_who_asks(index, spots_file, monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: (0, "no GPU in this test"))
    line = "computing on the CPU: no GPU in this test\n"
    assert index(spots_file, "--batch-size", "1", "--overwrite", "-v").err.count(line) == 1
    assert line not in index(spots_file, "--overwrite").err
    assert line not in index(spots_file, "--backend", "cpu", "--overwrite", "-v").err
    assert index(spots_file, "--quiet", "--overwrite").err == ""


def test_no_input(run):
    assert run("index").is_one_line_error(2, "INPUT")


def test_a_bug_is_one_line_and_debug_shows_it(index, spots_file, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("ffbidx_core.devices.devices.index_frames", broken)
    ran = index(spots_file)
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert "internal error" in ran.err
    assert "--debug" in ran.err
    assert "Traceback" in index(spots_file, "--debug").err
