"""The same input gives the same bytes, whatever is computed beside it."""

import numpy as np
import pytest

from ffbidx_core.benchmark import SCENARIOS, make_batches
from ffbidx_core.devices.lanes import in_lanes
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.published_parameters import METHODS
from tests.helpers.finding import assert_same, index, part
from tests.helpers.frames import CELL, cell_of, false_spots, frame, random_rotation, still

CELLS = np.stack([CELL, cell_of("tetragonal")])
BATCHES = (1, 7, 64)


def pieces():
    """Frames of 0 to 3000 spots: clear, crowded, of two kinds of crystal, blank, nearly empty."""
    rng = np.random.default_rng(11)
    clear = [frame(seed, 12 + 9 * seed)[1] for seed in range(12)]
    other = [still(CELLS[1] @ random_rotation(rng), rng, n) for n in (25, 80, 300)]
    crowded = [np.concatenate([frame(20 + k)[1], frame(40 + k)[1], false_spots(rng, 30)]) for k in range(4)]
    blank = [false_spots(rng, n) for n in (0, 4, 5, 40, 700, 3000)]
    return [*clear, *other, *crowded, *blank, np.concatenate([other[2], false_spots(rng, 1500)])]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_batch_does_not_matter(gpu, preset):
    frames = pieces()
    everything = index(frames, CELLS, preset, keep_all=True, backend=gpu)
    assert len(everything.crystals) >= 20
    assert_same(index(frames, CELLS, preset, keep_all=True, backend=gpu), everything)
    for size in BATCHES:
        parts = [
            index(frames[i : i + size], CELLS, preset, keep_all=True, backend=gpu) for i in range(0, len(frames), size)
        ]
        assert_same(BatchResult.joined(parts), everything)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_order_of_frames_and_spots_does_not_matter(gpu, preset):
    frames, rng = pieces(), np.random.default_rng(3)
    wanted = index(frames, CELLS, preset, backend=gpu)
    order = rng.permutation(len(frames))
    shuffled = index([rng.permutation(frames[i]) for i in order], CELLS, preset, backend=gpu)
    for position, i in enumerate(order):
        assert_same(part(shuffled, position), part(wanted, i))


def test_lanes_with_plans_of_their_own_do_not_disturb_each_other(gpu):
    """Each batch has its own plan, as tasks and files with cells of their own have: more than the GPU keeps."""
    frames = make_batches(SCENARIOS["tetragonal, 100 spots"], 512, 1)[0]
    p = Parameters.preset("best")

    def once(_: int) -> BatchResult:
        return index_frames(gpu, frames.spots, frames.offsets, SearchPlan.make(frames.input_cells, p), p)

    wanted = once(0)
    for _, found in in_lanes(gpu, range(60), once):
        assert_same(found, wanted)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_again(gpu, method):
    p = Parameters.preset("published", method=method, max_input_cells=2)
    spots, offsets = pack(pieces())
    plan = SearchPlan.make(CELLS, p)
    once, again = (index_frames(gpu, spots, offsets, plan, p, keep_all=True) for _ in range(2))
    assert len(once.cells) > 32
    assert_same(once, again)


@pytest.mark.parametrize("preset", PRESETS)
def test_lanes_do_not_matter(gpu, preset):
    """Nor does which lane is first: batches of several sizes, over and over."""
    p = Parameters.preset(preset)
    sizes = (300, 5, 120, 300, 33, 1)
    batches = [make_batches(SCENARIOS["two lattices, 200 spots"], n, 1, seed=n)[0] for n in sizes] * 4
    plan = SearchPlan.make(batches[0].input_cells, p)
    wanted = [index_frames(gpu, b.spots, b.offsets, plan, p) for b in batches[: len(sizes)]]
    found = in_lanes(gpu, batches, lambda b: index_frames(gpu, b.spots, b.offsets, plan, p))
    for i, (_, result) in enumerate(found):
        assert_same(result, wanted[i % len(sizes)])
    assert i == len(batches) - 1
