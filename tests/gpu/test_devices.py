"""Several GPUs give what one gives; one that is not there is an error that says what is."""

import functools

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cuda.driver import gpu_count, gpus
from ffbidx_core.benchmark import SCENARIOS, make_batches
from ffbidx_core.devices.lanes import in_lanes
from ffbidx_core.devices.workers import DeviceWorkers
from ffbidx_core.errors import BackendUnavailable
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run import pipeline
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import simulate, write_frames
from ffbidx_core.write import Output, PartsStore
from tests.helpers.finding import assert_same
from tests.helpers.runs.faults import assert_same as assert_same_results

P = Parameters.preset("best")


@pytest.fixture(scope="module")
def batches():
    return [make_batches(SCENARIOS["triclinic, 100 spots"], n, 1, seed=n)[0] for n in (200, 50, 1, 120, 200, 7)]


@pytest.fixture(scope="module")
def plan(batches):
    return SearchPlan.make(batches[0].input_cells, P)


def test_the_driver_and_cupy_mean_the_same_gpus(gpu):
    import cupy

    assert len(gpus()) == cupy.cuda.runtime.getDeviceCount()
    for one in gpus():
        properties = cupy.cuda.runtime.getDeviceProperties(one.number)
        assert properties["name"].decode() == one.name
        assert (properties["major"], properties["minor"]) == one.compute_capability
        assert properties["totalGlobalMem"] == one.memory


def test_a_gpu_that_is_not_there(gpu):
    n = gpu_count()[0]
    with pytest.raises(BackendUnavailable, match=f"there is no GPU {n}: this machine has {n}"):
        get_backend("cuda", n)


def test_the_second_gpu_gives_the_same_bytes(two_gpus, batches, plan):
    results = []
    for number in two_gpus:
        backend = get_backend("cuda", number)
        assert backend.device.startswith(f"GPU {number}, ")
        results.append([index_frames(backend, b.spots, b.offsets, plan, P) for b in batches])
    get_backend("cuda", two_gpus[0])
    for one, other in zip(*results, strict=True):
        assert_same(one, other)


def shared_out(numbers, batches, plan):
    """Results of batches, shared out among processes of these GPUs."""
    workers = DeviceWorkers([functools.partial(get_backend, "cuda", number) for number in numbers])
    try:
        work = in_lanes(workers, batches, lambda b: workers.index_frames(b.spots, b.offsets, plan, P))
        return [result for _, result in work]
    finally:
        workers.close()


def test_a_process_of_its_own_gives_the_same_bytes(gpu, batches, plan):
    for batch, result in zip(batches, shared_out([gpu.number], batches, plan), strict=True):
        assert_same(result, index_frames(gpu, batch.spots, batch.offsets, plan, P))


def test_batches_shared_out_among_gpus_come_back_in_order(gpu, two_gpus, batches, plan):
    repeated = batches * 4
    for batch, result in zip(repeated, shared_out(two_gpus, repeated, plan), strict=True):
        assert np.array_equal(np.diff(batch.offsets) > 0, np.ones(batch.n_frames, bool))
        assert_same(result, index_frames(gpu, batch.spots, batch.offsets, plan, P))


def test_a_run_of_several_processes_has_the_results_of_one(gpu, tmp_path, monkeypatch):
    """Each process reads, computes and saves its own frames; if there is one GPU, two processes share it."""
    frames = simulate(SCENARIOS["tetragonal, 100 spots"], 3000)
    path, p = str(tmp_path / "stills.h5"), Parameters.preset("best")
    write_frames(path, frames)

    def run(name):
        store = PartsStore([Output(str(tmp_path / name))])
        pipeline.index(Job([Source(path)], p, frames.input_cells, backend="cuda", batch_size=512), store=store)
        return read_results(tmp_path / name)

    one = run("one.h5")
    makers = [functools.partial(get_backend, "cuda", number % gpu_count()[0]) for number in (0, 1)]
    monkeypatch.setattr(pipeline, "open_devices", lambda *choice: DeviceWorkers(makers))
    found = run("two.h5")
    assert one.n_frames == 3000
    assert_same_results(found, one, device=False)
