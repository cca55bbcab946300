"""Shards of a run on the workers of a dask cluster on this machine, some of which die."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import dask
import distributed
import h5py
import numpy as np
import psutil
import pytest
from calls import start
from faults.runs import QUICK, assert_same, make_inputs, run
from frames import CELL, frame

import ffbidx_core.shards as shards
from ffbidx_core import read_results
from ffbidx_core.distribute import dask_cluster, dask_worker, devices
from ffbidx_core.distribute.dask_cluster import open_cluster
from ffbidx_core.distribute.dask_worker import Where
from ffbidx_core.distribute.shard import index_shard
from ffbidx_core.distribute.worker import DeviceFault
from ffbidx_core.errors import BackendUnavailable, InputError, NothingProcessed, ParameterError, UsageError
from ffbidx_core.job import Job
from ffbidx_core.read import Source
from ffbidx_core.read.identity import identities
from ffbidx_core.write import Output, PartsStore

FRAMES = 48


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"), FRAMES)


@pytest.fixture(scope="module")
def wanted(sources, tmp_path_factory):
    """The output of one process."""
    output = tmp_path_factory.mktemp("wanted") / "x.h5"
    run(sources, output)
    return output


@pytest.fixture(scope="module")
def cluster():
    # Whatever the machine: two deaths are enough to be told of.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), \
            open_cluster("local:2", backend="cpu", threads=1) as made:
        yield made


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four frames and fewer, so that files and cells begin and end in their midst."""
    monkeypatch.setattr(shards, "FIRST_FRAMES", 4)
    monkeypatch.setattr(shards, "SHARD_FRAMES", 4)
    monkeypatch.setattr(shards, "FEWEST_FRAMES", 1)


def run_on(cluster, sources, output, *, resume=False, **changes):
    usual = {"cells": CELL[None], "backend": "cpu", "threads": 1, "batch_size": 3, "save_seconds": 0.0}
    options = {name: changes.pop(name) for name in ("progress", "stop") if name in changes}
    job = Job(**({"sources": sources, "parameters": QUICK, "output": str(output)} | usual | changes))
    return shards.index_on(cluster, job, store=PartsStore([Output(str(output))], resume=resume), **options)


def test_results_are_those_of_one_process(cluster, sources, wanted, tmp_path, small_shards):
    events = []
    summary = run_on(cluster, sources, tmp_path / "x.h5", progress=events.append)
    assert (tmp_path / "x.h5").read_bytes() == wanted.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    one = run(sources, tmp_path / "one.h5").summary.as_dict()
    here = summary.as_dict()
    for name in ("seconds", "frames_per_second", "output"):
        del one[name], here[name]
    assert here == one
    assert [event.frames for event in events] == sorted(event.frames for event in events)
    assert events[-1].frames == FRAMES + 1


@pytest.mark.parametrize("changes", [
    {"every": 3, "max_frames": 11}, {"keep_all": True, "max_frames": 9}, {"parameters": QUICK.replace(learn_cell=0)},
])
def test_parts_of_the_frames_and_other_settings(cluster, sources, tmp_path, small_shards, changes):
    check(cluster, sources, tmp_path, **changes)


def check(cluster, sources, folder, **changes):
    """Compare with one process, byte for byte."""
    run_on(cluster, sources, folder / "x.h5", **changes)
    run(sources, folder / "one.h5", **changes)
    assert (folder / "x.h5").read_bytes() == (folder / "one.h5").read_bytes()


def test_files_with_cells_of_their_own(cluster, tmp_path, small_shards):
    sources = make_inputs(tmp_path, 12)
    for number, source in enumerate(source for source in sources if os.path.exists(source.path)):
        with h5py.File(source.path, "a") as file:
            file["cells"] = CELL[None] * (1 + 0.001 * number)
    check(cluster, sources, tmp_path, cells=None)


def test_a_share_of_the_frames(cluster, sources, tmp_path, small_shards):
    """Job arrays may have clusters of their own."""
    for number in (1, 2):
        job = Job(sources, QUICK, CELL[None], backend="cpu").shard(number, 2)
        check(cluster, sources, tmp_path, span=job.span)
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("most", [None, 20])
def test_a_file_that_breaks_off(cluster, tmp_path, small_shards, most):
    """Shards that were planned behind the break are given up, and planned anew."""
    pieces = [frame(seed, 50)[1] for seed in range(20)]
    for name in "abc":
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            spots = file.create_dataset("spots", data=np.concatenate(pieces), chunks=(50, 3), fletcher32=True)
            spots.attrs["units"] = "1/angstrom"
            file["offsets"] = np.arange(21) * 50
            at = spots.id.get_chunk_info(5).byte_offset
        if name != "c":
            image = bytearray((tmp_path / f"{name}.h5").read_bytes())
            image[at] ^= 4
            (tmp_path / f"{name}.h5").write_bytes(image)
    sources = [Source(str(tmp_path / f"{name}.h5")) for name in "abc"]
    check(cluster, sources, tmp_path, max_frames=most)
    results = read_results(tmp_path / "x.h5")
    assert (results.index == -1).sum() == 2
    assert results.n_frames == (5 + 1 + 5 + 1 + 20 if most is None else most + 2)


def test_the_only_file_cannot_be_used(cluster, tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n no more")
    with pytest.raises(InputError, match=r"x\.h5: "):
        run_on(cluster, [Source(str(path))], tmp_path / "out.h5")
    with pytest.raises(NothingProcessed):
        run_on(cluster, [Source(str(path)), Source(str(tmp_path / "none.h5"))], tmp_path / "out.h5")


class Dies:
    """Devices that end their process in the second batch of a shard, in one way or another."""

    def __init__(self, devices, how):
        self._devices, self._how, self._batches = devices, how, 0

    def __getattr__(self, name):
        return getattr(self._devices, name)

    def index_frames(self, *arguments, **keywords):
        self._batches += 1
        if self._batches == 2 and self._how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._batches == 2:
            raise DeviceFault("an illegal memory access was encountered")
        return self._devices.index_frames(*arguments, **keywords)


def killed_once(devices, shard):
    return dies_once(devices, shard, "killed")


def fails_once(devices, shard):
    return dies_once(devices, shard, "fails")


def dies_once(devices, shard, how):
    # The first frames are not all usable.
    if shard.job.span.start.taken >= 8:
        with contextlib.suppress(FileExistsError):
            open(Path(shard.job.sources[0].path).parent / how, "x").close()
            devices = Dies(devices, how)
    return index_shard(devices, shard)


def killed_at_frame_20(devices, shard):
    start = shard.job.span.start
    return index_shard(Dies(devices, "killed") if start.taken <= 20 < start.taken + 4 else devices, shard)


def pids(cluster):
    return set(cluster._client.run(os.getpid).values())


@pytest.mark.parametrize("function", [killed_once, fails_once])
def test_a_worker_that_dies_in_the_middle(cluster, sources, wanted, tmp_path, monkeypatch, small_shards, function):
    before = pids(cluster)
    monkeypatch.setattr(shards, "index_shard", function)
    run_on(cluster, sources, tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_bytes() == wanted.read_bytes()
    assert before - pids(cluster)


def test_a_frame_that_kills_every_worker_ends_the_run(
    cluster, sources, wanted, tmp_path, monkeypatch, small_shards
):
    output = tmp_path / "x.h5"
    monkeypatch.setattr(shards, "index_shard", killed_at_frame_20)
    says = r"2 workers of dask died one after the other with the 4 frames up to .*1\.h5//7: see their logs; with --res"
    with pytest.raises(BackendUnavailable, match=says) as caught:
        run_on(cluster, sources, output, save_seconds=1e9)
    assert caught.value.exit_status == 4
    assert not output.exists()
    assert (tmp_path / "x.h5.parts/000000.h5").exists()
    monkeypatch.undo()
    run_on(cluster, sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()


def slow_shard(devices, shard):
    time.sleep(0.2)
    return index_shard(devices, shard)


CLIENT = """
import sys
sys.path[:0] = {paths!r}
import test_dask
from ffbidx_core import shards

if __name__ == "__main__":
    shards.index_shard = test_dask.slow_shard
    shards.FIRST_FRAMES = shards.SHARD_FRAMES = 4
    {then}
"""


def test_a_client_that_is_killed_is_taken_up(sources, wanted, tmp_path, monkeypatch):
    """Then without dask: what was saved is not computed again."""
    output, ledger = tmp_path / "x.h5", tmp_path / "x.h5.parts/ledger.jsonl"
    then = f"""
    from ffbidx_core.read import Source
    with test_dask.open_cluster("local:2", backend="cpu") as cluster:
        test_dask.run_on(cluster, {sources!r}, test_dask.Path({str(output)!r}))
"""
    client = subprocess.Popen([sys.executable, "-c", CLIENT.format(paths=sys.path, then=then)])
    wait_until(lambda: client.poll() is not None or (ledger.exists() and ledger.read_text().count('"shard"') > 2))
    assert client.poll() is None
    client.kill()
    client.wait()
    done = sum(bool("shard" in json.loads(line)) for line in ledger.read_text().splitlines() if line.endswith("}"))
    frames = sum(len(read_results(path).index) for path in sorted((tmp_path / "x.h5.parts").glob("*.h5"))[:done])
    assert 0 < frames < FRAMES
    computed = []
    original = devices.index_frames

    def counting(backend, spots, offsets, *arguments, **options):
        computed.append(len(offsets) - 1)
        return original(backend, spots, offsets, *arguments, **options)

    monkeypatch.setattr(devices, "index_frames", counting)
    run(sources, output, resume=True, batch_size=5, threads=2)
    assert_same(read_results(output), read_results(wanted), device=False)
    assert FRAMES - frames - 5 <= sum(computed) <= FRAMES - frames + 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_keeps_what_is_done(sources, tmp_path, number, status):
    (tmp_path / "c.cell").write_text("31 42 53 90 103 90\n")
    ledger = tmp_path / "x.h5.parts/ledger.jsonl"
    arguments = ["index", *(str(source) for source in sources), "--cell", str(tmp_path / "c.cell"), "-o",
                 str(tmp_path / "x.h5"), "--num-halfsphere-points", "1024", "--learn-cell", "6", "--backend", "cpu"]
    then = f"""
    from ffbidx_cli.main import main
    sys.exit(main({[*arguments, "--dask", "local:2", "--save-every", "0"]!r}))
"""
    client = subprocess.Popen([sys.executable, "-c", CLIENT.format(paths=sys.path, then=then)],
                              stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: client.poll() is not None or (ledger.exists() and '"shard"' in ledger.read_text()))
    # As a terminal and SLURM do: to all processes.
    os.killpg(client.pid, number)
    _, err = client.communicate(timeout=60)
    assert client.returncode == status, err
    assert "Traceback" not in err
    results = read_results(tmp_path / "x.h5")
    assert 0 < results.n_frames < FRAMES
    assert not results.complete
    again = start(*arguments, "--resume", "-q")
    _, err = again.communicate(timeout=60)
    assert again.returncode == 3, err
    assert read_results(tmp_path / "x.h5").n_frames == FRAMES + 1


def test_a_run_that_is_told_to_stop_takes_no_more(cluster, sources, tmp_path, small_shards):
    stop = threading.Event()
    summary = run_on(cluster, sources, tmp_path / "x.h5", stop=stop, progress=lambda event: stop.set())
    assert (summary.frames, summary.complete) == (4, False)
    assert read_results(tmp_path / "x.h5").n_frames == 4
    stop.set()
    summary = run_on(cluster, sources, tmp_path / "y.h5", stop=stop)
    assert (summary.frames, summary.complete) == (0, False)
    assert not (tmp_path / "y.h5").exists()


def test_inputs_that_a_worker_sees_otherwise_are_refused(cluster, sources, tmp_path, monkeypatch):
    def elsewhere(these):
        return [each._replace(size=7) if each.path.endswith("1.h5") else each for each in identities(these)]

    monkeypatch.setattr(shards, "identities", elsewhere)
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
        run_on(cluster, [source], tmp_path / "x.h5", cells=None, limit_cells=True,
               parameters=QUICK.replace(max_input_cells=1, learn_cell=0))


@pytest.fixture
def scheduler():
    """A scheduler as others start it, with a worker in this process that has two threads."""
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
                                  host="127.0.0.1", dashboard_address="127.0.0.1:0") as made:
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


def test_a_scheduler_that_goes_away(scheduler, sources, tmp_path, small_shards):
    def gone(event):
        if event.frames == 8:
            scheduler.close()

    with open_cluster(scheduler.scheduler_address, backend="cpu") as cluster, \
            pytest.raises(BackendUnavailable, match=r"the (connection to the )?scheduler .*; with --resume"):
        run_on(cluster, sources, tmp_path / "x.h5", progress=gone)
    assert len(list((tmp_path / "x.h5.parts").glob("*.h5"))) >= 2


def test_addresses_that_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    for address in ("local", "local:0", "local:x", "here", "", "1.2.3.4"):
        with pytest.raises(UsageError, match=f"--dask {address}: wanted is "):
            open_cluster(address)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(BackendUnavailable, match=f"--dask {address}: no scheduler answers: Timed out"):
            open_cluster(address)
    with pytest.raises(BackendUnavailable, match="no scheduler answers: TLS"):
        open_cluster("tls://127.0.0.1:9")
    (tmp_path / "x.json").write_text("[]")
    for name, says in (("x.json", "no file that a dask scheduler wrote"), ("y.json", "no such file")):
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
    with pytest.raises(UsageError, match="local:5: a worker has a GPU of its own, of 4: take local:4, or --b"):
        dask_cluster._gpus("auto", None, 5)
    with pytest.raises(UsageError, match="take local:1"):
        dask_cluster._gpus("auto", "2", 2)
    monkeypatch.setattr("dask.system.CPU_COUNT", 5)
    assert [dask_cluster._share_of_cores(n) for n in (1, 2, 9)] == [5, 2, 1]
    monkeypatch.setattr(dask_cluster, "why_no_cuda", lambda: "no GPU")
    assert dask_cluster._gpus("auto", None, 9) == ()
    worker = SimpleNamespace(name=1, state=SimpleNamespace(nthreads=4))
    monkeypatch.setattr(dask_worker, "_worker", lambda: worker)
    where = Where("cuda", None, 2, (3, 1), "/", None)
    assert dask_worker._device_and_threads(where) == ("1", 2)
    assert dask_worker._device_and_threads(dataclasses.replace(where, gpus=(), threads=None)) == (None, 4)


def test_nobody_else_can_connect(cluster):
    """Ports are open on the loopback only, and ask for a key."""
    here = psutil.Process()
    ports = [
        address.laddr.ip for process in (here, *here.children(recursive=True))
        for address in process.net_connections(kind="inet") if address.status == psutil.CONN_LISTEN
    ]
    assert ports
    assert set(ports) == {"127.0.0.1"}
    with pytest.raises(BackendUnavailable, match="no scheduler answers"):
        open_cluster(cluster._client.scheduler.address)


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
        [sys.executable, "-c", code, "index", sources[0].path, "--cell", "31,42,53,90,103,90", "--max-frames", "2",
         "--num-halfsphere-points", "1024", "--backend", "cpu", "-o", str(tmp_path / "x.h5")], check=False,
    )
    assert done.returncode == 0
