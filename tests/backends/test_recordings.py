"""Steps on few frames are recorded after they have run once, if they start from arrays of other recordings."""

import sys

import numpy as np
import pytest

from ffbidx_core.backends import Same
from ffbidx_core.model.records.batch import FEW_SPOTS, SpotBatch
from ffbidx_core.model.records.ragged import rows_of
from tests.helpers.parity.cupy_on_numpy import cuda_on_numpy

MOST_BYTES = 3
"""Memory that recordings may keep; each keeps one byte."""


@pytest.fixture
def module(monkeypatch):
    """The module without a GPU; a recording is made by calling the steps."""
    cuda = cuda_on_numpy(monkeypatch)
    next(cuda)
    module = sys.modules["ffbidx_core.backends.cuda.recordings"]

    def recorded(steps, state, inputs, shared):
        return module.Recording(None, [], steps(state, *inputs)[0], [], (), 1)

    monkeypatch.setattr(module, "_recorded", recorded)
    yield module
    list(cuda)


def batch(n_frames: int) -> SpotBatch:
    return SpotBatch(np.zeros((3, 8), np.float32), np.zeros(n_frames + 1, np.int64))


def load(state, spots):
    return (batch(len(spots)),), ()


def move(state):
    return (batch(state[0].n_frames), np.ones(3)), ()


def test_steps_are_recorded_when_they_have_run_before(module):
    recordings, spots = module.Recordings(MOST_BYTES), np.zeros((4, 3))
    assert recordings.find("load", load, (), [spots], []) is None
    first = recordings.find("load", load, (), [spots], [])
    assert first is not None
    assert recordings.find("load", load, (), [spots], []) is first
    assert recordings.find("load", load, (), [np.zeros((5, 3))], []) is not first


def test_only_arrays_of_recordings_are_recorded_with(module):
    recordings, spots = module.Recordings(MOST_BYTES), np.zeros((4, 3))
    loaded = [recordings.find("load", load, (), [spots], []) for _ in range(2)][1]
    assert [recordings.find("move", move, (batch(4),), [], []) for _ in range(3)] == [None] * 3
    assert recordings.find("move", move, loaded.state, [], []) is None
    moved = recordings.find("move", move, loaded.state, [], [])
    assert recordings.find("move", move, loaded.state, [], []) is moved
    again = [recordings.find("move", move, moved.state, [], []) for _ in range(2)]
    assert again[0] is again[1] is not moved
    assert recordings.find("move", move, (moved.state[0], np.ones(3)), [], []) is None


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_steps_that_cannot_be_captured_are_run_ever_after(module, error):
    recordings, calls = module.Recordings(MOST_BYTES), []

    def waits(state):
        calls.append(recordings.is_recording)
        raise error("operation not permitted when stream is capturing")

    assert [recordings.find("waits", waits, (), [], []) for _ in range(4)] == [None] * 4
    assert calls == [True]
    assert not recordings.is_recording


def test_steps_are_recorded_later_if_an_array_is_not_on_the_device(module):
    recordings, there = module.Recordings(MOST_BYTES), []

    def needs(state):
        if recordings.is_recording and not there:
            raise module.NotOnDevice
        return (batch(1),), ()

    assert [recordings.find("needs", needs, (), [], []) for _ in range(3)] == [None] * 3
    there.append(True)
    assert recordings.find("needs", needs, (), [], []) is not None


def test_all_recordings_are_forgotten_when_they_keep_too_much_memory(module):
    recordings = module.Recordings(MOST_BYTES)
    for n in (1, *range(1, MOST_BYTES + 2)):
        recordings.make_room()
        recordings.find("load", load, (), [np.zeros((n, 3))], [])
    assert recordings.find("load", load, (), [np.zeros((1, 3))], []) is not None
    recordings.make_room()
    assert recordings.find("load", load, (), [np.zeros((1, 3))], []) is None


def test_all_recordings_are_forgotten_when_there_are_too_many_plans(module):
    recordings = module.Recordings(MOST_BYTES)
    for key in ("load", *range(module.MOST_KEYS)):
        recordings.make_room()
        recordings.find(key, load, (), [np.zeros((1, 3))], [])
    assert recordings.find("load", load, (), [np.zeros((1, 3))], []) is not None
    recordings.make_room()
    assert recordings.find("load", load, (), [np.zeros((1, 3))], []) is None


@pytest.mark.parametrize("counts", [(5,), (100, 0, 3), (40,) * 64])
def test_padded_frames_have_no_spots(module, counts):
    offsets, rng = np.cumsum([0, *counts]), np.random.default_rng(0)
    spots = rng.uniform(-1, 1, (offsets[-1], 3)).astype(np.float32)
    rows, bounds = module.padded(spots, offsets)
    np.testing.assert_array_equal(rows[: len(spots)], spots)
    np.testing.assert_array_equal(bounds[: len(offsets)], offsets)
    assert np.diff(bounds)[-1] == 0
    assert bounds[-1] == len(spots) <= len(rows) <= FEW_SPOTS
    assert {n & (n - 1) for n in (len(rows), len(bounds) - 1)} == {0}


@pytest.mark.parametrize(
    ("frames", "counts", "chosen"),
    [
        ([0, 2, 3], [4, 1, 1, 1, 0], [0, 2, 3, 4]),
        ([0], [4, 0, 1, 0], [0, 3]),
        ([0, 1], [4, 1], [0, 1]),
    ],
)
def test_chosen_frames_are_padded_with_one_without_spots(module, frames, counts, chosen):
    assert module.chosen_few(np.array(frames), np.array(counts)).tolist() == chosen


def test_a_key_equals_that_of_the_same_object_only():
    one, other = [1], [1]
    assert Same(one) == Same(one)
    assert Same(one) != Same(other)
    assert len({Same(one), Same(one), Same(other)}) == 2


def test_a_device_takes_frames_without_knowing_how_many_spots_they_have(module):
    """NumPy stands for CuPy; the frames have the same spots, and the batch as many columns as before."""
    cupy, rng = sys.modules["cupy"], np.random.default_rng(1)
    offsets = np.array([0, 3, 3, 10, 12, 12])
    spots = rng.uniform(-1, 1, (3, 16)).astype(np.float32)
    wanted = SpotBatch(spots, offsets).take(np.array([1, 2, 3]))
    found = SpotBatch(spots, offsets, cupy).take(np.array([1, 2, 3, 4, 4]))
    n = wanted.offsets[-1]
    assert found.xyz.shape == spots.shape
    assert found.offsets.tolist() == [*wanted.offsets, n, n]
    np.testing.assert_array_equal(found.xyz[:, :n], wanted.xyz)
    assert found.frame_of_spot[n:].tolist() == [4] * (16 - n)
    assert len(rows_of(offsets, np.array([2]), np, 16)[0]) == 16
