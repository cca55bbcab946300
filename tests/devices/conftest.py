"""A dask cluster on this machine, and what it works on."""

import dask
import pytest

from ffbidx_core.devices.dask_cluster import open_cluster
from ffbidx_core.run.spread import on_workers
from tests.helpers.runs.dask import FRAMES
from tests.helpers.runs.faults import make_inputs, run


@pytest.fixture(scope="package")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"), FRAMES)


@pytest.fixture(scope="package")
def wanted(sources, tmp_path_factory):
    """The output of one process."""
    output = tmp_path_factory.mktemp("wanted") / "x.h5"
    run(sources, output)
    return output


@pytest.fixture(scope="package")
def cluster():
    # Whatever the machine: two deaths are enough for the message.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        open_cluster("local:2", backend="cpu", threads=1) as made,
    ):
        yield made


@pytest.fixture
def small_tasks(monkeypatch):
    """Tasks of two batches of three frames and fewer, so that files and cells begin and end in their midst."""
    monkeypatch.setattr(on_workers, "FIRST_FRAMES", 6)
    monkeypatch.setattr(on_workers, "TASK_FRAMES", 6)
    monkeypatch.setattr(on_workers, "FEWEST_FRAMES", 1)
