"""The GPU's memory: what the first batches take is enough for all that follow."""

import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import SCENARIOS, make_batches
from ffbidx_core.devices.lanes import in_lanes
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters

WARM_UP, ROUNDS = 3, 8


@pytest.fixture
def pool(gpu):
    """CuPy's pool, emptied."""
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    return pool


@pytest.fixture(scope="module")
def batches():
    return make_batches(SCENARIOS["two lattices, 200 spots"], 400, 3)


@pytest.fixture(params=["best", "published"])
def work(request, gpu, batches):
    p = Parameters.preset(request.param)
    plan = SearchPlan.make(batches[0].input_cells, p)
    return lambda batch: index_frames(gpu, batch.spots, batch.offsets, plan, p)


def test_no_batch_needs_more_than_those_before(pool, work, batches):
    for batch in batches * WARM_UP:
        work(batch)
    taken, used = pool.total_bytes(), pool.used_bytes()
    assert taken > 0
    for batch in batches * ROUNDS:
        work(batch)
        assert pool.used_bytes() == used
    assert pool.total_bytes() == taken


def test_nothing_is_allocated_while_lanes_are_at_work(pool, work, batches, gpu):
    taken = []
    for _ in in_lanes(gpu, batches[:1] * (WARM_UP + ROUNDS) * gpu.lanes, work):
        taken.append(pool.total_bytes())
    assert len(set(taken[WARM_UP * gpu.lanes :])) == 1, taken


def test_a_limit_that_is_too_low_halves_the_batch_and_changes_nothing(pool, batches, caplog):
    from tests.helpers.finding import assert_same

    backend, p = get_backend("cuda"), Parameters.preset("published")
    plan, batch = SearchPlan.make(batches[0].input_cells, p), batches[0]
    wanted = index_frames(backend, batch.spots, batch.offsets, plan, p)
    needed = pool.total_bytes()
    pool.free_all_blocks()
    try:
        pool.set_limit(size=needed // 2)
        found = index_frames(backend, batch.spots, batch.offsets, plan, p)
        again = index_frames(backend, batch.spots, batch.offsets, plan, p)
    finally:
        pool.set_limit(size=0)
    assert_same(found, wanted)
    assert_same(again, wanted)
    said = [message for message in caplog.messages if "halving the batch" in message]
    assert len(said) == len(set(said)) >= 1
    assert backend.most_frames < batch.n_frames
