"""Whole runs that follow their input: the results are those of an ordinary run, whatever stops them in between."""

import copy
import functools
import itertools
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import NothingProcessed
from ffbidx_core.read import Source
from ffbidx_core.read.growing import follow as follow_module
from ffbidx_core.read.growing import watched
from ffbidx_core.run.job import Job
from tests.helpers.calls import write_spots
from tests.helpers.runs.faults import QUICK, Died, assert_same, run
from tests.helpers.runs.follow import FRAMES, died, dies_at, follow, grow


@pytest.fixture(scope="module")
def wanted(finished):
    """The results of an ordinary run."""
    before = os.getcwd()
    os.chdir(finished)
    try:
        output = finished / "wanted" / "x.h5"
        output.parent.mkdir()
        run([Source("./a.h5"), Source("./b.h5")], output)
    finally:
        os.chdir(before)
    return read_results(output)


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
@pytest.mark.parametrize("step", [0.3, 7])
def test_the_results_are_those_of_an_ordinary_run(clock, writers, inputs, tmp_path, wanted, batch_size, step):
    grow(clock, writers, inputs, step)
    summary = follow(tmp_path / "x.h5", batch_size=batch_size).summary
    assert_same(read_results(tmp_path / "x.h5"), wanted)
    assert (summary.frames, summary.complete, summary.bad_frames) == (12, True, 0)
    assert wanted.learned_cells is not None


def test_frames_are_computed_before_a_batch_is_full(clock, writers, inputs, tmp_path):
    """And while there are no frames the events come all the same, so that the speed of now can fall."""
    grow(clock, writers, inputs, 7)
    events = []
    follow(tmp_path / "x.h5", batch_size=1000, progress=events.append)
    learning = [event.to_learn for event in events if event.to_learn is not None]
    assert sorted(set(learning)) == [1, 2, 3, 4, 5]
    frames = [event.frames for event in events if event.to_learn is None]
    assert sorted(set(frames)) == [0, 6, 7, 8, 9, 10, 11, 12]
    assert min(frames.count(n) for n in range(6, 13)) > 5
    assert all(event.total is None for event in events)


def test_too_few_frames_to_learn_from(clock, writers, inputs, tmp_path):
    """The cell is learned from those that came."""
    writer = writers(inputs / "a.h5")
    for number in range(4):
        clock.at(number, writer.add, FRAMES[number])
    clock.at(9, writer.close)
    follow(tmp_path / "x.h5")
    run([Source("./a.h5")], tmp_path / "ordinary.h5")
    found = read_results(tmp_path / "x.h5")
    assert_same(found, read_results(tmp_path / "ordinary.h5"))
    assert found.learned_cells is not None


@pytest.mark.parametrize("at", [1, 3, 5, 7, 8, 11, 12])
def test_after_death(clock, writers, inputs, tmp_path, wanted, at):
    grow(clock, writers, inputs, 7)
    with pytest.raises(Died):
        follow(tmp_path / "x.h5", batch_size=1, progress=dies_at(at))
    assert not (tmp_path / "x.h5").exists()
    outcome = follow(tmp_path / "x.h5", resume=True)
    assert_same(read_results(tmp_path / "x.h5"), wanted)
    assert not (tmp_path / "x.h5.parts").exists()
    assert outcome.summary.frames == 12


def test_a_copy_of_the_record_does_as_well(clock, writers, inputs, tmp_path, wanted, monkeypatch):
    """The store, the record and the follower share no list."""
    record = Job.record
    monkeypatch.setattr(Job, "record", lambda job, backend: copy.deepcopy(record(job, backend)))
    grow(clock, writers, inputs, 7)
    with pytest.raises(Died):
        follow(tmp_path / "x.h5", batch_size=1, progress=dies_at(8))
    follow(tmp_path / "x.h5", resume=True)
    assert_same(read_results(tmp_path / "x.h5"), wanted)


def test_after_many_deaths_and_stops(clock, writers, inputs, tmp_path, wanted):
    grow(clock, writers, inputs, 7)
    for at in itertools.count(6):
        stop = threading.Event()
        progress = dies_at(at) if at % 2 else lambda event, at=at, stop=stop: event.frames >= at and stop.set()
        try:
            if follow(tmp_path / "x.h5", resume=True, batch_size=1, progress=progress, stop=stop).summary.complete:
                break
            assert not read_results(tmp_path / "x.h5").complete
        except Died:
            assert (tmp_path / "x.h5.parts").is_dir()
        except NothingProcessed:
            raise AssertionError("a run that was stopped is not empty") from None
    assert at > 8
    assert_same(read_results(tmp_path / "x.h5"), wanted)


def test_a_finished_run_may_end_without_following(clock, writers, inputs, tmp_path, wanted):
    """Once all files are there: the names in the order in which they were taken."""
    grow(clock, writers, inputs, 7)
    with pytest.raises(Died):
        follow(tmp_path / "x.h5", batch_size=1, progress=dies_at(12))
    run([Source("./a.h5"), Source("./b.h5")], tmp_path / "x.h5", resume=True)
    assert_same(read_results(tmp_path / "x.h5"), wanted)


def test_a_file_may_grow_while_nobody_follows(clock, writers, inputs, tmp_path, wanted):
    writer = died(clock, writers, inputs, tmp_path / "x.h5")
    writer.add(*FRAMES[7:])
    writer.close()
    follow(tmp_path / "x.h5", resume=True)
    assert_same(read_results(tmp_path / "x.h5"), wanted)


def test_further_tries_need_the_spots_by_intensity(clock, inputs, tmp_path):
    """The frame after which a run goes on is recognised by its spots in the order in which they are searched."""
    n_spots = sum(map(len, FRAMES[:4]))
    intensity = np.random.default_rng(0).uniform(1, 9, n_spots)
    write_spots(inputs / "a.h5", FRAMES[:4], intensity=intensity, pixel=np.zeros((n_spots, 3)), wavelength=[1.0] * 4)
    options = {"parameters": QUICK.replace(retry=True, learn_cell=0), "batch_size": 1}
    with pytest.raises(Died):
        follow(tmp_path / "x.h5", progress=dies_at(2), **options)
    follow(tmp_path / "x.h5", resume=True, **options)
    run([Source("./a.h5")], tmp_path / "ordinary.h5", **options)
    assert_same(read_results(tmp_path / "x.h5"), read_results(tmp_path / "ordinary.h5"))


def test_a_stop_is_an_incomplete_file(clock, writers, inputs, tmp_path, wanted):
    grow(clock, writers, inputs, 7)
    stop = threading.Event()
    outcome = follow(tmp_path / "x.h5", stop=stop, progress=lambda event: event.frames >= 8 and stop.set())
    assert not outcome.summary.complete
    found = read_results(tmp_path / "x.h5")
    assert 8 <= found.n_frames < 12
    assert np.array_equal(found.index, wanted.index[: found.n_frames])
    follow(tmp_path / "x.h5", resume=True)
    assert_same(read_results(tmp_path / "x.h5"), wanted)


def test_frames_are_saved_also_when_no_others_come(clock, inputs, tmp_path, finished):
    (inputs / "a.h5").write_bytes((finished / "a.h5").read_bytes())
    stop = threading.Event()

    def progress(event):
        if (tmp_path / "x.h5.parts/000000.h5").exists():
            stop.set()
        time.sleep(0.05)

    parameters = QUICK.replace(learn_cell=0)
    outcome = follow(
        tmp_path / "x.h5", parameters=parameters, save_seconds=1.0, stop_after=100, progress=progress, stop=stop
    )
    assert stop.is_set()
    assert outcome.summary.frames == 4


def test_killed_at_any_moment(monkeypatch, writers, inputs, tmp_path, wanted):
    """A writer that goes on while its follower is killed and taken up; in real time, and with some haste."""
    seed = int(os.environ.get("FFBIDX_TEST_SEED", time.time_ns() % 2**32))
    print(f"FFBIDX_TEST_SEED={seed}")
    rng = random.Random(seed)
    for module, name, seconds in ((watched, "LOOK", 0.05), (follow_module, "LOOK", 0.05), (watched, "SETTLED", 0.5)):
        monkeypatch.setattr(module, name, seconds)
    a, b = writers(inputs / "a.h5"), writers(tmp_path / "later.h5")
    b.add(FRAMES[4])
    steps = [functools.partial(a.add, spots) for spots in FRAMES[:4]]
    steps += [a.close, lambda: os.rename(tmp_path / "later.h5", inputs / "b.h5")]
    steps += [functools.partial(b.add, spots) for spots in FRAMES[5:]]
    steps += [b.close, (tmp_path / "stop").touch]
    child, kills = _start(tmp_path), 0
    for step in steps:
        step()
        time.sleep(rng.uniform(0, 0.5))
        if rng.random() < 0.6:
            kills += _kill(child)
            child = _start(tmp_path)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert kills > 0
    assert_same(read_results(tmp_path / "x.h5"), wanted)
    assert not (tmp_path / "x.h5.parts").exists()


def _start(folder) -> int:
    """Follow in a child."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            follow(folder / "x.h5", stop_after=None, stop_file=str(folder / "stop"), resume=True, batch_size=4)
            status = 0
        finally:
            os._exit(status)
    return child


def _kill(child) -> bool:
    """Kill a child; whether it was not over before."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_nothing_that_can_be_read(clock, inputs, tmp_path):
    (inputs / "a.h5").write_bytes(b"no spots \xff\0")
    with pytest.raises(NothingProcessed, match=r"the only frame or file could not be used; .* problem: .*a\.h5"):
        follow(tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()
