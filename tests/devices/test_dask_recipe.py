"""The script of docs/slurm for dask, by stand-ins for what SLURM has."""

import os
import signal
import subprocess
import sys

import pytest

from ffbidx_core import read_results
from tests.helpers.paths import ROOT
from tests.helpers.runs.faults import make_inputs
from tests.helpers.runs.until import until

SCRIPT = ROOT / "docs/slurm/dask.sbatch"
PROGRAM = f'{sys.executable} -c "import sys; from ffbidx_cli.main import main; sys.exit(main())"'
DASK = f"{sys.executable} -m dask"
# In place of two tasks on two nodes.
SRUN = '"$@" & first=$!; "$@" & second=$!; trap "kill $first $second" TERM; wait; wait'


@pytest.fixture
def environment(tmp_path):
    """Makes the environment of a job in which some programs are scripts."""

    def make(**scripts):
        tools = tmp_path / "bin"
        tools.mkdir()
        for name, script in {"srun": SRUN, "scontrol": 'echo "$@" >> requeued', **scripts}.items():
            (tools / name).write_text(f"#!/bin/bash\n{script}\n")
            (tools / name).chmod(0o755)
        (tmp_path / "protein.cell").write_text("31 42 53 90 103 90\n")
        more = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1"}
        return os.environ | more | {"TMPDIR": str(tmp_path)}

    return make


def test_a_run_on_all_nodes(tmp_path, environment):
    (tmp_path / "data").mkdir()
    make_inputs(tmp_path / "data")
    quick = "--num-halfsphere-points 1024 --learn-cell 0 --backend cpu"
    job = environment(ffbidx=f'exec {PROGRAM} "$@" {quick}', dask=f'exec {DASK} "$@"')
    done = subprocess.run(
        ["bash", SCRIPT], cwd=tmp_path, env=job, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    results = read_results(tmp_path / "run.h5")
    assert (results.n_frames, results.complete, results.header.device) == (12, True, "1 thread")
    assert not (tmp_path / "requeued").exists()
    assert not list(tmp_path.glob("scheduler.*"))


def test_the_time_limit(tmp_path, environment):
    """SLURM signals the script, which signals the program, waits for it, and queues the job again."""
    job = environment(
        dask='[ $1 = scheduler ] && echo {} > "${@: -1}"; exec sleep 60',
        srun="exec sleep 60",
        ffbidx="trap 'sleep 0.3; exit 75' TERM; touch begun; while :; do sleep 0.05; done",
    )
    script = subprocess.Popen(["bash", SCRIPT], cwd=tmp_path, env=job)
    until((tmp_path / "begun").exists)
    script.send_signal(signal.SIGTERM)
    assert script.wait(timeout=60) == 75
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_a_scheduler_that_does_not_start(tmp_path, environment):
    job = environment(dask="exit 1", ffbidx="touch begun")
    assert subprocess.run(["bash", SCRIPT], cwd=tmp_path, env=job, timeout=60, check=False).returncode == 1
    assert not (tmp_path / "begun").exists()
