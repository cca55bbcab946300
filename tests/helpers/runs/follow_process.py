"""`ffbidx index --follow` in a process of its own: its progress and its end."""

import json
import time

from ffbidx_core import read_results
from tests.helpers.calls import QUICK
from tests.helpers.frames import frame

FRAMES = [frame(seed, 50)[1] for seed in range(9)]


def wait_until(condition, process):
    """Poll until a condition holds; slow machines may take long."""
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.05)


def progress():
    """The events so far."""
    try:
        with open("log.json", encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [event for event in map(json.loads, lines) if event["event"] == "progress"]


def frames_done():
    return max([event["frames"] for event in progress()], default=0)


def ordinary(run, cell_file, *inputs):
    """The results of an ordinary run over the files that exist at the end."""
    ran = run("index", *inputs, "--cell", cell_file, *QUICK, "--backend", "cpu", "-o", "ordinary.h5", "-q")
    assert ran.status in (0, 3), ran.err
    return read_results("ordinary.h5")


def ended(process, status=0):
    _, err = process.communicate(timeout=90)
    assert process.returncode == status, err
    assert "Traceback" not in err
    return err
