"""The run between files and backend: reading ahead, batches, learning, stopping, counting."""

import dataclasses
import threading
import time
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.errors import InputError, NothingProcessed, ParameterError, UsageError
from ffbidx_core.model.records.frame import FrameBlock, FrameStatus
from ffbidx_core.model.records.results import COLUMNS
from ffbidx_core.model.records.run import InputIdentity
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.read.ahead import read_ahead
from ffbidx_core.read.batches import batches
from ffbidx_core.run.job import Job
from ffbidx_core.run.learning import first_frames
from ffbidx_core.run.pipeline import index
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, frame
from tests.helpers.runs.until import until

QUICK = Parameters.preset("best", num_halfsphere_points=4096, learn_min_crystals=3)


def block(first: int, n: int, cell: float | None = None, status=FrameStatus.NOT_INDEXED) -> FrameBlock:
    """Frames first, first + 1, ... of one spot each, with a cell of its own kind."""
    return FrameBlock(
        sources=["x"] * n,
        indices=np.arange(first, first + n),
        ids=[""] * n,
        spots=np.arange(first, first + n, dtype=np.float32)[:, None] * np.ones(3, np.float32),
        offsets=np.arange(n + 1),
        status=np.full(n, status, np.uint8),
        n_spots=np.ones(n, np.int32),
        cells=None if cell is None else np.eye(3)[None] * cell,
        left_out=np.eye(1, n, dtype=np.int64)[0],
        problems=[f"problem {first}"],
    )


def blocks_of(sizes: list[int], cells=None) -> list[FrameBlock]:
    starts = np.cumsum([0, *sizes])
    return [block(int(start), n, cells and cells[i]) for i, (start, n) in enumerate(zip(starts, sizes, strict=False))]


@given(sizes=st.lists(st.integers(1, 9), max_size=8), size=st.integers(1, 12))
def test_batches_hold_all_frames_in_order_and_are_full_but_the_last(sizes, size):
    cut = list(batches(blocks_of(sizes), size, own_cells=False))
    assert [b.n_frames for b in cut] == [size] * (sum(sizes) // size) + [sum(sizes) % size] * (sum(sizes) % size > 0)
    assert [i for b in cut for i in b.indices] == list(range(sum(sizes)))
    assert [x for b in cut for x in b.spots[:, 0]] == list(range(sum(sizes)))
    assert all(b.offsets[-1] == len(b.spots) for b in cut)
    assert sum(b.n_left_out for b in cut) == len(sizes)
    assert [text for b in cut for text in b.problems] == [f"problem {i}" for i in np.cumsum([0, *sizes])[:-1]]


@given(
    kinds=st.lists(st.tuples(st.integers(1, 5), st.sampled_from([10.0, 20.0, None])), max_size=8),
    size=st.integers(1, 6),
)
def test_frames_of_a_batch_share_their_own_cells(kinds, size):
    starts = np.cumsum([0, *(n for n, _ in kinds)])
    # None stands for frames that cannot be used, which go with any cells.
    blocks = [
        block(int(start), n, cell, FrameStatus.NOT_INDEXED if cell else FrameStatus.UNREADABLE)
        for start, (n, cell) in zip(starts, kinds, strict=False)
    ]
    cell_of_frame = [cell for n, cell in kinds for _ in range(n)]
    cut = list(batches(blocks, size, own_cells=True))
    assert [i for b in cut for i in b.indices] == list(range(len(cell_of_frame)))
    for b in cut:
        cells = {cell_of_frame[i] for i in b.indices} - {None}
        assert len(cells) <= 1
        assert b.n_frames <= size
        assert b.has_usable_frames == bool(cells)
        if cells:
            assert b.cells[0, 0, 0] == cells.pop()


@given(sizes=st.lists(st.integers(1, 9), max_size=6), n=st.integers(0, 30))
def test_the_first_frames_and_the_rest_are_all(sizes, n):
    head, rest = first_frames(iter(blocks_of(sizes)), n)
    taken, left = ([i for b in part for i in b.indices] for part in (head, rest))
    assert taken == list(range(min(n, sum(sizes))))
    assert taken + left == list(range(sum(sizes)))


def test_reading_ahead_gives_the_same_items():
    assert list(read_ahead(iter(range(100)))) == list(range(100))


def test_an_exception_of_the_reader_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise InputError("x.h5", "is broken")

    ahead = read_ahead(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(InputError, match="is broken"):
        next(ahead)


def test_the_reader_is_only_a_few_items_ahead_and_ends_when_it_is_closed():
    made = []

    def items():
        for i in range(1000):
            made.append(i)
            yield i

    ahead = read_ahead(items(), depth=2)
    assert next(ahead) == 0
    time.sleep(0.3)
    assert len(made) <= 4
    ahead.close()
    until(lambda: not any(thread.name == "ffbidx-reader" for thread in threading.enumerate()))
    assert len(made) <= 5


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    """Ten clear frames of a cell that is 1 % larger than the one given, with a bad and an empty one among them."""
    pieces = [frame(seed, 70, CELL * 1.01)[1] for seed in range(10)]
    pieces.insert(2, np.full((8, 3), np.nan, np.float32))
    pieces.insert(7, np.zeros((0, 3), np.float32))
    return write_spots(tmp_path_factory.mktemp("stills") / "stills.h5", pieces)


def job(path, **changes) -> Job:
    usual = {"sources": [Source(str(path))], "parameters": QUICK, "cells": CELL[None], "backend": "cpu"}
    return Job(**(usual | changes))


def test_results_do_not_depend_on_batches_and_threads(stills):
    wanted = index(job(stills)).results()
    for batch_size in (1, 5, 12):
        for threads in (1, 2):
            found = index(job(stills, batch_size=batch_size, threads=threads)).results()
            for name in COLUMNS:
                assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


def test_the_cell_is_learned_from_the_first_frames_whatever_the_batches(stills):
    learned = []
    for batch_size in (1, 4, 64):
        outcome = index(job(stills, batch_size=batch_size, parameters=QUICK.replace(learn_cell=6)))
        learned.append(outcome.results().learned_cells)
    assert (learned[0] == learned[1]).all()
    assert (learned[0] == learned[2]).all()
    assert np.allclose(np.linalg.norm(learned[0][0], axis=1), np.linalg.norm(CELL * 1.01, axis=1), rtol=0.005)
    only_six = index(job(stills, max_frames=6, parameters=QUICK.replace(learn_cell=6)))
    assert (only_six.results().learned_cells == learned[0]).all()


def test_statuses_and_counts(stills):
    outcome = index(job(stills))
    s = outcome.summary
    assert s.status == {"indexed": 10, "not_indexed": 0, "too_few_spots": 1, "bad_spots": 1, "unreadable": 0}
    assert (s.frames, s.indexed, s.crystals, s.bad_frames, s.processed) == (12, 10, 10, 1, 11)
    assert (s.spots, s.complete, len(s.problems)) == (10 * 70 + 8, True, 1)
    assert s.cells[0].crystals == 10
    results = outcome.results()
    assert list(np.flatnonzero(results.status == FrameStatus.BAD_SPOTS)) == [2]
    assert list(np.flatnonzero(results.status == FrameStatus.TOO_FEW_SPOTS)) == [7]


def test_progress_counts_up_to_the_total(stills):
    events = []
    index(job(stills, batch_size=5), progress=events.append)
    assert [event.frames for event in events] == [5, 10, 12]
    assert {event.total for event in events} == {12}
    assert events[-1].indexed == 10
    assert [len(event.problems) for event in events] == [1, 0, 0]


@pytest.mark.parametrize(("every", "max_frames", "total"), [(1, None, 12), (5, None, 3), (1, 4, 4), (5, 7, 3)])
def test_the_total_is_the_number_of_frames_taken(stills, every, max_frames, total):
    these = job(stills, every=every, max_frames=max_frames)
    assert these.count_frames() == total == sum(block.n_frames for block in these.blocks())


def test_a_stop_keeps_what_is_finished(stills):
    stop = threading.Event()
    outcome = index(job(stills, batch_size=3), progress=lambda event: stop.set(), stop=stop)
    assert outcome.summary.frames == 3
    assert not outcome.summary.complete
    assert outcome.results().n_frames == 3
    assert not any(thread.name == "ffbidx-reader" for thread in threading.enumerate())


def test_a_stop_before_the_start_finishes_nothing(stills):
    stop = threading.Event()
    stop.set()
    assert index(job(stills), stop=stop).summary.frames == 0


def test_a_failing_backend_ends_the_reader_too(stills, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr("ffbidx_core.devices.devices.index_frames", fail)
    with pytest.raises(RuntimeError, match="the device is gone"):
        index(job(stills, batch_size=1))
    assert not any(thread.name == "ffbidx-reader" for thread in threading.enumerate())


def test_memory_that_is_not_there_is_explained(stills, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("ffbidx_core.devices.devices.index_frames", fail)
    with pytest.raises(UsageError, match="make --batch-size smaller"):
        index(job(stills, parameters=Parameters.preset("best")))
    with pytest.raises(UsageError, match="--num-angle-points: 100000 needs more memory"):
        index(job(stills, parameters=Parameters.preset("best", num_angle_points=100_000)))


def test_only_bad_frames_are_an_error_that_names_the_first(tmp_path):
    path = write_spots(tmp_path / "bad.h5", [np.full((8, 3), np.inf, np.float32)] * 2)
    with pytest.raises(NothingProcessed, match=r"none of the 2 .*bad\.h5"):
        index(job(path))


def test_jobs_without_sense_are_refused(stills):
    for name in ("batch_size", "threads", "every", "max_frames"):
        with pytest.raises(ParameterError, match=name):
            index(job(stills, **{name: 0}))
    with pytest.raises(UsageError, match="cell"):
        index(job(stills, cells=None))


def test_more_sets_of_cells_than_plans_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("ffbidx_core.run.input_cells.MOST_PLANS", 2)
    sources = []
    for seed in range(6):
        path = write_spots(tmp_path / f"{seed}.h5", [frame(seed % 3)[1]], cells=CELL[None] * (1 + (seed % 3) / 1000))
        sources.append(Source(str(path)))
    results = index(job("", sources=sources, cells=None)).results()
    assert list(results.input_cell[results.crystals]) == [0, 1, 2, 0, 1, 2]


def test_many_frames_need_little_memory(tmp_path, monkeypatch):
    """20,000 frames of 300 spots, 72 MB of them, pass with a few blocks in memory at a time."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        spots = file.create_dataset("spots", shape=(6_000_000, 3), dtype="f4", chunks=(30_000, 3))
        spots.attrs["units"] = "1/angstrom"
        rows = np.random.default_rng(0).uniform(-0.4, 0.4, size=(30_000, 3)).astype("f4")
        for begin in range(0, 6_000_000, 30_000):
            spots[begin : begin + 30_000] = rows
        file["offsets"] = np.arange(20_001) * 300
    alive: dict[int, int] = {}
    most = 0

    class Watched(FrameBlock):
        def __del__(self):
            alive.pop(id(self), None)

    def watched(blocks):
        nonlocal most
        for b in blocks:
            w = Watched(**{f.name: getattr(b, f.name) for f in dataclasses.fields(b)})
            alive[id(w)] = w.spots.nbytes
            most = max(most, sum(alive.values()))
            yield w

    these = job(path)
    n = sum(b.n_frames for b in these.batches(read_ahead(watched(these.blocks()))))
    assert n == 20_000
    assert most < 10 * 64 * 300 * 12


def test_the_first_frames_of_followed_inputs_are_those_begun(tmp_path):
    _, spots = frame(0, 30)
    path = str(write_spots(tmp_path / "begun.h5", [spots, spots]))
    follow = SimpleNamespace(inputs=(InputIdentity(path, -1, 0, 0),))
    job = Job([], QUICK, CELL[None], follow=follow)
    (found,) = job.first_blocks()
    assert found.n_frames == 2
    np.testing.assert_array_equal(found.spots[: found.offsets[1]], spots.astype(np.float32))
