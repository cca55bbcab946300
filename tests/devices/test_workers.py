"""Batches on several devices, here CPU backends in processes of their own."""

import functools
import inspect
import os
import pickle
import signal
import threading

import numpy as np
import pytest

from ffbidx_core import errors
from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cpu.backend import CpuBackend
from ffbidx_core.devices.lanes import in_lanes
from ffbidx_core.devices.worker import DeviceFault
from ffbidx_core.devices.workers import DeviceWorkers, WorkerFault
from ffbidx_core.errors import BackendUnavailable
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from tests.helpers.frames import CELL, frames_of

P = Parameters.preset("best", num_halfsphere_points=2048)
PLAN = SearchPlan.make(CELL[None], P)


class FailsAfter(CpuBackend):
    """A device that fails for good after some batches."""

    def __init__(self, batches):
        super().__init__(1)
        self.left = batches

    def load(self, spots, offsets):
        self.left -= 1
        if self.left < 0:
            raise DeviceFault("an illegal memory access was encountered")
        return super().load(spots, offsets)


def whole(batch, backend):
    return index_frames(backend, *batch, PLAN, P)


@pytest.fixture(scope="module")
def batches():
    return [frames_of(n)[:2] for n in (3, 5, 1, 4, 2, 6)]


def check(workers, batches):
    try:
        found = list(in_lanes(workers, batches, lambda batch: workers.index_frames(*batch, PLAN, P)))
    finally:
        workers.close()
    cpu = get_backend("cpu", threads=1)
    assert len(found) == len(batches)
    for (batch, result), wanted in zip(found, batches, strict=True):
        assert batch is wanted
        expected = whole(wanted, cpu)
        for name in expected.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))


def test_results_are_those_of_one_device_in_the_order_of_the_input(batches):
    check(DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)] * 2), batches)


def test_a_failed_device_gives_its_batches_to_the_others(batches, caplog):
    check(DeviceWorkers([functools.partial(FailsAfter, 1), functools.partial(get_backend, "cpu", None, 1)]), batches)
    (message,) = caplog.messages
    assert message == (
        "1 thread failed: an illegal memory access was encountered; its frames are tried again on the other devices"
    )


def test_when_all_devices_fail_the_run_ends(batches):
    workers = DeviceWorkers([functools.partial(FailsAfter, 1), functools.partial(FailsAfter, 2)])
    with pytest.raises(BackendUnavailable, match="every device has failed"):
        check(workers, batches)


def test_a_device_that_fails_once_it_is_chosen_answers_no_task():
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)])
    (worker,) = workers._workers
    os.kill(worker._process.pid, signal.SIGSTOP)
    worker._lost("its process has ended")
    with pytest.raises(WorkerFault, match="1 thread failed: its process has ended"):
        worker.ask(pickle.dumps((whole, (), {})))
    workers.close()


def noted(device, folder, batch):
    (folder / str(os.getpid())).touch()
    return os.getpid(), device.index_frames(*batch, PLAN, P).n_frames


def test_all_workers_but_the_first_warm_up_and_one_that_fails_is_left_out(batches, tmp_path, caplog):
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1), functools.partial(FailsAfter, 0)])
    try:
        workers.warm_up(noted, tmp_path, "no batch")
        workers.warm_up(noted, tmp_path, batches[0])
        workers._pool.shutdown()
        assert [path.name for path in tmp_path.iterdir()] == [str(workers._workers[1]._process.pid)]
        assert workers.index_frames(*batches[0], PLAN, P).n_frames == 3
    finally:
        workers.close()
    assert any(message.endswith("; the run goes on with the other devices") for message in caplog.messages)


def test_processes_that_are_released_end_without_a_message(batches, caplog):
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)] * 2)
    workers.release()
    for worker in workers._workers:
        worker._process.join(60)
        assert worker._process.exitcode == -signal.SIGKILL
    with pytest.raises(RuntimeError, match="shutdown"):
        workers.submit("a batch", noted, None, batches[0])
    assert workers.device == "1 thread; 1 thread"
    workers.close()
    assert caplog.messages == []


def test_a_task_that_waits_for_a_device_ends_when_the_devices_are_closed(batches):
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)])
    while not workers._free.empty():
        workers._free.get()
    has_ended = threading.Event()

    def ask():
        with pytest.raises(BackendUnavailable, match="the devices are closed"):
            workers.index_frames(*batches[0], PLAN, P)
        has_ended.set()

    threading.Thread(target=ask, daemon=True).start()
    workers.close()
    assert has_ended.wait(20)


READY = threading.Event()


def make_ready():
    READY.set()


def is_ready(device):
    return READY.wait(60)


def test_tasks_one_after_the_other_are_done_by_the_same_worker(batches, tmp_path):
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)] * 2, make_ready)
    try:
        assert workers.submit("nothing", is_ready).result()
        assert not READY.is_set()
        assert len({workers.submit("a batch", noted, tmp_path, batches[2]).result()[0] for _ in range(4)}) == 1
    finally:
        workers.close()


def test_a_device_that_is_not_there_is_told_at_the_start():
    with pytest.raises(BackendUnavailable):
        DeviceWorkers([functools.partial(get_backend, "cuda", 99)])


def test_an_error_of_one_batch_is_no_fault_of_the_device(batches):
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)])
    try:
        with pytest.raises(TypeError):
            workers.index_frames(*batches[0], PLAN, P, unknown=1)
        assert workers.index_frames(*batches[0], PLAN, P).n_frames == 3
    finally:
        workers.close()


class OfTwoParts(Exception):
    """An error that pickle does not restore, because it has another number of arguments than its text."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


def writes(device):
    raise errors.OutputError("x.h5", "cannot be written: no space left on device")


def fails(device):
    raise OfTwoParts("a", "b")


def returns_no_data(device):
    return lambda: 0


def test_an_error_of_a_task_comes_back_whatever_it_is():
    workers = DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)])
    try:
        for task, error, text in (
            (writes, errors.OutputError, "x.h5: cannot be written: no space left on device"),
            (fails, RuntimeError, "OfTwoParts: a b"),
            (returns_no_data, Exception, "lambda"),
        ):
            doing = workers.submit("a task", task)
            assert doing.wait(60)
            with pytest.raises(error, match=text):
                doing.result()
        assert workers.submit("a task", str).wait(60)
    finally:
        workers.close()


ERRORS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.FfbidxError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_the_same_in_another_process(kind):
    texts = list(inspect.signature(kind).parameters) if inspect.isfunction(kind.__init__) else ["text"]
    error = kind(*texts)
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), vars(other)) == (kind, str(error), vars(error))
