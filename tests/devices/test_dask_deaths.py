"""Workers and programs of a run with dask that die or are stopped."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ffbidx_core import read_results
from ffbidx_core.devices import devices
from ffbidx_core.devices.worker import DeviceFault
from ffbidx_core.errors import BackendUnavailable
from ffbidx_core.run.spread import on_workers
from ffbidx_core.run.spread.worker_task import index_task
from tests.helpers.calls import start
from tests.helpers.runs.dask import FRAMES, run_on
from tests.helpers.runs.faults import assert_same, run
from tests.helpers.runs.until import until


class Dies:
    """Devices that end their process in the second batch of a task, in one way or another."""

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


def killed_once(devices, task):
    return dies_once(devices, task, "killed")


def fails_once(devices, task):
    return dies_once(devices, task, "fails")


def dies_once(devices, task, how):
    # The first frames are not all usable.
    if task.job.span.start.taken >= 8:
        with contextlib.suppress(FileExistsError):
            open(Path(task.job.sources[0].path).parent / how, "x").close()
            devices = Dies(devices, how)
    return index_task(devices, task)


def killed_at_frame_20(devices, task):
    start = task.job.span.start
    return index_task(
        Dies(devices, "killed") if start.taken <= 20 < start.taken + task.job.span.n_frames else devices, task
    )


def pids(cluster):
    return set(cluster._client.run(os.getpid).values())


@pytest.mark.parametrize("function", [killed_once, fails_once])
def test_a_worker_that_dies_in_the_middle(cluster, sources, wanted, tmp_path, monkeypatch, small_tasks, function):
    before = pids(cluster)
    monkeypatch.setattr(on_workers, "index_task", function)
    run_on(cluster, sources, tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_bytes() == wanted.read_bytes()
    assert before - pids(cluster)


def test_a_frame_that_kills_every_worker_ends_the_run(cluster, sources, wanted, tmp_path, monkeypatch, small_tasks):
    output = tmp_path / "x.h5"
    monkeypatch.setattr(on_workers, "index_task", killed_at_frame_20)
    says = r"2 workers of dask died one after the other with the 6 frames up to .*1\.h5//7: see their logs; with --res"
    with pytest.raises(BackendUnavailable, match=says) as caught:
        run_on(cluster, sources, output, save_seconds=1e9)
    assert caught.value.exit_status == 4
    assert not output.exists()
    assert (tmp_path / "x.h5.parts/000000.h5").exists()
    monkeypatch.undo()
    run_on(cluster, sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()


def slow_task(devices, task):
    time.sleep(0.2)
    return index_task(devices, task)


CLIENT = """
import sys
sys.path[:0] = {paths!r}
from ffbidx_core.run.spread import on_workers
from tests.devices import test_dask_deaths

if __name__ == "__main__":
    on_workers.index_task = test_dask_deaths.slow_task
    on_workers.FIRST_FRAMES = on_workers.TASK_FRAMES = 4
    {then}
"""


def test_a_client_that_is_killed_is_taken_up(sources, wanted, tmp_path, monkeypatch):
    """Then without dask: what was saved is not computed again."""
    output, ledger = tmp_path / "x.h5", tmp_path / "x.h5.parts/ledger.jsonl"
    then = f"""
    from pathlib import Path
    from ffbidx_core.devices.dask_cluster import open_cluster
    from ffbidx_core.read import Source
    with open_cluster("local:2", backend="cpu") as cluster:
        test_dask_deaths.run_on(cluster, {sources!r}, Path({str(output)!r}))
"""
    client = subprocess.Popen([sys.executable, "-c", CLIENT.format(paths=sys.path, then=then)])
    until(lambda: client.poll() is not None or (ledger.exists() and ledger.read_text().count('"shard"') > 2))
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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_keeps_what_is_done(sources, tmp_path, number, status):
    (tmp_path / "c.cell").write_text("31 42 53 90 103 90\n")
    ledger = tmp_path / "x.h5.parts/ledger.jsonl"
    arguments = [
        "index",
        *(str(source) for source in sources),
        "--cell",
        str(tmp_path / "c.cell"),
        "-o",
        str(tmp_path / "x.h5"),
        "--num-halfsphere-points",
        "1024",
        "--learn-cell",
        "6",
        "--backend",
        "cpu",
    ]
    then = f"""
    from ffbidx_cli.main import main
    sys.exit(main({[*arguments, "--dask", "local:2", "--save-every", "0"]!r}))
"""
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT.format(paths=sys.path, then=then)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: client.poll() is not None or (ledger.exists() and '"shard"' in ledger.read_text()))
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


def test_a_run_that_is_told_to_stop_takes_no_more(cluster, sources, tmp_path, small_tasks):
    stop = threading.Event()
    summary = run_on(cluster, sources, tmp_path / "x.h5", stop=stop, progress=lambda event: stop.set())
    assert (summary.frames, summary.complete) == (6, False)
    assert read_results(tmp_path / "x.h5").n_frames == 6
    stop.set()
    summary = run_on(cluster, sources, tmp_path / "y.h5", stop=stop)
    assert (summary.frames, summary.complete) == (0, False)
    assert not (tmp_path / "y.h5").exists()
