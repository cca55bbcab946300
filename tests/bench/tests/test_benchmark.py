import itertools

import numpy as np
import pytest

from ffbidx_core.benchmark import SCENARIOS, make_batches, measure
from ffbidx_core.method.index_frames import get_backend, index_frames
from ffbidx_core.parameters import Parameters

P = Parameters.preset("best", num_halfsphere_points=4096)
TETRAGONAL = SCENARIOS["tetragonal, 100 spots"]


class Lanes:
    """The CPU backend, as one that is best kept busy with several batches."""

    lanes = 2

    def __init__(self):
        self._backend = get_backend("cpu")

    def __getattr__(self, name):
        return getattr(self._backend, name)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_indexed(name):
    measured = measure(get_backend("cpu"), make_batches(SCENARIOS[name], 8, 2), P, calls=3)
    assert measured.tally.frames == 16
    assert measured.indexed >= 0.9
    assert measured.lattices_found >= 0.9
    assert len(measured.seconds) == 3
    assert measured.overlapped is None


def test_no_two_frames_are_alike(monkeypatch):
    monkeypatch.setattr("ffbidx_core.benchmark.DISTINCT", 2)
    frames = np.concatenate([batch.spots for batch in make_batches(TETRAGONAL, 4, 3)]).reshape(-1, 100, 3)
    assert len(frames) == 12
    for f in range(12):
        assert np.abs(frames[f] - frames[:f]).max(axis=(1, 2), initial=0).min(initial=1) > 1e-3


@pytest.fixture
def indexed(monkeypatch):
    """The spots of every call."""
    seen = []

    def spy(backend, spots, offsets, plan, p):
        seen.append(spots)
        return index_frames(backend, spots, offsets, plan, p)

    monkeypatch.setattr("ffbidx_core.benchmark.index_frames", spy)
    return seen


def test_no_call_gets_the_frames_of_the_one_before(indexed):
    measure(get_backend("cpu"), make_batches(TETRAGONAL, 2, 3), P, calls=5)
    assert len(indexed) == 3 + 5
    for before, after in itertools.pairwise(indexed):
        assert not np.array_equal(before, after)


def test_calls_overlap_where_the_backend_has_lanes(indexed):
    measured = measure(Lanes(), make_batches(TETRAGONAL, 2, 3), P, calls=5)
    assert len(indexed) == 3 + 5 + (2 * 2 + 5)
    assert measured.overlapped > 0


def test_a_miss_and_a_slow_call_show(monkeypatch):
    clock = iter([100, 101, 200, 203, 300, 302])
    monkeypatch.setattr("ffbidx_core.benchmark.time.perf_counter", lambda: next(clock))
    # No crystal is so sure: nothing is accepted.
    nothing = P.replace(max_false_rate=1e-300)
    measured = measure(get_backend("cpu"), make_batches(TETRAGONAL, 4, 2), nothing, calls=3, judged=2)
    assert measured.seconds == (1, 3, 2)
    assert measured.as_dict() == {
        "frames_per_second": 2,
        "slowest": 4 / 3,
        "fastest": 4,
        "overlapped": None,
        "frames_per_call": 4,
        "calls": 3,
        "judged": 4,
        "indexed": 0,
        "lattices_found": 0,
        "claimed": 0,
        "false": 0,
    }
