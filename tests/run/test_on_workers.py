"""Workers that read, compute and save tasks of a run, here in this process and in processes of their own."""

import functools
import threading
from concurrent.futures import Future

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.backends import get_backend
from ffbidx_core.devices import OneDevice, Workers
from ffbidx_core.devices.workers import DeviceWorkers, Doing
from ffbidx_core.errors import BackendUnavailable
from ffbidx_core.run import pipeline
from ffbidx_core.run.collector import Collector
from ffbidx_core.run.job import Job
from ffbidx_core.run.spread import on_workers
from ffbidx_core.write.parts import folder
from ffbidx_core.write.stores import MemoryStore, TableStream
from tests.devices.test_workers import FailsAfter
from tests.helpers.frames import CELL
from tests.helpers.runs.faults import QUICK, assert_same, make_inputs, run


class Here(OneDevice):
    """A worker in this process."""

    n_workers = n_at_once = 1

    def __init__(self):
        super().__init__(get_backend("cpu", threads=1))

    def submit(self, what, function, *arguments):
        done = Future()
        done.set_result(function(self, *arguments))
        return Doing(done)

    def warm_up(self, function, *arguments):
        assert function(self, *arguments) is None

    def seen(self, device):
        assert device == self.device

    def release(self):
        """Do nothing."""


class Pieces(MemoryStore):
    """A store in memory that takes results in pieces."""

    keeps_all = False


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def wanted(sources, tmp_path_factory):
    output = tmp_path_factory.mktemp("wanted") / "x.h5"
    run(sources, output)
    return output


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    for name in ("FIRST_FRAMES", "TASK_FRAMES"):
        monkeypatch.setattr(on_workers, name, 4)


def job_of(sources, **changes):
    usual = {"parameters": QUICK, "cells": CELL[None], "backend": "cpu", "threads": 1, "batch_size": 3}
    return Job(sources, **(usual | changes))


def test_results_come_back_where_the_worker_sees_no_folder(sources, wanted, tmp_path, monkeypatch):
    """As from another machine, or into memory."""
    store = Pieces()
    pipeline.index(job_of(sources), devices=Here(), store=store)
    joined = [results.index for results in store.pieces()]
    np.testing.assert_array_equal(np.concatenate(joined), read_results(wanted).index)
    lines = []
    pipeline.index(job_of(sources), devices=Here(), store=TableStream(lines.append))
    run(sources, tmp_path / "x.tsv")
    assert b"".join(lines) == (tmp_path / "x.tsv").read_bytes()


def test_the_batches_of_tasks_are_whole(sources, monkeypatch):
    monkeypatch.setattr(on_workers, "FIRST_FRAMES", 8)
    monkeypatch.setattr(on_workers, "TASK_FRAMES", 8)
    monkeypatch.setattr(on_workers, "FEWEST_FRAMES", 1)
    sizes = []

    class Noted(Here):
        def submit(self, what, function, task):
            sizes.append(task.job.span.n_frames)
            return super().submit(what, function, task)

    pipeline.index(job_of(sources), devices=Noted(), store=Pieces())
    assert sum(sizes) == 12
    assert sizes[0] == 6
    assert all(size < 3 or size % 3 == 0 for size in sizes)


def test_a_process_that_has_failed_is_replaced_by_the_others(sources, wanted, tmp_path, monkeypatch, caplog):
    makers = [functools.partial(FailsAfter, 4), functools.partial(get_backend, "cpu", None, 1)]
    monkeypatch.setattr(pipeline, "open_devices", lambda *choice: DeviceWorkers(makers))
    run(sources, tmp_path / "x.h5")
    assert_same(read_results(tmp_path / "x.h5"), read_results(wanted), device=False)
    assert any("an illegal memory access was encountered" in message for message in caplog.messages)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_a_run_whose_processes_have_all_failed_is_resumed(sources, wanted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "open_devices", lambda *choice: DeviceWorkers([functools.partial(FailsAfter, 5)]))
        with pytest.raises(BackendUnavailable, match=r"every device has failed: see the warnings above$"):
            run(sources, tmp_path / "x.h5")
    run(sources, tmp_path / "x.h5", resume=True)
    assert_same(read_results(tmp_path / "x.h5"), read_results(wanted), device=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_the_queue_of_the_parts_that_wait_for_the_disk_is_shown(sources, monkeypatch):
    is_shown, adopt = threading.Event(), Collector.adopt

    def late(*arguments):
        assert is_shown.wait(5)
        adopt(*arguments)

    monkeypatch.setattr(Collector, "adopt", late)
    pipeline.index(
        job_of(sources),
        devices=Here(),
        store=Pieces(),
        progress=lambda event: is_shown.set() if event.to_write else None,
    )
    assert is_shown.is_set()


class LastsFor(OneDevice):
    """Devices in this process that are all gone after some batches."""

    def __init__(self, batches):
        super().__init__(get_backend("cpu", threads=1))
        self.left = batches

    def index_frames(self, *arguments, **keywords):
        self.left -= 1
        if self.left < 0:
            raise BackendUnavailable("every device has failed")
        return super().index_frames(*arguments, **keywords)


def test_what_was_computed_here_before_all_devices_failed_is_saved(sources, tmp_path, monkeypatch):
    without = QUICK.replace(learn_cell=0)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "open_devices", lambda *choice: LastsFor(3))
        with pytest.raises(BackendUnavailable, match="with --resume the run continues after the 6 frames done"):
            run(sources, tmp_path / "x.h5", save_seconds=60.0, parameters=without)
    (part,) = (tmp_path / "x.h5.parts").glob("0*.h5")
    assert read_results(part).n_frames == 6
    run(sources, tmp_path / "x.h5", resume=True, parameters=without)
    run(sources, tmp_path / "wanted.h5", parameters=without)
    assert_same(read_results(tmp_path / "x.h5"), read_results(tmp_path / "wanted.h5"))


def test_a_run_that_computed_nothing_before_all_devices_failed_has_nothing_to_continue(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "open_devices", lambda *choice: LastsFor(0))
    with pytest.raises(BackendUnavailable, match=r"^every device has failed$"):
        run(sources, tmp_path / "x.h5")


def test_a_message_about_units_is_shown_once_wherever_the_frames_are_computed(sources):
    job = job_of(sources, cells=CELL[None] / 20, parameters=QUICK.replace(learn_cell=0), max_frames=12)
    one, others = pipeline.index(job), pipeline.index(job, devices=Here(), store=Pieces())
    assert sum("in nanometres" in problem for problem in one.summary.problems) == 1
    assert sorted(others.summary.problems) == sorted(one.summary.problems)


class Fails(Here):
    """A worker that is gone when a run learns, and perhaps the signal that stops the run, too, came to it."""

    def __init__(self, stop=None):
        super().__init__()
        self._stop = stop

    def index_frames(self, *arguments, **keywords):
        if self._stop is not None:
            self._stop.set()
        raise BackendUnavailable("the worker is gone")


@pytest.mark.parametrize("store", [None, Pieces()])
def test_workers_that_fail_end_a_run_and_finish_a_stopped_one(sources, store):
    """Nothing is said of --resume, since there is nothing to resume."""
    with pytest.raises(BackendUnavailable, match=r"^the worker is gone$"):
        pipeline.index(job_of(sources), devices=Fails(), store=store)
    stop = threading.Event()
    summary = pipeline.index(job_of(sources), devices=Fails(stop), store=store, stop=stop).summary
    assert (summary.frames, summary.complete) == (0, False)


def test_a_part_that_a_worker_has_saved_is_seen_by_its_ledger(tmp_path):
    assert not folder.is_seen(str(tmp_path))
    (tmp_path / folder.LEDGER).write_text("")
    assert folder.is_seen(str(tmp_path))
    one, other = (folder.save_part(str(tmp_path), image) for image in (b"1", b"2"))
    assert one != other
    assert isinstance(Here(), Workers)
