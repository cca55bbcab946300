"""`ffbidx index --retry`, and what is said of frames without a crystal."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.reason import FrameReason, Rung
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.simulate import Scenario, simulate, write_frames
from tests.helpers.runs.faults import run as run_job

SCENARIO = Scenario(cells=((79, 79, 38, 90, 90, 90),), n_spots=(12, 14), false_spots=(40, 60), blank_share=0.2)
CELL = np.diag([79.0, 79.0, 38.0])
OPTIONS = ("--cell", "79,79,38,90,90,90", "--learn-cell", "0")


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Hard frames, their false spots weaker than the true ones."""
    path = tmp_path_factory.mktemp("hard") / "hard.h5"
    frames = simulate(SCENARIO, 30)
    write_frames(str(path), replace(frames, intensity=frames.intensity * np.where(frames.lattice < 0, 0.5, 1)))
    return path


def test_what_further_tries_gain_is_said_and_kept(run, spots):
    once = run("index", spots, *OPTIONS, "-o", "once.h5", "--json")
    ran = run("index", spots, *OPTIONS, "-o", "again.h5", "--json", "--retry")
    assert (once.status, ran.status) == (0, 0), ran.err
    assert "indexed by retry" not in once.err
    assert list(ran.summary["rungs"]) == ["first_try", "strongest_spots", "low_resolution", "denser_sampling"]
    assert ran.summary["rungs"]["first_try"] == once.summary["indexed"]
    gained = ran.summary["indexed"] - once.summary["indexed"]
    assert gained >= 4
    assert f"indexed by retry  {gained}: strongest spots " in ran.err
    results = read_results("again.h5")
    indexed = results.status == FrameStatus.INDEXED
    counts = np.bincount(results.rung[indexed], minlength=len(Rung))
    assert dict(zip(ran.summary["rungs"], counts.tolist(), strict=True)) == ran.summary["rungs"]
    assert not results.rung[~indexed].any()
    assert json.loads(results.header.parameters)["retry"] is True


def test_why_frames_have_no_crystal_is_said_and_counted(run, spots):
    ran = run("index", spots, *OPTIONS, "-o", "x.h5", "--json")
    results = read_results("x.h5")
    counts = np.bincount(results.reason, minlength=len(FrameReason))
    assert [ran.summary["reasons"][reason.name.lower()] for reason in FrameReason if reason] == counts[1:].tolist()
    assert counts[FrameReason.NO_VECTOR] > 0
    assert f"why not   no vector {counts[FrameReason.NO_VECTOR]}" in ran.err


@pytest.mark.parametrize("only", ["--frames", "--failed"])
def test_a_line_for_each_frame(run, spots, only):
    run("index", spots, *OPTIONS, "-o", "x.h5", "--retry")
    results = read_results("x.h5")
    shown = np.arange(30) if only == "--frames" else np.flatnonzero(results.status)
    ran = run("table", "x.h5", only)
    head, *lines = ran.out.splitlines()
    (last,) = ran.err.splitlines()
    tried = [] if only == "--failed" else ["indexed", "by"]
    assert head.split() == ["frame", "spots", "crystals", "status", "reason", *tried]
    assert [line.split()[0] for line in lines] == [f"{spots}//{f}" for f in shown]
    for f, line in zip(shown, lines, strict=True):
        words = " ".join(line.split()[3:])
        if results.status[f]:
            assert words == f"not indexed {FrameReason(int(results.reason[f])).words}" + (" -" if tried else "")
        else:
            assert words == f"indexed - {Rung(int(results.rung[f])).words}"
    assert last.endswith("on 30 frames")
    ran = run("table", "x.h5", only, "--max-rows", 2)
    assert ran.err.splitlines()[-1].endswith(f"on 30 frames, {len(shown) - 2} more frames not shown")


@pytest.mark.parametrize("options", [("--batch-size", 1), ("--batch-size", 7, "--threads", 1)])
def test_the_batches_make_no_difference(run, spots, options, tmp_path):
    for name, more in (("one.h5", ()), ("two.h5", options)):
        assert run("index", spots, *OPTIONS, "--retry", "--max-frames", 12, "-o", name, *more).status == 0
    one, two = (read_results(tmp_path / name) for name in ("one.h5", "two.h5"))
    assert one.rung.any()
    for name in ("rung", "reason", "cells", "scores", "log10_chance", "rmsd"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_run_that_is_taken_up_ends_as_if_it_had_not_stopped(spots, tmp_path):
    settings = {
        "parameters": Parameters.preset("best", retry=True, learn_cell=0),
        "cells": CELL[None],
        "max_frames": 12,
        "batch_size": 4,
    }
    count = itertools.count(1)

    def dies(event):
        if next(count) == 2:
            raise KeyboardInterrupt

    run_job([Source(str(spots))], tmp_path / "whole.h5", **settings)
    with pytest.raises(KeyboardInterrupt):
        run_job([Source(str(spots))], tmp_path / "x.h5", progress=dies, **settings)
    outcome = run_job([Source(str(spots))], tmp_path / "x.h5", resume=True, **settings)
    assert read_results(tmp_path / "x.h5").rung.any()
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert sum(outcome.summary.reasons.values()) + outcome.summary.indexed == 12
    assert sum(outcome.summary.rungs.values()) == outcome.summary.indexed


def test_what_cannot_be_made_stricter_is_refused(run, spots):
    for options in (("--accept", "count"), ("--preset", "published")):
        ran = run("index", spots, *OPTIONS, "--retry", *options, "-o", "x.h5")
        assert ran.is_one_line_error(2, "--retry", "--accept count")
