"""Shares of a run, on any machines, joined are the run."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core import read_results
from ffbidx_core.errors import UsageError
from ffbidx_core.read import Source, read_blocks
from ffbidx_core.read.results import read_run
from ffbidx_core.read.spans import parse_share, span_of
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.run.preparation import prepared
from ffbidx_core.run.request import RunRequest
from ffbidx_core.write import Output, PartsStore
from ffbidx_core.write.merge import merge
from tests.helpers.calls import start
from tests.helpers.frames import CELL
from tests.helpers.paths import ROOT
from tests.helpers.runs.faults import QUICK, assert_same, make_inputs


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def run(sources, path, number=None, of=1, **changes):
    usual = {"parameters": QUICK, "cells": CELL[None], "backend": "cpu", "threads": 1, "batch_size": 2}
    job = Job(sources, **(usual | changes))
    return index(job if number is None else job.share(number, of), store=PartsStore([Output(str(path))]))


@pytest.fixture(scope="module")
def whole(sources, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "x.h5"
    run(sources, path)
    return path


@pytest.fixture(scope="module")
def three(sources, tmp_path_factory):
    """The run in three shares."""
    folder = tmp_path_factory.mktemp("three")
    paths = [str(folder / f"{k}.h5") for k in (1, 2, 3)]
    for k, path in enumerate(paths, start=1):
        run(sources, path, k, 3)
    return paths


@pytest.mark.parametrize("of", [1, 2, 5, 20])
def test_shares_joined_are_the_run(sources, whole, tmp_path, of):
    paths = []
    for k in range(1, of + 1):
        paths.append(str(tmp_path / f"{k}.h5"))
        run(sources, paths[-1], k, of)
    ending = merge(paths[::-1], str(tmp_path / "out.h5"))
    assert ending.complete
    assert (tmp_path / "out.h5").read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.h5.parts").exists()


def test_contests_of_shares_add_up(sources, tmp_path):
    """Each share looks at frames of its own, so that more are looked at than of a whole run."""
    paths = [str(tmp_path / f"{k}.h5") for k in (1, 2)]
    for k, path in enumerate(paths, start=1):
        run(sources, path, k, 2, parameters=QUICK.replace(judge_frames=3))
    contest = merge(paths, str(tmp_path / "out.h5")).mark.contest
    assert contest.n_frames == 6
    assert contest == read_run(paths[0])[3].contest + read_run(paths[1])[3].contest
    assert not contest.is_lost


@settings(max_examples=60)
@given(of=st.integers(1, 30), every=st.integers(1, 4), most=st.none() | st.integers(1, 14), data=st.data())
def test_every_frame_is_in_one_share(sources, of, every, most, data):
    listed = data.draw(st.lists(st.sampled_from([*sources, Source(sources[0].path, 2)]), min_size=2, max_size=6))
    options = {"every": every, "max_frames": most}

    def frames(**more):
        found = list(read_blocks(listed, **options, **more))
        return [(source, index) for block in found for source, index in zip(block.sources, block.indices, strict=True)]

    joined = []
    for number in range(1, of + 1):
        span = span_of(listed, number, of, **options)
        part = frames(start=span.start, end=span.end)
        assert sum(index >= 0 for _, index in part) == span.n_frames
        joined += part
    assert joined == frames()


def test_gaps_doubles_and_others_are_named(sources, three, tmp_path):
    one, two, last = three
    out = str(tmp_path / "out.h5")
    for paths, says in (
        ([one, last], "the share 2/3 is missing; --allow-gaps"),
        ([last], r"the share 1/3 is missing \(and 1 more\)"),
        ([one, two, one], f"the share 1/3 is there twice: {one} and {one}"),
    ):
        with pytest.raises(UsageError, match=says):
            merge(paths, out)
    for name, changes, says in (
        ("a", {"parameters": QUICK.replace(max_spots=30)}, "max_spots was 40, is 30 here"),
        ("b", {"every": 2}, "every was 1, is 2 here"),
    ):
        other = str(tmp_path / f"{name}.h5")
        run(sources, other, 2, 3, **changes)
        with pytest.raises(UsageError, match=rf"{name}\.h5: does not go with .*1\.h5: {says}"):
            merge([one, other, last], out)
    other = str(tmp_path / "c.h5")
    run(sources, other, 1, 2)
    with pytest.raises(UsageError, match=r"is a share of 2, .* is one of 3"):
        merge([one, other], out)
    run(sources[:3], str(tmp_path / "d.h5"), 2, 3)
    with pytest.raises(UsageError, match="positions was 12, is 8 here"):
        merge([one, str(tmp_path / "d.h5"), last], out)
    assert not os.path.exists(out)


def test_versions_must_agree(sources, three, tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr("ffbidx_core.run.job.VERSION", "9.9")
        run(sources, str(tmp_path / "2.h5"), 2, 3)
    with pytest.raises(UsageError, match=r"2\.h5: does not go with .*1\.h5: ffbidx_version was .*, is 9\.9 here"):
        merge([three[0], str(tmp_path / "2.h5"), three[2]], str(tmp_path / "out.h5"))


def test_gaps_may_be_allowed(three, whole, tmp_path):
    ending = merge([three[2], three[0]], str(tmp_path / "out.h5"), allow_gaps=True)
    assert not ending.complete
    found, wanted = read_results(tmp_path / "out.h5"), read_results(whole)
    assert found.n_frames == read_results(three[0]).n_frames + read_results(three[2]).n_frames < wanted.n_frames
    with pytest.raises(UsageError, match="not the run"):
        index(
            Job([], QUICK, CELL[None], backend="cpu"), store=PartsStore([Output(str(tmp_path / "out.h5"))], resume=True)
        )


def test_what_old_shares_do_not_know_is_unknown_in_the_whole(three, whole, tmp_path):
    paths = [str(tmp_path / f"{k}.h5") for k in range(3)]
    for path, share in zip(paths, three, strict=True):
        shutil.copy(share, path)
        with h5py.File(path, "r+") as file:
            del file["crystal/log10_false"]
    merge(paths, str(tmp_path / "out.h5"))
    found, wanted = read_results(tmp_path / "out.h5"), read_results(whole)
    assert np.isnan(found.log10_false).all()
    assert np.isfinite(wanted.log10_false).all()
    assert_same(replace(found, log10_false=wanted.log10_false), wanted)


def test_runs_of_different_inputs_are_joined_in_the_order_given(sources, tmp_path):
    paths = []
    for k, source in enumerate((sources[2], sources[0])):
        paths.append(str(tmp_path / f"{k}.h5"))
        run([source], paths[-1], parameters=QUICK.replace(learn_cell=0))
    merge(paths, str(tmp_path / "out.h5"))
    run([sources[2], sources[0]], tmp_path / "both.h5", parameters=QUICK.replace(learn_cell=0))
    assert_same(read_results(tmp_path / "out.h5"), read_results(tmp_path / "both.h5"))
    with pytest.raises(UsageError, match=r"the input .*1\.h5 is in two files"):
        merge([paths[0], paths[0]], str(tmp_path / "again.h5"))


def test_a_file_without_reasons_is_joined_with_others_as_one_without_them(sources, tmp_path):
    paths = [str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]
    for path, half in zip(paths, (sources[:1], sources[2:]), strict=True):
        run(half, path)
    merge(paths, str(tmp_path / "with.h5"))
    assert read_results(tmp_path / "with.h5").reason.any()
    with h5py.File(paths[1], "r+") as file:
        del file["frame/reason"]
    merge(paths, str(tmp_path / "without.h5"))
    joined = read_results(tmp_path / "without.h5")
    assert joined.reason is None
    assert len(joined.rung) == joined.n_frames


def test_places_in_jobs_and_job_arrays():
    array = {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "8"}
    assert parse_share("3/8") == (3, 8)
    assert parse_share("slurm", array) == (6, 8)
    assert parse_share("slurm", array | {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "9"}) == (7, 9)
    assert parse_share("slurm", {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == (1, 4)
    # A part of an array, submitted again, keeps its shares or is refused.
    part = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_MAX": "7"}
    for some, words in (
        (part | {"SLURM_ARRAY_TASK_COUNT": "3"}, "are 3 between 3 and 7"),
        (part | {"SLURM_ARRAY_TASK_COUNT": "5"}, "are 5 between 3 and 7"),
        (dict.fromkeys(part, "5") | {"SLURM_ARRAY_TASK_COUNT": "1"}, "are 1 between 5 and 5"),
        (array | {"SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "4"}, "are 4"),
    ):
        with pytest.raises(UsageError, match=rf"{words}.* slurm/N"):
            parse_share("slurm", some)
    assert parse_share("slurm/8", part) == (5, 8)
    with pytest.raises(UsageError, match="SLURM_ARRAY_TASK_ID is 5, expected 1 to 4"):
        parse_share("slurm/4", part)
    for text in ("slurm", "slurm/3", "0/3", "4/3", "3", "a/b", "-1/2"):
        with pytest.raises(UsageError, match="--shard"):
            parse_share(text, {})


def test_the_recipe_for_slurm(sources, tmp_path):
    """The scripts of docs/slurm, by a stand-in for srun: every task is stopped once and queued again."""
    (tmp_path / "protein.cell").write_text("31 42 53 90 103 90\n")
    (tmp_path / "data").mkdir()
    for source in sources:
        if os.path.exists(source.path):
            os.link(source.path, tmp_path / "data" / os.path.basename(source.path))
    tools = tmp_path / "bin"
    tools.mkdir()
    quick = "--num-halfsphere-points 1024 --learn-cell 0 --backend cpu"
    program = f'{sys.executable} -c "import sys; from ffbidx_cli.main import main; sys.exit(main())"'
    scripts = {
        "srun": f"[ -e $SLURM_ARRAY_TASK_ID ] || {{ touch $SLURM_ARRAY_TASK_ID; exit 75; }}\n"
        f'shift; sub=$1; shift; exec {program} $sub "$@" {quick}',
        "ffbidx": f'exec {program} "$@"',
        "scontrol": 'echo "$@" >> requeued',
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/bash\n{script}\n")
        (tools / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    environment |= {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "2"}
    for task, status in (("1", 75), ("2", 75), ("2", 0), ("1", 0)):
        done = subprocess.run(
            ["bash", ROOT / "docs/slurm/index.sbatch"],
            cwd=tmp_path,
            env=environment | {"SLURM_ARRAY_TASK_ID": task},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
    done = subprocess.run(
        ["bash", ROOT / "docs/slurm/merge.sbatch"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = read_results(tmp_path / "run.h5")
    assert (results.n_frames, results.complete) == (12, True)
    assert (tmp_path / "requeued").read_text() == "requeue 7\n" * 2


def test_the_command(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.cell").write_text("31 42 53 90 103 90\n")
    quick = ["--cell", "c.cell", "--num-halfsphere-points", 1024, "--learn-cell", 0, "--backend", "cpu", "-q"]
    for k, status in ((1, 3), (2, 0)):
        process = start("index", *[s.path for s in sources], *quick, "--shard", f"{k}/2", "-o", "r.h5")
        _, err = process.communicate(timeout=60)
        assert process.returncode == status, err
    process = start("merge", "r.1-of-2.h5", "r.2-of-2.h5", "-o", "r.h5")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == "complete results of 2 files: r.h5\n"
    assert read_results("r.h5").n_frames == 13


def test_a_share_beside_those_of_another_number_is_refused(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = RunRequest(str(sources[0].path), CELL, outputs="run.h5", shard="1/2")
    # A share that has not ended has only the folder with its saved parts.
    for name in ("run.3-of-8.h5", "run.3-of-8.h5.parts"):
        (tmp_path / name).write_text("")
        wanted = rf"--shard 1/2: {name} is of a share of 8: .* --shard K/8 or slurm/8"
        with pytest.raises(UsageError, match=wanted), prepared(request):
            pass
        (tmp_path / name).unlink()
    (tmp_path / "run.3-of-8.h5").write_text("")
    with prepared(replace(request, shard="1/8")) as part:
        assert list(part.outputs) == ["run.1-of-8.h5"]
