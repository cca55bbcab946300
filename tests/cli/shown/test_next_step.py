"""What to do next stands first, as a whole command line."""

import os
import shlex
import signal
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_cli import console
from ffbidx_cli.commands.live.serve import lines_of
from ffbidx_cli.next_step import NextStep, after_run
from ffbidx_core.model.detector.distortion import Distortion
from ffbidx_core.model.records.remedy import Remedy
from ffbidx_core.read.cells.input_cell import read_input_cell
from ffbidx_core.run.account import Account
from ffbidx_core.run.tally import Tally
from tests.helpers.calls import QUICK, write_spots


def blank(n_frames: int) -> list:
    return [np.random.default_rng(seed).uniform(-0.3, 0.3, (40, 3)) for seed in range(n_frames)]


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch):
    """A slow machine prints no progress lines in front of the summary."""
    monkeypatch.setattr(console, "HEARTBEAT", np.inf)


def test_after_a_good_run_the_report(index, spots_file):
    ran = index(spots_file)
    assert ran.err.splitlines()[0] == "next: ffbidx report spots.ffbidx.h5"


def test_a_run_without_crystals_begins_with_the_diagnosis_and_why(index, run, tmp_path):
    write_spots(tmp_path / "blank.h5", blank(4))
    ran = index("blank.h5", "-o", "a b.h5")
    first, second = ran.err.splitlines()[:2]
    assert first == "next: ffbidx diagnose 'a b.h5'"
    assert second.startswith("why:  no frame could be indexed; the commonest reason is no vector: ")
    assert run(*shlex.split(first)[2:]).status == 0
    summary = index("blank.h5", "-o", "c.h5", "--json").summary
    assert summary["next"] == "ffbidx diagnose c.h5"
    assert summary["why"].startswith("no frame could be indexed")


def test_a_stopped_run_says_how_to_go_on(index, run, cell_file, tmp_path, monkeypatch):
    write_spots(tmp_path / "blank.h5", blank(6))
    monkeypatch.setattr(Account, "progress", stopping_once(Account.progress))
    ran = index("blank.h5", "--batch-size", 2, "--save-every", 0)
    assert ran.status == 130, ran.err
    (line,) = (line for line in ran.err.splitlines() if line.startswith("next: "))
    words = shlex.split(line)[1:]
    assert words == ["ffbidx", "index", "--cell", str(cell_file), *QUICK, "blank.h5", "--batch-size", "2",
                     "--save-every", "0", "--resume"]  # fmt: skip
    ran = run(*words[1:])
    assert ran.status == 0
    assert "next: ffbidx diagnose" in ran.err


def stopping_once(progress):
    """A method that sends this process the signal of Ctrl-C the first time that it is called."""
    sent = []

    def stopping(self, *arguments, **options):
        if not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return progress(self, *arguments, **options)

    return stopping


@pytest.mark.parametrize(
    "text", ["79 79 38 90 90 90", "79,79,38,90,90,90", " 79, 79, 38  90 90 90 ", "79 79 38 90 90 90 P"]
)
def test_a_cell_with_blanks_or_commas(text):
    np.testing.assert_array_equal(read_input_cell(text).cell, read_input_cell("79,79,38,90,90,90").cell)


def test_what_a_short_cell_lacks_is_named(run, spots_file):
    ran = run("index", spots_file, "--cell", "79,79,38")
    assert ran.is_one_line_error(2, "--cell 79,79,38", "has 3 numbers", "alpha, beta, gamma")


def test_an_output_that_is_there_names_both_ways_on(index, spots_file):
    index(spots_file)
    assert index(spots_file).is_one_line_error(6, "spots.ffbidx.h5", "--overwrite", "--resume")


@pytest.mark.parametrize(
    ("typed", "meant"), [("indx", "'ffbidx index'"), ("Report", "'ffbidx report'"), ("zzz", "index, ")]
)
def test_a_mistyped_command_gets_a_suggestion(run, typed, meant):
    assert run(typed).is_one_line_error(2, typed, meant)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("--cel", "--cell"), ("--ouput", "--output"), ("--dmin", "--d-min"), ("--no-lern-beam", "--no-learn-beam")],
)
def test_a_mistyped_option_gets_the_most_similar_one(run, typed, meant):
    ran = run("index", "x.h5", typed, "3")
    assert ran.is_one_line_error(2, f"no such option {typed}; did you mean {meant}? (see 'ffbidx index --help')")
    assert run("index", "x.h5", "--zzzzzz").is_one_line_error(2, "no such option --zzzzzz (see")


def test_crystals_that_are_not_to_be_believed_ask_for_the_diagnosis(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.h5").touch()
    empty = Tally().summary([], method="ifssr", backend="cpu", device="", output="run.h5", complete=True)
    assert after_run(empty, []) == NextStep("", "")
    good = replace(empty, frames=1, indexed=1)
    assert after_run(good, []) == NextStep("ffbidx report run.h5", "")
    doubted = after_run(replace(good, doubt="other lattices do as well"), [])
    assert doubted.command == "ffbidx diagnose run.h5"
    assert "other lattices do as well" in doubted.why


FEW = replace(
    Tally().summary([], method="ifssr", backend="cpu", device="", output="run.tsv", complete=True),
    frames=4,
    reasons={"too_few_spots": 4},
)
"""The summary of a run with a text table as its output and too few spots on all frames."""


def test_of_several_outputs_the_results_file_is_diagnosed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.h5").touch()
    step = after_run(FEW, ["index", "x.h5", "-o", "run.tsv", "-o", "run.h5"], ["run.tsv", "run.h5"])
    assert step.command == "ffbidx diagnose run.h5"


def test_a_distorted_detector_asks_for_its_panels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.h5").touch()
    summary = Tally().summary([], method="ifssr", backend="cpu", device="", output="a b.h5", complete=True)
    tilted = replace(summary, frames=1, indexed=1, distortion=Distortion(tilt_x=0.01))
    step = after_run(tilted, ["index", "x.h5", "-g", "det.geom", "-o", "a b.h5"])
    assert step.command == "ffbidx geometry 'a b.h5' -g det.geom -o refined.geom"
    assert "tilted" in step.why
    assert after_run(tilted, ["index", "x.h5"]).command == "ffbidx report 'a b.h5'"


def test_without_a_results_file_the_command_makes_one_for_the_diagnosis():
    for arguments in (["-o", "run.tsv"], ["-orun.tsv"], ["--output=run.tsv"], ["-o", "run", "--format", "text"]):
        step = after_run(FEW, ["index", "x.h5", *arguments, "--cell", "a b.cell"], ["run.tsv"])
        assert step.command == "ffbidx index x.h5 --cell 'a b.cell'"
        assert step.why.startswith("no frame could be indexed; the commonest reason is too few spots")


def test_limits_of_resolution_that_leave_too_few_spots_are_named():
    step = after_run(FEW, ["index", "x.h5", "--d-min", "15", "--d-max=20", "-o", "run.tsv"])
    assert step.command == "ffbidx index x.h5 -o run.tsv --overwrite"
    assert step.why.endswith("the commonest reason is too few spots within --d-min and --d-max")


@pytest.mark.parametrize("typed", [["--wavelength", "1.2"], ["--wavelength=1.2"]])
def test_a_remedy_takes_the_place_of_what_was_typed(typed):
    """The doubt and the reason of the remedy are both given."""
    summary = replace(
        Tally().summary([], method="ifssr", backend="cpu", device="", output="a.h5", complete=True),
        remedy=Remedy("--wavelength", ["1"], "the wavelength is too long"),
        doubt="not to be believed",
    )
    step = after_run(summary, ["index", "s.h5", "--cell", "79,79,38,90,90,90", *typed])
    assert step.command == "ffbidx index s.h5 --cell 79,79,38,90,90,90 --wavelength 1 --overwrite"
    assert step.why == "not to be believed; the wavelength is too long"


def test_a_served_run_that_went_wrong_names_the_diagnosis(tmp_path):
    (tmp_path / "live.h5").write_text("")
    output = str(tmp_path / "live.h5")
    right = Tally().summary([], method="", backend="", device="", output=output, complete=True)
    right = replace(right, frames=4, indexed=4, crystals=4)
    assert list(lines_of(right)) == [f"4 frames, 100.0% indexed, 4 crystals; {output}"]
    _, command, why = lines_of(replace(right, doubt="not to be believed"))
    assert (command, why) == (f"next: ffbidx diagnose {output}", "why: not to be believed")
    assert len(list(lines_of(replace(right, doubt="not to be believed", complete=False)))) == 1
