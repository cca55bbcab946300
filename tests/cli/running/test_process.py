"""The program as a process: signals, pipes, full disks, terminals, what it loads."""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from tests.helpers.calls import MONO, start, write_spots
from tests.helpers.frames import frame
from tests.helpers.runs.faults import assert_same

SLOW = (
    "--backend", "reference", "--num-halfsphere-points", "2048", "--learn-cell", "0", "--judge-frames", "0"
)  # fmt: skip


@pytest.fixture
def long_run(tmp_path, monkeypatch, cell_file):
    """Start a run of many slow frames; the first one is bad, so that a note shows when its batch is finished."""
    monkeypatch.chdir(tmp_path)
    bad = np.full((6, 3), np.nan, np.float32)
    write_spots(tmp_path / "many.h5", [bad] + [frame(0)[1]] * 500)
    return lambda *arguments: start("index", "many.h5", "--cell", cell_file, *SLOW, "-v", *arguments)


def wait_for(process, word):
    """Read lines of standard error up to one with this word."""
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"the program ended without saying {word!r}")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_keeps_what_was_finished(long_run, number, status):
    process = long_run("--batch-size", 1, "-o", "x.h5")
    wait_for(process, "note: many.h5")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "incomplete results: x.h5"
    results = read_results("x.h5")
    assert not results.complete
    assert 1 <= results.n_frames < 501


UNDISTURBED = (
    "index", "many.h5", "--cell", MONO, "--backend", "reference", "--num-halfsphere-points", "512", "--searches", "1",
    "--learn-cell", "4", "--learn-min-crystals", "3", "--learn-rounds", "1", "--judge-frames", "0", "--batch-size", "1",
    "-v",
)  # fmt: skip
"""A command whose frames take long enough to be stopped in the middle; to judge its run would take minutes."""


def ends_well(output, *arguments, folder):
    """Make the run, which must end well."""
    process = start(*UNDISTURBED, *arguments, "-o", output, cwd=folder)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.splitlines()[-1] == f"results: {output}"
    return read_results(folder / output)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder with a spot file, and the results of an undisturbed run."""
    folder = tmp_path_factory.mktemp("many")
    write_spots(folder / "many.h5", [frame(seed)[1] for seed in range(16)])
    with h5py.File(folder / "many.h5", "a") as file:
        # That they are missing is noted with the first batch.
        del file["spots"].attrs["units"]
    return folder, ends_well("whole.h5", folder=folder)


@pytest.mark.parametrize("save", ["0", "1000"], ids=["with saved parts", "without"])
def test_stopped_in_the_middle_and_taken_up(many, save):
    """The same command again: the results are those of an undisturbed run."""
    (folder, whole), output = many, f"{save}.h5"
    process = start(*UNDISTURBED, "--save-every", save, "-o", output, cwd=folder)
    wait_for(process, "note: many.h5")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    stopped = read_results(folder / output)
    assert not stopped.complete
    assert 1 <= stopped.n_frames < 16
    assert not (folder / f"{output}.parts").exists()
    found = ends_well(output, "--save-every", save, "--resume", folder=folder)
    assert found.complete
    assert found.n_frames == 16
    assert found.learned_cells is not None
    assert_same(found, whole)
    assert not (folder / f"{output}.parts").exists()


def test_a_second_signal_leaves_at_once_and_leaves_nothing_behind(long_run, tmp_path):
    process = long_run("--batch-size", 501, "-o", "x.h5")
    wait_for(process, "num_halfsphere_points")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    wait_for(process, "once more")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    # After its batch it would have written what it had finished.
    assert "results" not in err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.txt", "many.h5"]


def test_a_reader_that_goes_away_is_no_error(tmp_path, spots_file, cell_file):
    for arguments in (["index", spots_file, "--cell", cell_file, "-o", "-", *SLOW], ["--help"], ["index", "--help"]):
        process = start(*arguments, cwd=tmp_path)
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 0, err
        assert "Error" not in err
        assert "Traceback" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_standard_output_on_a_full_device(spots_file, cell_file, tmp_path):
    for more in (["-o", "-"], ["--json", "-o", "x.h5"]):
        with open("/dev/full", "w") as full:
            arguments = ["index", spots_file, "--cell", cell_file, *SLOW, "-q", *more]
            process = start(*arguments, stdout=full, cwd=tmp_path)
            err = process.stderr.read()
        assert process.wait(timeout=60) == 6
        assert err.count("\n") == 1
        assert "No space left" in err


def test_a_disk_that_fills_up_leaves_the_old_output(spots_file, cell_file, tmp_path):
    (tmp_path / "x.h5").write_text("mine")
    process = start(
        "index",
        spots_file,
        "--cell",
        cell_file,
        *SLOW,
        "-q",
        "-o",
        "x.h5",
        "--overwrite",
        cwd=tmp_path,
        # The limit on the size of files stands for the disk; Python ignores its signal and sees an OSError.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    assert err.count("\n") == 1
    assert "x.h5" in err
    assert (tmp_path / "x.h5").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.txt", "spots.h5", "x.h5"]


def test_progress_on_a_terminal(spots_file, cell_file, tmp_path):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    arguments = ["index", spots_file, "--cell", cell_file, *SLOW, "--json"]
    process = start(*arguments, stderr=theirs, cwd=tmp_path, env=environment)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # the other end is closed
        pass
    assert json.loads(process.stdout.read())["indexed"] == 3
    assert process.wait(timeout=60) == 0
    assert b"3/3 frames, 100.0% indexed" in seen
    assert b"frames/s" in seen


def test_no_escape_sequences_off_a_terminal(spots_file, cell_file, tmp_path):
    process = start("index", spots_file, "--cell", cell_file, *SLOW, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert out == ""
    assert "\x1b" not in err
    assert "3 indexed" in err


@pytest.mark.parametrize("command", [[], ["index"], ["table"], ["doctor"], ["bench"]])
def test_help_loads_click_only(command):
    code = f"""
import sys
from ffbidx_cli.main import main
assert main([*{command}, "--help"]) == 0
heavy = {{"numpy", "h5py", "numba", "rich", "cupy", "gemmi"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_version():
    process = start("--version")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.split()[0] == "ffbidx"
