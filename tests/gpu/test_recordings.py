"""Calls on few frames, which the GPU records and replays, give the bytes of calls that are launched step by step."""

from dataclasses import fields

import numpy as np
import pytest

from ffbidx_core.benchmark import SCENARIOS, make_batches
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import PRESETS, Parameters
from tests.helpers.finding import assert_same
from tests.helpers.frames import false_spots, random_rotation, still

SIZES = (1, 2, 3, 7, 16, 30)
MIXED = ("tetragonal, 100 spots", "triclinic, 300 spots", "two lattices, 200 spots")


def mixed_frames(name: str, n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The input cells of a scenario, and frames with one crystal, with two, with hardly any spots, and with none."""
    frames, rng = make_batches(SCENARIOS[name], n, 1)[0], np.random.default_rng(5)
    spots = np.split(frames.spots, frames.offsets[1:-1])
    change = (
        lambda f: spots[f],
        lambda f: false_spots(rng, 40),
        lambda f: spots[f][: rng.integers(0, 12)],
        lambda f: np.concatenate([spots[f], spots[f - 1]]),
        lambda f: np.concatenate([spots[f], false_spots(rng, 60), np.full((2, 3), 1e-4, np.float32)]),
    )
    return frames.input_cells, [change[f % len(change)](f) for f in range(n)]


def calls(gpu, frames, plan, p, rounds):
    """The results of calls on all frames, in batches of several sizes, and how many recordings there are afterwards."""
    found = []
    for _ in range(rounds):
        for size in SIZES:
            for i in range(0, len(frames), size):
                found.append(index_frames(gpu, *pack(frames[i : i + size]), plan, p))
    return found, len(gpu._lanes[-1].recordings._made)


@pytest.fixture
def launched(gpu, monkeypatch):
    """A function after which no batch is padded, so that nothing is recorded."""
    return lambda: monkeypatch.setattr("ffbidx_core.backends.cuda.search.MOST_FRAMES", 0)


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("preset", PRESETS)
def test_recorded_calls_give_the_same_bytes(gpu, launched, preset, name):
    cells, frames = mixed_frames(name, 30)
    p = Parameters.preset(preset)
    plan = SearchPlan.make(cells, p)
    recorded, n_recordings = calls(gpu, frames, plan, p, rounds=3)
    assert n_recordings > 10
    launched()
    wanted, unchanged = calls(gpu, frames, plan, p, rounds=1)
    assert unchanged == n_recordings
    for found, again in zip(recorded, wanted * 3, strict=True):
        assert_same(found, again)


def test_steps_that_wait_for_the_gpu_give_the_same_bytes(gpu, launched):
    """A cell with further settings, which are tried by steps that cannot be recorded."""
    cell, rng = cell_from_parameters((50, 50.6, 70, 90, 90, 90)), np.random.default_rng(2)
    p = Parameters.preset("best")
    plan = SearchPlan.make(cell[None], p)
    assert any(len(settings) for settings in plan.settings)
    frames = [still(cell @ random_rotation(rng), rng, n) for n in (20, 60, 90, 200)]
    recorded, _ = calls(gpu, frames, plan, p, rounds=3)
    assert sum(len(found.crystals) for found in recorded) > 20
    launched()
    wanted, _ = calls(gpu, frames, plan, p, rounds=1)
    for found, again in zip(recorded, wanted * 3, strict=True):
        assert_same(found, again)


def test_results_do_not_change_when_the_next_call_comes(gpu):
    cells, frames = mixed_frames(MIXED[0], 10)
    p = Parameters.preset("best")
    plan = SearchPlan.make(cells, p)
    for _ in range(4):
        first = index_frames(gpu, *pack(frames[:5]), plan, p)
    before = {field.name: np.array(getattr(first, field.name)) for field in fields(first)}
    index_frames(gpu, *pack(frames[5:]), plan, p)
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(first, name), values)
