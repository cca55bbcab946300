"""The crystals and failed frames that a report lists, its example frames, and the command line of the run."""

import shlex
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_cli.commands.index import command
from ffbidx_core.diagnose.columns import read_columns
from ffbidx_core.report import rows as rows_module
from ffbidx_core.report.command_line import command_line
from ffbidx_core.report.examples import chosen
from ffbidx_core.report.page import page
from ffbidx_core.report.report import make_report
from ffbidx_core.report.rows import crystal_rows, failed_rows, strangeness
from tests.helpers.results_files import results_of, write_results

MIXED = [1, 0, 2, 1, 1, 3, 0, 1] * 12


@pytest.fixture
def found(tmp_path):
    return read_columns(write_results(tmp_path / "run.h5", results_of(MIXED)))


def test_all_crystals_and_failed_frames_of_a_short_run(found):
    crystals, failed = crystal_rows(found), failed_rows(found)
    assert (len(crystals.rows), crystals.n_all) == (108, 108)
    assert [int(row[0]) for row in crystals.rows] == np.repeat(np.arange(96), MIXED).tolist()
    assert [int(row[0]) for row in failed.rows] == np.flatnonzero(np.array(MIXED) == 0).tolist()
    a = crystals.head.index("a")
    assert [float(row[a]) for row in crystals.rows] == pytest.approx(found.crystal_parameters[:, 0], abs=0.006)
    assert all(len(row) == len(crystals.head) for row in crystals.rows)


def test_the_strangest_of_a_long_run(found, monkeypatch):
    monkeypatch.setattr(rows_module, "MOST_ROWS", 3)
    parameters = found.crystal_parameters.copy()
    parameters[40, 1] *= 1.05
    odd = replace(found, crystal_parameters=parameters)
    assert np.argmax(strangeness(odd)) == 40
    listed = crystal_rows(odd)
    assert (len(listed.rows), listed.n_all) == (3, 108)
    assert f"{parameters[40, 1]:.2f}" in [row[listed.head.index("b")] for row in listed.rows]


def test_the_tables_are_in_the_page(tmp_path):
    report = make_report(write_results(tmp_path / "run.h5", results_of(MIXED)))
    text = page(report).decode()
    assert text.count("data-table") == 2 + 1  # two tables, and the script that finds them
    assert "All 108 crystals." in text
    assert "All 24 frames." in text


def test_examples_are_the_surest_a_typical_the_most_doubtful_and_one_without(found):
    frames = chosen(found)
    assert list(frames) == ["best", "typical", "worst", "unindexed"]
    frame = np.repeat(np.arange(96), MIXED)
    assert frames["best"][0] == frame[np.argmin(found.log10_false)]
    assert frames["worst"][0] == frame[np.argmax(found.log10_false)]
    failed = np.flatnonzero(np.array(MIXED) == 0)
    assert frames["unindexed"][0] == failed[np.argmax(found.n_spots[failed])]


def test_a_run_without_crystals_has_a_page(tmp_path):
    report = make_report(write_results(tmp_path / "none.h5", results_of([0] * 20)))
    assert report.crystals.rows == []
    assert report.failed.n_all == 20
    assert "No crystal was found." in page(report).decode()
    for picture in report.pictures:
        for axes in picture.figure.axes:
            low, high = axes.get_xlim()
            assert low < high


def test_the_command_line_asks_for_the_same_run(run_config):
    words = shlex.split(command_line(run_config))
    assert words[:3] == ["ffbidx", "index", "a b.h5"]
    assert command_line({}) == ""
    context = command.make_context("index", words[2:])
    for name, value in (
        ("learn_beam", False),
        ("max_drift", (0.04, 2.0)),
        ("beam_shift", (0.5, -1.0)),
        ("retry", True),
        ("wavelength", 1.30001234),
        ("distance", 93.0),
    ):
        assert context.params[name] == value
    assert "--learn-cell" not in words
    assert "--preset" not in words


@pytest.fixture
def run_config(tmp_path, monkeypatch):
    """The options of a run as its outputs record them."""
    monkeypatch.chdir(tmp_path)
    from ffbidx_cli.options import request_of
    from ffbidx_core.run.request import RunRequest

    given = ["a b.h5", "--cell", "79,79,38,90,90,90", "--no-learn-beam", "--max-drift", "4%,2", "--beam-shift", "0.5",
             "-1", "--retry", "--wavelength", "1.30001234", "--distance", "93"]  # fmt: skip
    return request_of(command.make_context("index", given).params, RunRequest).options(["a b.h5"])
