"""Speed of the whole command, HDF5 to HDF5, compared with its engine on the same machine: python -m tests.bench.files.

A file of rotated stills is made, and `ffbidx index --preset best` is run on it in a process of its own, with learning
and the join; then the engine is measured on the same frames. Reading, computing and writing run at the same time; each
is busy while it does not wait for the others, and computing counts all lanes together. For several GPUs, whose
processes do all this by themselves, the wall time is divided into the phases of the run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import SCENARIOS, make_batches, measure
from ffbidx_core.parameters import Parameters
from ffbidx_core.run.job import BATCH_SIZE
from ffbidx_core.simulate import SimulatedFrames
from tests.bench import record
from tests.helpers.paths import ROOT
from tests.helpers.runs.stages import CALLS

NAMES = ("tetragonal, 100 spots", "tetragonal, 300 spots")
DISTINCT_BATCHES = 4


def write_spots(path: Path, batches: Sequence[SimulatedFrames], repeats: int) -> None:
    """Write a spot file with the frames of some batches, repeated."""
    n_spots = sum(len(batch.spots) for batch in batches)
    with h5py.File(path, "w") as file:
        mean = n_spots // sum(batch.n_frames for batch in batches)
        spots = file.create_dataset(
            "spots", (repeats * n_spots, 3), "f4", chunks=(min(repeats * n_spots, 64 * mean), 3)
        )
        spots.attrs["units"] = "1/angstrom"
        offsets, at = [np.zeros(1, np.int64)], 0
        for batch in [*batches] * repeats:
            spots[at : at + len(batch.spots)] = batch.spots
            offsets.append(batch.offsets[1:] + at)
            at += len(batch.spots)
        file["offsets"] = np.concatenate(offsets)
        file["cells"] = batches[0].input_cells
        file["cells"].attrs["units"] = "angstrom"


def phases(begin: float, figures: Mapping[str, Any], end: float) -> dict[str, float]:
    """The seconds of the phases of a run on several devices, which add up to its wall time.

    They are the start of the process, opening the devices, learning; the time until the first task is done, the time
    until a device has no more tasks, and until all tasks are done and taken over; judging, the end with the join, and
    the exit of all processes.

    Parameters
    ----------
    begin, end
        Times at which the process was started and had ended.
    figures
        Figures of `stages.run_timed`.
    """
    spans = figures["spans"]
    learned, judged = spans["learn"][1], spans["judge"][0]
    last: dict[str, float] = {}
    for _, done, device in (task for task in figures["tasks"] if learned <= task[0] < judged):
        last[device] = max(done, last.get(device, 0.0))
    times = {
        "start": spans["open"][0],
        "open": spans["open"][1],
        "learn": learned,
        "first task": min(task[1] for task in figures["tasks"] if learned <= task[0]),
        "tasks": min(last.values()),
        "tail": judged,
        "judge": spans["judge"][1],
        "end": spans["end"][1],
        "exit": end,
    }
    return {name: then - before for (name, then), before in zip(times.items(), [begin, *times.values()], strict=False)}


def command(folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """Run the command on the file in a folder; returns wall seconds, summary, and busy seconds of the stages.

    For several devices, the seconds of the `phases` are returned, too.
    """
    out, figures = folder / "out.h5", folder / "busy.json"
    arguments = ["index", str(folder / "spots.h5"), "-o", str(out), "--json", *options]
    # To free the space of an earlier output takes some time, which most runs need not spend.
    out.unlink(missing_ok=True)
    begin = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.helpers.runs.stages", str(figures), *arguments],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.perf_counter()
    found = json.loads(figures.read_text())
    by_phase = phases(begin, found, end) if found["tasks"] else {}
    return {"wall": end - begin, "summary": json.loads(ran.stdout), "busy": found["busy"], "phases": by_phase}


def engine_rate(backend: str, number: int | None, batches: Sequence[SimulatedFrames], calls: int) -> float:
    """The frames per second of the engine alone, with as many batches in progress as in the command."""
    measured = measure(get_backend(backend, number), batches, Parameters.preset("best"), calls)
    return measured.overlapped or measured.frames_per_second


def engines_rate(backend: str, numbers: Sequence[int | None], batches: Sequence[SimulatedFrames], calls: int) -> float:
    """The sum of the frames per second of the engines of some devices, each in a process of its own.

    The processes end with the measurement, so that the commands have the devices to themselves.
    """
    with ProcessPoolExecutor(len(numbers), mp_context=multiprocessing.get_context("spawn")) as processes:
        rates = [processes.submit(engine_rate, backend, number, batches, calls) for number in numbers]
        return sum(rate.result() for rate in rates)


def row(name: str, n_frames: int, rate: float, ran: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a run as text."""
    seconds = ran["summary"]["seconds"]
    busy = {stage: ran["busy"].get(stage, 0) for stage in ("read", *CALLS)}
    kind, parts = ("phases", ran["phases"]) if ran["phases"] else ("busy", busy)
    return {
        "frames": f"{n_frames:,} {name}",
        "engine": f"{rate:,.0f}",
        "command": f"{n_frames / seconds:,.0f}",
        "share": f"{n_frames / seconds / rate:.2f}",
        "indexed": f"{ran['summary']['indexed'] / n_frames:.4%}",
        "outside": f"{ran['wall'] - seconds:.1f}",
        kind: ", ".join(f"{name} {spent:.2f}" for name, spent in parts.items()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.files", description=__doc__)
    parser.add_argument("--backend", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs that share the run out")
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of the file, rounded up to whole batches")
    parser.add_argument("--batch", type=int, help="frames of a batch of the engine")
    parser.add_argument("--calls", type=int, default=10, help="timed calls of the engine")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the command; the median one is reported")
    parser.add_argument("--only", action="append", choices=NAMES, help="these frames only (repeatable)")
    record.add_option(parser)
    args = parser.parse_args(arguments)
    size = args.batch or BATCH_SIZE.get(args.backend, 256)
    repeats = -(-args.frames // (DISTINCT_BATCHES * size))
    options = ["--backend", args.backend, "--preset", "best"]
    if args.backend == "cuda":
        options += ["--device", ",".join(map(str, range(args.devices)))]
    rows = []
    for name in args.only or NAMES:
        batches = make_batches(SCENARIOS[name], size, DISTINCT_BATCHES)
        n_frames = repeats * DISTINCT_BATCHES * size
        with tempfile.TemporaryDirectory() as folder:
            write_spots(Path(folder) / "spots.h5", batches, repeats)
            runs = []
            for _ in range(args.repeats):
                runs.append(ran := command(Path(folder), options))
                figures = {"wall": ran["wall"], "seconds": ran["summary"]["seconds"], **ran["busy"]}
                print(json.dumps(figures | ({"phases": ran["phases"]} if ran["phases"] else {})), flush=True)
        ran = sorted(runs, key=lambda run: run["summary"]["seconds"])[len(runs) // 2]
        numbers = range(args.devices) if args.backend == "cuda" else [None]
        rate = engines_rate(args.backend, numbers, batches, args.calls)
        rows.append(row(name, n_frames, rate, ran))
        found, kind = rows[-1], "phases" if ran["phases"] else "busy"
        print(
            f"{found['frames']}: {found['indexed']} indexed, command {found['command']} frames/s, "
            f"engine {found['engine']}, share {found['share']}, {found['outside']} s outside its own clock; "
            f"{kind}, in seconds: {found[kind]}",
            flush=True,
        )
    if args.json:
        record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
