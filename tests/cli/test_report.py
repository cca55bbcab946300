"""`ffbidx report` and `ffbidx show`."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.report.report import make_report

PNG, SVG = b"\x89PNG\r\n\x1a\n", b"<?xml"


@pytest.fixture
def results(index, spots_file):
    assert index(spots_file).status == 0
    return "spots.ffbidx.h5"


def test_a_page_and_its_summary(run, results):
    ran = run("report", results)
    assert ran.status == 0, ran.err
    assert ran.err == "report: spots.report.html\n"
    page = Path("spots.report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "spots.ffbidx.h5" in page
    assert ran.out.startswith("Next: ")
    assert ["frames", "3"] in [line.split() for line in ran.out.splitlines()]
    assert "100.0%" in ran.out
    assert "median of 3 crystals" in ran.out


def test_a_report_on_a_run_that_has_not_ended_names_its_results_as_they_were_typed(results):
    report = make_report(results, diagnose=False, shown_as="typed.h5")
    words = [report.path, *report.diagnosis, *(picture.caption for picture in report.pictures)]
    assert any("`ffbidx show typed.h5 0` draws it alone." in each for each in words)
    assert "Next: ffbidx diagnose typed.h5" in words
    assert not any(results in each for each in words)


def test_single_pictures(run, results):
    ran = run("report", results, "-o", "page.html", "--png", "pictures")
    assert ran.status == 0, ran.err
    written = {path.name: path.read_bytes() for path in Path("pictures").iterdir()}
    assert {"rate.png", "spots.png", "lattices.png", "status.png", "cell0_gamma.png", "rmsd.png"} <= set(written)
    assert all(data.startswith(PNG) for data in written.values())
    assert run("report", results, "-o", "other.html", "--png", "pictures").is_one_line_error(6, "already there")
    assert run("report", results, "-o", "other.html", "--png", "pictures", "--overwrite").status == 0


def test_outputs_are_not_replaced_unasked(run, results):
    Path("spots.report.html").write_text("mine")
    assert run("report", results).is_one_line_error(6, "spots.report.html")
    assert Path("spots.report.html").read_text() == "mine"
    assert run("report", results, "--overwrite").status == 0
    assert run("report", results, "-o", results, "--overwrite").is_one_line_error(2, results)
    assert run("report", results, "-o", "nowhere/page.html").is_one_line_error(6, "nowhere")


@pytest.mark.parametrize(("name", "start"), [(None, PNG), ("f.png", PNG), ("f.SVG", SVG)])
def test_a_frame_in_a_picture(run, results, name, start):
    ran = run("show", results, 1, *([] if name is None else ["-o", name]))
    assert ran.status == 0, ran.err
    assert ran.err == f"frame 1: {name or 'spots.frame1.png'}\n"
    assert Path(name or "spots.frame1.png").read_bytes().startswith(start)
    assert run("show", results, 1, *([] if name is None else ["-o", name])).is_one_line_error(6, "already there")


def test_a_frame_by_its_name(run, results, spots_file):
    assert run("show", results, f"{spots_file}//2").status == 0
    assert Path("spots.frame2.png").exists()


def test_frames_and_pictures_that_cannot_be(run, results):
    assert run("show", results, 3).is_one_line_error(2, results, "no frame 3", "0 to 2")
    assert run("show", results, 1, "-o", "f.gif").is_one_line_error(2, "f.gif", ".png")


def test_the_input_is_gone_or_another(run, results, spots_file):
    with h5py.File(spots_file, "a") as file:
        file["more"] = np.zeros(1000)
    assert run("show", results, 1).is_one_line_error(2, spots_file, "changed")
    spots_file.unlink()
    assert run("show", results, 1).is_one_line_error(2, spots_file, "no longer there")
    # The report needs the results only.
    assert run("report", results).status == 0


def test_spots_that_the_results_keep_need_no_input(run, index, spots_file):
    assert index(spots_file, "--keep-spots").status == 0
    assert run("show", "spots.ffbidx.h5", 1, "-o", "with.svg").status == 0
    spots_file.unlink()
    assert run("show", "spots.ffbidx.h5", 1, "-o", "without.svg").status == 0
    assert Path("with.svg").read_bytes() == Path("without.svg").read_bytes()


def test_files_that_are_no_results(run, spots_file, text_file):
    problems = {
        spots_file: "",
        text_file: "is text: only the HDF5 results of a run can be read here, which -o FILE.h5 writes",
        "nowhere.h5": "cannot be read: no such file or directory",
    }
    for bad, problem in problems.items():
        assert run("report", bad).is_one_line_error(2, bad, problem)
        assert run("show", bad, 0).is_one_line_error(2, bad, problem)


@pytest.mark.parametrize("arguments", [["report"], ["show", 0]])
def test_without_matplotlib(run, results, arguments, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(arguments[0], results, *arguments[1:]).is_one_line_error(2, "pip install 'ffbidx[report]'")


def test_only_pictures_load_matplotlib(results):
    code = (
        "import sys; from ffbidx_cli.main import main; main(['table', 'spots.ffbidx.h5']);"
        "main(['report', '--help']); main(['show', '--help']); sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_a_page_of_frames(run, results):
    ran = run("show", results)
    assert ran.status == 0, ran.err
    assert ran.err == "frames: spots.frames.html\n"
    assert Path("spots.frames.html").read_text().startswith("<!DOCTYPE html>")
    assert run("show", results).is_one_line_error(6, "already there")
    assert run("show", results, "-o", "x.png").is_one_line_error(2, "x.png", ".html")
    assert run("show", results, "--max-frames", 2, "-o", "two.html").status == 0
    assert "2 of 3 frames" in Path("two.html").read_text()


@pytest.mark.parametrize(("display", "opened"), [("", 0), (":0", 1)])
def test_a_page_opens_by_itself_on_a_desktop_only(run, results, monkeypatch, display, opened):
    # Over ssh xdg-open starts a text browser, which writes over the terminal.
    launched = []
    monkeypatch.setattr("click.launch", launched.append)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert run("show", results).status == 0
    assert len(launched) == opened
    assert run("show", results, "--open", "--overwrite").status == 0
    assert run("show", results, "--no-open", "--overwrite").status == 0
    assert len(launched) == opened + 1


@pytest.mark.parametrize(
    "arguments",
    [("report", "{results}", "-o", "{spots}"), ("convert", "{results}", "-o", "{spots}", "--format", "csv"),
     ("show", "{results}", "1", "-o", "{spots}"), ("merge", "{results}", "-o", "{spots}")],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_the_spots_of_a_run_are_not_replaced(run, results, spots_file, arguments):
    with open(spots_file, "rb") as file:
        before = file.read()
    ran = run(*(word.format(results=results, spots=spots_file) for word in arguments), "--overwrite")
    assert ran.status == 2
    with open(spots_file, "rb") as file:
        assert file.read() == before


def test_a_copy_beside_results_from_which_spots_are_read_is_not_replaced(run, results, spots_file):
    Path("other").mkdir()
    for name in (results, spots_file):
        Path("other", Path(name).name).write_bytes(Path(name).read_bytes())
    ran = run("convert", f"other/{results}", "-o", f"other/{Path(spots_file).name}", "--format", "csv", "--overwrite")
    assert ran.status == 2
