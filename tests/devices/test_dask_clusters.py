"""Schedulers and workers of all kinds, and those that cannot be used."""

import dataclasses
import importlib.metadata
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import dask
import distributed
import h5py
import numpy as np
import psutil
import pytest

from ffbidx_core import read_results
from ffbidx_core.devices import dask_cluster, dask_connect, dask_worker
from ffbidx_core.devices.dask_cluster import open_cluster
from ffbidx_core.devices.dask_task import Task
from ffbidx_core.devices.dask_worker import Where
from ffbidx_core.errors import BackendUnavailable, InputError, ParameterError, UsageError
from ffbidx_core.read import Source
from ffbidx_core.read.files.identity import identities
from ffbidx_core.run import job
from tests.helpers.frames import CELL
from tests.helpers.runs.dask import run_on
from tests.helpers.runs.faults import QUICK, assert_same, make_inputs


def test_inputs_that_a_worker_sees_otherwise_are_refused(cluster, sources, tmp_path, monkeypatch):
    def elsewhere(these, prober):
        return [each._replace(size=7) if each.path.endswith("1.h5") else each for each in identities(these)]

    monkeypatch.setattr(job, "identities", elsewhere)
    with pytest.raises(InputError, match=r"1\.h5: is \d+ bytes for a worker and 7 bytes here: all must see the same"):
        run_on(cluster, sources, tmp_path / "x.h5")


def test_names_of_files_are_relative_to_the_directory_of_the_run(sources, tmp_path, monkeypatch, cluster):
    folder = Path(sources[0].path).parent
    monkeypatch.setattr(cluster, "where", dataclasses.replace(cluster.where, folder=str(folder)))
    monkeypatch.chdir(folder)
    near = [Source(Path(source.path).name) for source in sources]
    run_on(cluster, near, tmp_path / "x.h5")
    assert set(read_results(tmp_path / "x.h5").source) == {"0.h5", "not-there.h5", "1.h5", "2.h5"}
    monkeypatch.setattr(cluster, "where", dataclasses.replace(cluster.where, folder="/not/there"))
    with pytest.raises(InputError, match="/not/there: no such file or directory on the worker tls://127"):
        run_on(cluster, near, tmp_path / "y.h5")


def test_workers_must_be_alike(cluster, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "where", dataclasses.replace(cluster.where, name="cuda"))
    with pytest.raises(BackendUnavailable, match=r"the worker tls://.* computes on cpu, others on cuda: choose one"):
        run_on(cluster, sources, tmp_path / "x.h5")
    monkeypatch.undo()
    monkeypatch.setattr(dask_cluster, "VERSION", "9.9")
    with pytest.raises(BackendUnavailable, match=r"the worker tls://.* has ffbidx .*, this is 9\.9: install the same"):
        run_on(cluster, sources, tmp_path / "x.h5")


def test_errors_come_back_from_workers_as_they_were(cluster, tmp_path):
    """Here one of the limits that a frame's own cells can be beyond."""
    (source,) = make_inputs(tmp_path, 12)[:1]
    with h5py.File(source.path, "a") as file:
        file["cells"] = np.stack([CELL, CELL * 1.1])
    with pytest.raises(ParameterError, match="max_input_cells = 1 is out of range: at least the 2 input cells"):
        run_on(
            cluster,
            [source],
            tmp_path / "x.h5",
            cells=None,
            limit_cells=True,
            parameters=QUICK.replace(max_input_cells=1, learn_cell=0),
        )


@pytest.fixture
def scheduler():
    """A scheduler as others start it, with a worker in this process that has two threads."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as made:
        yield made


def test_a_scheduler_of_others(scheduler, sources, wanted, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": scheduler.scheduler_address}))
    for address in (scheduler.scheduler_address, str(file)):
        with open_cluster(address, backend="cpu") as cluster:
            run_on(cluster, sources, tmp_path / "x.h5")
        # As many threads as dask gives the worker.
        assert read_results(tmp_path / "x.h5").header.device == "2 threads"
        assert_same(read_results(tmp_path / "x.h5"), read_results(wanted), device=False)
        (tmp_path / "x.h5").unlink()


def test_workers_of_another_version_or_without_the_program(scheduler, monkeypatch):
    monkeypatch.setattr(dask_cluster, "VERSION", "9.9")
    with pytest.raises(BackendUnavailable, match=r"the worker .* has ffbidx .*, this is 9\.9: install the same"):
        open_cluster(scheduler.scheduler_address)

    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(BackendUnavailable, match=r"the worker .* has no ffbidx: install ffbidx 9\.9 there"):
        open_cluster(scheduler.scheduler_address)


def test_a_scheduler_without_workers(scheduler, monkeypatch, sources, tmp_path):
    monkeypatch.setattr(dask_cluster, "WORKER_SECONDS", 1.0)
    scheduler.scale(0)
    with pytest.raises(BackendUnavailable, match="no worker for 1 s: start some"):
        open_cluster(scheduler.scheduler_address)
    stop = threading.Event()
    stop.set()
    with open_cluster(scheduler.scheduler_address, stop=stop) as cluster:
        assert run_on(cluster, sources, tmp_path / "x.h5").frames == 0
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_does_not_wait_for_workers_that_are_gone(monkeypatch):
    monkeypatch.setattr(dask_cluster, "WORKER_SECONDS", 1.0)
    future = SimpleNamespace(add_done_callback=lambda fetch: None)
    client, stop = SimpleNamespace(nthreads=dict, submit=lambda *arguments, **more: future), threading.Event()
    stop.set()
    cluster = dask_cluster.Cluster(Where("cpu", None, 1, (), "."), "local:1", stop)
    cluster.greet(client, check_versions=False)
    with pytest.raises(BackendUnavailable, match="the run was stopped, and no worker is left"):
        cluster.wait_for(cluster.submit("frames to learn from", dask_worker.describe))


def test_a_scheduler_that_goes_away(scheduler, sources, tmp_path, small_tasks):
    def gone(event):
        if event.frames >= 8:
            scheduler.close()

    with (
        open_cluster(scheduler.scheduler_address, backend="cpu") as cluster,
        pytest.raises(BackendUnavailable, match=r"the (connection to the dask )?scheduler .*; with --resume"),
    ):
        run_on(cluster, sources, tmp_path / "x.h5", progress=gone)
    assert len(list((tmp_path / "x.h5.parts").glob("*.h5"))) >= 2


def test_addresses_that_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_connect, "CONNECT_SECONDS", 0.5)
    for address in ("local", "local:0", "local:x", "here", "", "1.2.3.4"):
        with pytest.raises(UsageError, match=f"--dask {address}: expected "):
            open_cluster(address)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(BackendUnavailable, match=f"--dask {address}: no scheduler answers: Timed out"):
            open_cluster(address)
    with pytest.raises(BackendUnavailable, match="no scheduler answers: TLS"):
        open_cluster("tls://127.0.0.1:9")
    (tmp_path / "x.json").write_text("[]")
    for name, says in (("x.json", "not a file written by a dask scheduler"), ("y.json", "no such file")):
        with pytest.raises(InputError, match=says):
            open_cluster(str(tmp_path / name))
    with pytest.raises(ParameterError, match="one GPU with --dask ADDRESS"):
        open_cluster("1.2.3.4:5", device="0,1")


def test_each_local_worker_has_its_gpu_or_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(dask_cluster, "why_no_cuda", lambda: "")
    monkeypatch.setattr(dask_cluster, "device_numbers", {None: [], "all": [0, 1, 2, 3], "3,1": [3, 1], "2": [2]}.get)
    assert dask_cluster._gpus("auto", None, 3) == (0, 1, 2)
    assert dask_cluster._gpus("cuda", "3,1", 2) == (3, 1)
    assert dask_cluster._gpus("cpu", None, 9) == ()
    with pytest.raises(
        UsageError, match="local:5: each worker needs its own GPU, and there are 4: take local:4, or --b"
    ):
        dask_cluster._gpus("auto", None, 5)
    with pytest.raises(UsageError, match="take local:1"):
        dask_cluster._gpus("auto", "2", 2)
    monkeypatch.setattr("dask.system.CPU_COUNT", 5)
    assert [dask_cluster._share_of_cores(n) for n in (1, 2, 9)] == [5, 2, 1]
    monkeypatch.setattr(dask_cluster, "why_no_cuda", lambda: "no GPU")
    assert dask_cluster._gpus("auto", None, 9) == ()
    worker = SimpleNamespace(name=1, state=SimpleNamespace(nthreads=4))
    monkeypatch.setattr(dask_worker, "_worker", lambda: worker)
    where = Where("cuda", None, 2, (3, 1), "/")
    assert dask_worker._device_and_threads(where) == ("1", 2)
    assert dask_worker._device_and_threads(dataclasses.replace(where, gpus=(), threads=None)) == (None, 4)


def test_nobody_else_can_connect(cluster):
    """Ports are open on the loopback only, and ask for a key."""
    here = psutil.Process()
    ports = [
        address.laddr.ip
        for process in (here, *here.children(recursive=True))
        for address in process.net_connections(kind="inet")
        if address.status == psutil.CONN_LISTEN
    ]
    assert ports
    assert set(ports) == {"127.0.0.1"}
    address = cluster._client.scheduler.address
    with pytest.raises(BackendUnavailable, match="no scheduler answers"):
        open_cluster(address)
    keys = cluster._client.security
    given = {"ca-file": keys.tls_ca_file, "client.key": keys.tls_client_key, "client.cert": keys.tls_client_cert}
    tls = dask.config.set({f"distributed.comm.tls.{name}": value for name, value in given.items()})
    with tls, open_cluster(address, backend="cpu", threads=1) as found:
        assert found.name == "cpu"


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendUnavailable, match=r"--dask needs dask\.distributed .*: pip install 'ffbidx\[dask\]'"):
        open_cluster("local:1")


def test_dask_is_imported_with_its_option_only(sources, tmp_path):
    code = (
        "import sys; from ffbidx_cli.main import main; status = main(sys.argv[1:]);"
        "sys.exit(status + 50 * any(name.split('.')[0] in ('dask', 'distributed') for name in sys.modules))"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "index",
            sources[0].path,
            "--cell",
            "31,42,53,90,103,90",
            "--max-frames",
            "2",
            "--num-halfsphere-points",
            "1024",
            "--backend",
            "cpu",
            "-o",
            str(tmp_path / "x.h5"),
        ],
        check=False,
    )
    assert done.returncode == 0


class Failed:
    """A future of dask that failed."""

    def __init__(self, error):
        self._error = error

    def add_done_callback(self, function):
        function(self)

    def result(self):
        raise self._error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RuntimeError("Error during deserialization of the task graph."), "scheduler of dask cannot load ffbidx: "),
        (ModuleNotFoundError("no", name="ffbidx_core"), "a worker of dask has no ffbidx: install"),
    ],
)
def test_what_fails_for_want_of_the_program(error, says):
    with pytest.raises(BackendUnavailable, match=says):
        Task(Failed(error), "a task").result()
    other = ValueError("as it was")
    with pytest.raises(ValueError, match="as it was"):
        Task(Failed(other), "a task").result()
