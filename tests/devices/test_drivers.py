"""One process, several devices and a cluster learn, collect and end a run by the same code."""

import functools

import pytest

from ffbidx_core import read_results
from ffbidx_core.backends import get_backend
from ffbidx_core.devices.workers import DeviceWorkers
from ffbidx_core.run import learning, pipeline
from ffbidx_core.run.collector import Collector
from tests.helpers.runs.dask import run_on
from tests.helpers.runs.faults import assert_same, run


@pytest.fixture
def calls(monkeypatch):
    """The calls of `settle`, and what each collector took: batches, or parts that workers saved."""
    made = []

    def settle(*arguments, **options):
        made.append("settle")
        return learning.settle(*arguments, **options)

    take, adopt, finish = Collector.take, Collector.adopt, Collector.finish
    monkeypatch.setattr(pipeline, "settle", settle)
    monkeypatch.setattr(Collector, "take", lambda self, found: (made.append("take"), take(self, found)))
    monkeypatch.setattr(Collector, "adopt", lambda self, *part: (made.append("adopt"), adopt(self, *part)))
    monkeypatch.setattr(Collector, "finish", lambda self, *rest: (made.append("finish"), finish(self, *rest)))
    return made


def two_devices(*_):
    return DeviceWorkers([functools.partial(get_backend, "cpu", None, 1)] * 2)


@pytest.mark.parametrize("driver", ["one process", "devices", "dask"])
def test_every_driver_settles_once_and_collects_by_the_same_collector(
    driver, calls, cluster, sources, wanted, tmp_path, monkeypatch
):
    output = tmp_path / "x.h5"
    if driver == "dask":
        run_on(cluster, sources, output)
    else:
        if driver == "devices":
            monkeypatch.setattr(pipeline, "open_devices", two_devices)
        run(sources, output)
    assert calls[0] == "settle"
    assert calls[-1] == "finish"
    assert set(calls[1:-1]) == {"take" if driver == "one process" else "adopt"}
    if driver != "devices":
        assert output.read_bytes() == wanted.read_bytes()
    else:
        assert_same(read_results(output), read_results(wanted), device=False)
