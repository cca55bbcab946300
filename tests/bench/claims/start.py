"""The CPU time of `ffbidx index` on one frame, part by part, with warm caches, and that of an error.

The time of a part is the difference between a process and one that ends a step earlier, as medians over processes.

    python -m tests.bench.claims.start [--runs 9]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("ffbidx"))
CELL = ("--cell", "79,79,38,90,90,90")
INDEX = (PROGRAM, "index", "one.h5", *CELL, "-o", "run.h5")
STEPS = {
    "Python": "import gc, atexit; gc.set_threshold(20_000); atexit.register(gc.freeze)",
    "Click and the options": "import ffbidx_cli.commands.index",
    "NumPy": "import numpy",
    "h5py": "import h5py",
    "rich": "import rich.console, rich.progress, rich.table",
    "Numba, its import": "import numba",
    "Numba, its tables of types, filled at the first kernel": (
        "from ffbidx_core.backends.cpu.fits import distances; zeros = numpy.zeros; distances(zeros((3, 0), 'f4'), "
        "zeros(1, 'i8'), 0, 0, zeros((0, 1, 3, 3)), False, zeros((1, 0), 'f4'))"
    ),
    "modules of this program": "import ffbidx_cli.console, ffbidx_core.run.pipeline, ffbidx_core.backends.cpu.backend",
}
"""Steps of the start, each with its code, which runs after the code of earlier steps."""
ERRORS = {
    "a missing input": ("index", "nowhere.h5", *CELL),
    "a missing cell file": ("index", "one.h5", "--cell", "nowhere.cell"),
    "a cell with numbers missing": ("index", "one.h5", "--cell", "79,79,38"),
    "an output that is there": INDEX[1:],
    "an unknown preset": ("index", "one.h5", *CELL, "--preset", "nearly"),
}


def cpu_seconds(command: Sequence[str], runs: int) -> float:
    """The median CPU seconds, user and system, of processes that run a command, after one that warms the caches."""
    # As for an installed package, whose modules are compiled to bytecode once.
    environment, taken = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}, []
    for _ in range(runs + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken[1:])


def parts() -> dict[str, list[str]]:
    """The parts of a run on one frame, each with a command that ends after it."""
    found, code = {}, ""
    for name, more in STEPS.items():
        code += more + "\n"
        found[name] = [sys.executable, "-c", code]
    found["the run: kernels from the cache, search, fits, files"] = [*INDEX, "--overwrite", "--judge-frames", "0"]
    found["the contest of its crystals with decoys"] = [*INDEX, "--overwrite"]
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="processes of each step")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        simulate = [PROGRAM, "simulate", "-o", "one.h5", *CELL, "--frames", "1", "--n-spots", "100", "100"]
        subprocess.run(simulate, check=True, capture_output=True)
        before = 0.0
        print(f"CPU seconds of `ffbidx index` on one frame of 100 spots, medians of {runs} processes\n")
        for name, command in parts().items():
            total = cpu_seconds(command, runs)
            print(f"{total - before:6.2f} {total:6.2f}  {name}", flush=True)
            before = total
        print("\nCPU seconds until an error\n")
        for name, arguments in ERRORS.items():
            print(f"{cpu_seconds([PROGRAM, *arguments], runs):6.2f}         {name}", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
