"""Batches in lanes, and batches that do not fit in memory."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ffbidx_core.backends.cpu.backend import CpuBackend
from ffbidx_core.devices.lanes import FreeLanes, in_lanes
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import Parameters
from tests.helpers.frames import CELL, frame
from tests.helpers.runs.until import until


class TwoLanes(CpuBackend):
    """A CPU backend that wants two batches at a time."""

    lanes = 2


@pytest.mark.parametrize("backend", [CpuBackend(1), TwoLanes(1)], ids=["one lane", "two lanes"])
def test_results_come_in_the_order_of_the_batches(backend):
    assert list(in_lanes(backend, range(20), lambda i: i * i)) == [(i, i * i) for i in range(20)]


def test_two_lanes_work_at_the_same_time():
    both = threading.Barrier(2, timeout=60)

    def work(_):
        both.wait()

    assert len(list(in_lanes(TwoLanes(1), range(4), work))) == 4


def test_lanes_do_not_wait_for_the_caller():
    """While the caller handles the first of ten results, two lanes have a batch each, and another one after it."""
    computed = []
    results = in_lanes(TwoLanes(1), range(10), computed.append)
    next(results)
    until(lambda: len(computed) == 5)
    assert [i for i, _ in results] == [*range(1, 10)]


def test_what_is_finished_comes_when_no_others_do():
    """Two lanes would else hold back four results until more batches come."""
    given, seen = [], []

    def batches():
        yield 1
        for _ in range(100):
            if seen:
                return
            time.sleep(0.05)
            given.append(None)
            yield 0

    lanes = in_lanes(TwoLanes(1), batches(), lambda i: i, lambda batch: batch == 0)
    seen.append(next(lanes))
    assert seen == [(1, 1)]
    assert 1 <= len(given) < 100
    # Without pauses it would have come with the fifth.
    assert not any(i for i, _ in lanes)


def test_an_error_comes_in_its_place():
    def work(i):
        if i == 3:
            raise ValueError("three")
        return i

    results = in_lanes(TwoLanes(1), range(10), work)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_a_batch_without_memory_is_done_in_halves(caplog):
    """A backend with room for three frames gives for eleven what one with enough room gives, and says so."""

    class Small(CpuBackend):
        def load(self, spots, offsets):
            if len(offsets) - 1 > 3:
                raise MemoryError
            return super().load(spots, offsets)

    frames = [frame(seed, n_spots=30)[1] for seed in range(11)]
    p = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=0)
    plan = SearchPlan.make(CELL[None], p)
    whole, small = index_frames(CpuBackend(1), *pack(frames), plan, p), index_frames(Small(1), *pack(frames), plan, p)
    assert len(whole.crystals) == 11
    for name in whole.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(whole, name), getattr(small, name))
    assert sum("halving" in message for message in caplog.messages) == 2


def test_one_frame_without_memory_is_an_error():
    class Full(CpuBackend):
        def load(self, spots, offsets):
            raise MemoryError

    p = Parameters.preset("best")
    plan = SearchPlan.make(CELL[None], p)
    with pytest.raises(MemoryError):
        index_frames(Full(1), *pack([np.ones((10, 3))]), plan, p)


def test_a_free_lane_goes_to_the_batch_of_the_earliest_task():
    lanes, order = FreeLanes(1), []

    def compute(turn):
        with lanes.lane(turn):
            order.append(turn)

    with ThreadPoolExecutor(4) as pool, lanes.lane(9):
        for n_waiting, turn in enumerate((3, 1, 2, 1), start=1):
            pool.submit(compute, turn)
            until(lambda n=n_waiting: lanes.n_waiting == n)
    assert order == [1, 1, 2, 3]
