import numpy as np
import pytest

from ffbidx_core.benchmark import SCENARIOS, Stills, measure
from ffbidx_core.indexer import get_backend, index_frames
from ffbidx_core.parameters import Parameters

P = Parameters.preset("best", num_halfsphere_points=4096)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_indexed(name):
    stills = Stills(SCENARIOS[name], n_distinct=8)
    measured = measure(get_backend("cpu"), stills, P, n_frames=8, calls=2)
    assert measured.tally.frames == 16
    assert measured.indexed >= 0.9
    assert measured.lattices_found >= 0.9
    assert len(measured.seconds) == 2


def test_no_call_gets_the_frames_of_another(monkeypatch):
    seen = []

    def spy(backend, spots, offsets, plan, p):
        seen.append(spots)
        return index_frames(backend, spots, offsets, plan, p)

    monkeypatch.setattr("ffbidx_core.benchmark.index_frames", spy)
    measure(get_backend("cpu"), Stills(SCENARIOS["tetragonal, 100 spots"], n_distinct=2), P, n_frames=4, calls=2)
    frames = np.concatenate(seen).reshape(-1, 100, 3)
    assert len(frames) == 12
    for f in range(12):
        assert np.abs(frames[f] - frames[:f]).max(axis=(1, 2), initial=0).min(initial=1) > 1e-3


def test_a_miss_and_a_slow_call_show(monkeypatch):
    clock = iter([0, 100, 100, 101, 200, 203, 300, 302])
    monkeypatch.setattr("ffbidx_core.benchmark.time.perf_counter", lambda: next(clock))
    # Chance is never below 1e-1000: nothing is accepted.
    nothing = P.replace(max_log10_chance=-1000)
    stills = Stills(SCENARIOS["tetragonal, 100 spots"], n_distinct=4)
    measured = measure(get_backend("cpu"), stills, nothing, n_frames=4, calls=3, judged=2)
    assert measured.seconds == (1, 3, 2)
    assert measured.as_dict() == {
        "frames_per_second": 2, "slowest": 4 / 3, "fastest": 4, "frames_per_call": 4, "calls": 3, "judged": 6,
        "indexed": 0, "lattices_found": 0, "claimed": 0, "false": 0,
    }
