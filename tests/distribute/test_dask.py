"""Shards of a run on the workers of a dask cluster on this machine, some of which die."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from calls import start
from faults.runs import QUICK, assert_same, flip_a_bit, make_inputs, run
from frames import CELL, frame

import ffbidx_core.shards as shards
from ffbidx_core import read_results
from ffbidx_core.distribute import dask_cluster, dask_worker
from ffbidx_core.distribute.dask_cluster import open_cluster
from ffbidx_core.distribute.shard import index_shard
from ffbidx_core.distribute.worker import DeviceFault
from ffbidx_core.errors import BackendUnavailable, InputError, NothingProcessed, ParameterError, UsageError
from ffbidx_core.job import Job
from ffbidx_core.read import Source
from ffbidx_core.write import Output, PartsStore

distributed = pytest.importorskip("distributed")

FRAMES = 48


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"), FRAMES)


@pytest.fixture(scope="module")
def wanted(sources, tmp_path_factory):
    """The output of one process."""
    output = tmp_path_factory.mktemp("wanted") / "x.h5"
    run(sources, output)
    return output


@pytest.fixture(scope="module")
def cluster():
    # Whatever the machine: two deaths are enough to be told of.
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), \
            open_cluster("local:2", backend="cpu", threads=1) as made:
        yield made


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four frames and fewer, so that files and cells begin and end in their midst."""
    monkeypatch.setattr(shards, "FIRST_FRAMES", 4)
    monkeypatch.setattr(shards, "SHARD_FRAMES", 4)
    monkeypatch.setattr(shards, "FEWEST_FRAMES", 1)


def run_on(cluster, sources, output, *, resume=False, **changes):
    usual = {"cells": CELL[None], "backend": "cpu", "threads": 1, "batch_size": 3, "save_seconds": 0.0}
    options = {name: changes.pop(name) for name in ("progress", "stop") if name in changes}
    job = Job(**({"sources": sources, "parameters": QUICK, "output": str(output)} | usual | changes))
    return shards.index_on(cluster, job, store=PartsStore([Output(str(output))], resume=resume), **options)


def test_results_are_those_of_one_process(cluster, sources, wanted, tmp_path, small_shards):
    events = []
    summary = run_on(cluster, sources, tmp_path / "x.h5", progress=events.append)
    assert (tmp_path / "x.h5").read_bytes() == wanted.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    one = run(sources, tmp_path / "one.h5").summary.as_dict()
    for found in (one, found := summary.as_dict()):
        for name in ("seconds", "frames_per_second", "output"):
            del found[name]
    assert found == one
    assert [event.frames for event in events] == sorted(event.frames for event in events)
    assert events[-1].frames == FRAMES + 1


@pytest.mark.parametrize("changes", [
    {"every": 3, "max_frames": 11}, {"keep_all": True, "max_frames": 9}, {"parameters": QUICK.replace(learn_cell=0)},
])
def test_parts_of_the_frames_and_other_settings(cluster, sources, tmp_path, small_shards, changes):
    check(cluster, sources, tmp_path, **changes)


def check(cluster, sources, folder, **changes):
    """Compare with one process, byte for byte."""
    run_on(cluster, sources, folder / "x.h5", **changes)
    run(sources, folder / "one.h5", **changes)
    assert (folder / "x.h5").read_bytes() == (folder / "one.h5").read_bytes()


def test_files_with_cells_of_their_own(cluster, tmp_path, small_shards):
    sources = make_inputs(tmp_path, 12)
    for number, source in enumerate(source for source in sources if os.path.exists(source.path)):
        with h5py.File(source.path, "a") as file:
            file["cells"] = CELL[None] * (1 + 0.001 * number)
    check(cluster, sources, tmp_path, cells=None)


def test_a_share_of_the_frames(cluster, sources, tmp_path, small_shards):
    """Job arrays may have clusters of their own."""
    for number in (1, 2):
        job = Job(sources, QUICK, CELL[None], backend="cpu").shard(number, 2)
        check(cluster, sources, tmp_path, span=job.span)
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("most", [None, 20])
def test_a_file_that_breaks_off(cluster, tmp_path, small_shards, most):
    """Shards that were planned behind the break are given up, and planned anew."""
    pieces = [frame(seed, 50)[1] for seed in range(20)]
    for name in "abc":
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            spots = file.create_dataset("spots", data=np.concatenate(pieces), chunks=(50, 3), fletcher32=True)
            spots.attrs["units"] = "1/angstrom"
            file["offsets"] = np.arange(21) * 50
            at = spots.id.get_chunk_info(5).byte_offset
        if name != "c":
            image = bytearray((tmp_path / f"{name}.h5").read_bytes())
            image[at] ^= 4
            (tmp_path / f"{name}.h5").write_bytes(image)
    sources = [Source(str(tmp_path / f"{name}.h5")) for name in "abc"]
    check(cluster, sources, tmp_path, max_frames=most)
    results = read_results(tmp_path / "x.h5")
    assert (results.index == -1).sum() == 2
    assert results.n_frames == (5 + 1 + 5 + 1 + 20 if most is None else most + 2)


def test_the_only_file_cannot_be_used(cluster, tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n no more")
    with pytest.raises(InputError, match=r"x\.h5: "):
        run_on(cluster, [Source(str(path))], tmp_path / "out.h5")
    with pytest.raises(NothingProcessed):
        run_on(cluster, [Source(str(path)), Source(str(tmp_path / "none.h5"))], tmp_path / "out.h5")


class Dies:
    """Devices that end their process in the second batch of a shard, in one way or another."""

    def __init__(self, devices, how):
        self._devices, self._how, self._batches = devices, how, 0

    def __getattr__(self, name):
        return getattr(self._devices, name)

    def index_frames(self, *arguments, **keywords):
        self._batches += 1
        if self._batches == 2 and self._how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._batches == 2:
            raise DeviceFault("an illegal memory access was encountered")
        return self._devices.index_frames(*arguments, **keywords)


def killed_once(devices, shard):
    return dies_once(devices, shard, "killed")


def fails_once(devices, shard):
    return dies_once(devices, shard, "fails")


def dies_once(devices, shard, how):
    with contextlib.suppress(FileExistsError):
        open(Path(shard.job.sources[0].path).parent / how, "x").close()
        devices = Dies(devices, how)
    return index_shard(devices, shard)


def killed_at_frame_20(devices, shard):
    start = shard.job.span.start
    return index_shard(Dies(devices, "killed") if start.taken <= 20 < start.taken + 4 else devices, shard)


def pids(cluster):
    return set(cluster._client.run(os.getpid).values())


@pytest.mark.parametrize("function", [killed_once, fails_once])
def test_a_worker_that_dies_in_the_middle(cluster, sources, wanted, tmp_path, monkeypatch, small_shards, function):
    before = pids(cluster)
    monkeypatch.setattr(shards, "index_shard", function)
    run_on(cluster, sources, tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_bytes() == wanted.read_bytes()
    assert before - pids(cluster)


def test_a_frame_that_kills_every_worker_ends_the_run(
    cluster, sources, wanted, tmp_path, monkeypatch, small_shards
):
    output = tmp_path / "x.h5"
    monkeypatch.setattr(shards, "index_shard", killed_at_frame_20)
    says = r"2 workers of dask died one after the other with the 4 frames up to .*1\.h5//7: see their logs; with --resume"
    with pytest.raises(BackendUnavailable, match=says) as caught:
        run_on(cluster, sources, output, save_seconds=1e9)
    assert caught.value.exit_status == 4
    assert not output.exists()
    assert (tmp_path / "x.h5.parts/000000.h5").exists()
    monkeypatch.undo()
    run_on(cluster, sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()
