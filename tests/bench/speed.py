"""Speed of the indexing in CPU time: python -m tests.bench.speed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LEARNED
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan, half_sphere
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import SimulatedFrames, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench import record
from tests.bench.scenarios import SPEED
from tests.bench.timed import HostClock, TimedVerbs

ASKED_MS = {"tetragonal, 100 spots": 2.0, "tetragonal, 300 spots": 2.5}
Spots = NDArray[np.float32]
FRAMES = 60
"""Number of frames of a timed call."""


def cpu_seconds(work: Callable[..., Any], *args: Any) -> float:
    """The CPU time in seconds of a call, over all threads of this process."""
    start = time.process_time()
    work(*args)
    return time.process_time() - start


ROWS: list[dict[str, Any]] = []
"""The figures so far, for `--json`."""


def row(name: str, value: float, unit: str, asked: str = "") -> None:
    """Print one figure with its target, and note it."""
    ROWS.append({"what": name, "values": [round(value, 3)], "unit": f" {unit}"})
    print(f"  {name:44} {value:9.3f} {unit:12} {asked}", flush=True)


def frames_section(repeats: int) -> None:
    """Measure whole frames on one thread."""
    print(f"Whole frames, preset best, one thread, CPU time, median of {repeats} calls of {FRAMES} frames")
    backend, p = get_backend("cpu", threads=1), Parameters.preset("best")
    for name, scenario in SPEED.items():
        plan = SearchPlan.make(scenario.input_cells, p, LEARNED)
        runs = [simulate(scenario, FRAMES, seed) for seed in range(repeats + 1)]
        index_frames(backend, runs[0].spots, runs[0].offsets, plan, p)
        tally, seconds, verbs = Tally(), [], TimedVerbs(backend, HostClock(time.process_time))
        for run in runs[1:]:
            start = time.process_time()
            result = index_frames(verbs, run.spots, run.offsets, plan, p)
            seconds.append(time.process_time() - start)
            tally.add(result, run)
        asked = f"at most {ASKED_MS[name]:g}; " if name in ASKED_MS else ""
        found = f"{tally.lattices_found} of {tally.lattices} lattices" if tally.lattices else f"{tally.claimed} claimed"
        row(name, median(seconds) * 1e3 / FRAMES, "ms/frame", asked + found)
        per_frame = {verb: spent * 1e3 / tally.frames for verb, spent in verbs.seconds.items()}
        print("    " + ", ".join(f"{verb} {ms:.2f}" for verb, ms in per_frame.items()))


def numpy_scores(directions: Spots, spots: Spots, length: float, p: Parameters, block: int = 1024) -> Spots:
    """The scores of step 1 in blocked float32 NumPy, for directions (P, 3) and spots (n, 3)."""
    out = np.empty(len(directions), np.float32)
    scaled = np.ascontiguousarray(spots.T * np.float32(length))
    low, high, delta, near = (np.float32(v) for v in (p.triml, p.trimh, p.delta, p.distance1))
    for first in range(0, len(directions), block):
        distance = directions[first : first + block] @ scaled
        distance -= np.rint(distance)
        np.abs(distance, out=distance)
        count = np.count_nonzero(distance < near, axis=1)
        np.clip(distance, low, high, out=distance)
        distance += delta
        np.log2(distance, out=distance)
        out[first : first + block] = np.exp2(distance.mean(axis=1)) - delta - count - 1
    return out


def step_one_section(repeats: int) -> None:
    """Compare step 1 with NumPy, for all directions on all spots."""
    print(f"Step 1, all directions on all spots, against blocked float32 NumPy, median of {repeats}")
    backend, p = get_backend("cpu", threads=1), Parameters.preset("best", race_spots=0, max_spots=300)
    directions = half_sphere(p.num_halfsphere_points).astype(np.float32)
    for name in ASKED_MS:
        scenario = SPEED[name]
        plan = SearchPlan.make(scenario.input_cells, p)
        ours, theirs = [], []
        for seed in range(repeats):
            frame = simulate(scenario, 1, seed)
            batch = backend.load(frame.spots, frame.offsets)
            if seed == 0:
                backend.find_candidate_vectors(batch, plan, p, p.num_halfsphere_points)
            ours.append(cpu_seconds(backend.find_candidate_vectors, batch, plan, p, p.num_halfsphere_points))
            theirs.append(sum(cpu_seconds(numpy_scores, directions, frame.spots, length, p) for length in plan.lengths))
        work = len(directions) * len(frame.spots) * len(plan.lengths) * 1e-9
        row(f"{name}, a direction and a spot", median(ours) / work, "ns")
        row(f"{name}, the same by NumPy in float32", median(theirs) / work, "ns")
        row("NumPy against the CPU backend", median(theirs) / median(ours), "times", "at least 8")


def threads_section(repeats: int) -> None:
    """Compare the CPU time of two threads together with that of one."""
    print(f"Threads: CPU time of {4 * FRAMES} frames of 100 spots, alternating, median of {repeats}")
    p, scenario = Parameters.preset("best"), SPEED["tetragonal, 100 spots"]
    plan, frames = SearchPlan.make(scenario.input_cells, p, LEARNED), simulate(scenario, 4 * FRAMES)
    spent: dict[int, list[float]] = {1: [], 2: []}
    backends = {n: get_backend("cpu", threads=n) for n in spent}
    for _ in range(repeats):
        for n, backend in backends.items():
            spent[n].append(cpu_seconds(index_frames, backend, frames.spots, frames.offsets, plan, p))
    row(f"{4 * FRAMES} frames, one thread", median(spent[1]), "s")
    row(f"{4 * FRAMES} frames, two threads together", median(spent[2]), "s")
    row("two threads together, against one", median(spent[2]) / median(spent[1]), "times", "at most 1.15")


def command(args: list[str], **environment: str) -> tuple[float, float, float]:
    """The CPU seconds, wall seconds and peak memory in MiB of one run of the command."""
    code = "import sys; from ffbidx_cli.main import main; sys.exit(main())"
    start = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"ffbidx {' '.join(args)} ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024


def start_section(repeats: int) -> None:
    """Measure the command with an empty cache, with a full one, and its help."""
    print(f"Start of the command on one frame (median of {repeats} but for the empty cache)")
    with tempfile.TemporaryDirectory() as folder:
        spots = Path(folder) / "frame.h5"
        write_spots(spots, simulate(SPEED["tetragonal, 100 spots"], 1))
        args = ["index", str(spots), "-o", str(Path(folder) / "out.h5"), "--overwrite", "--backend", "cpu"]
        cpu, wall, _ = command(args, NUMBA_CACHE_DIR=folder)
        row("a command of one frame, empty cache, CPU", cpu, "s", "at most 12")
        row("a command of one frame, empty cache, wall", wall, "s")
        for name, words, asked in (("a command of one frame", args, 1.5), ("--help", ["--help"], 0.25)):
            runs = [command(words, NUMBA_CACHE_DIR=folder) for _ in range(repeats)]
            row(f"{name}, CPU", median(run[0] for run in runs), "s", f"at most {asked:g}")
            row(f"{name}, wall", median(run[1] for run in runs), "s")


def memory_section(n_frames: int) -> None:
    """Measure the peak memory of a long run."""
    print(f"A run of {n_frames} frames of 300 spots")
    with tempfile.TemporaryDirectory() as folder:
        spots = Path(folder) / "run.h5"
        write_spots(spots, simulate(SPEED["tetragonal, 300 spots"], 200), n_frames)
        cpu, wall, peak = command(["index", str(spots), "-o", str(Path(folder) / "out.h5"), "--backend", "cpu"])
        row(f"{n_frames} frames of 300 spots, peak memory", peak, "MiB", "below 1024")
        row(f"{n_frames} frames of 300 spots, CPU", cpu * 1e3 / n_frames, "ms/frame")
        row(f"{n_frames} frames of 300 spots, wall", wall, "s")


def write_spots(path: Path, frames: SimulatedFrames, n_frames: int | None = None) -> None:
    """Write a spot file without truth, with frames repeated until there are `n_frames`."""
    chosen = np.arange(n_frames or frames.n_frames) % frames.n_frames
    parts = [frames.spots[frames.offsets[f] : frames.offsets[f + 1]] for f in chosen]
    with h5py.File(path, "w") as file:
        file["spots"] = np.concatenate(parts)
        file["spots"].attrs["units"] = "1/angstrom"
        file["offsets"] = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        file["cells"] = frames.input_cells


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.speed", description=__doc__)
    sections = ("frames", "step1", "threads", "start", "memory")
    parser.add_argument("--only", action="append", choices=sections, help="this section only (repeatable)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--frames", type=int, default=10_000, help="frames of the memory section's run")
    record.add_option(parser)
    args = parser.parse_args()
    work = {
        "frames": lambda: frames_section(args.repeats),
        "step1": lambda: step_one_section(args.repeats),
        "threads": lambda: threads_section(args.repeats),
        "start": lambda: start_section(args.repeats),
        "memory": lambda: memory_section(args.frames),
    }
    for name in sections:
        if not args.only or name in args.only:
            work[name]()
    if args.json:
        record.write(args.json, ROWS)


if __name__ == "__main__":
    main()
