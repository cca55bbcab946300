"""Speed of the whole command, HDF5 to HDF5, compared with its engine on the same machine: python -m tests.bench.files.

A file of rotated stills is made, and `ffbidx index --preset best` is run on it in a process of its own, with learning
and the join; then the engine is measured on the same frames. Reading, computing and writing run at the same time; each
is busy while it does not wait for the others, and computing counts all lanes together.
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


def command(folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """Run the command on the file in a folder; returns wall seconds, summary, and busy seconds of the stages."""
    out, figures = folder / "out.h5", folder / "busy.json"
    arguments = ["index", str(folder / "spots.h5"), "-o", str(out), "--overwrite", "--json", *options]
    begin = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.helpers.runs.stages", str(figures), *arguments],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall = time.perf_counter() - begin
    summary = json.loads(ran.stdout)
    return {"wall": wall, "summary": summary, "busy": json.loads(figures.read_text())}


def engine_rate(backend: str, number: int | None, batches: Sequence[SimulatedFrames], calls: int) -> float:
    """The frames per second of the engine alone, with as many batches in progress as in the command."""
    measured = measure(get_backend(backend, number), batches, Parameters.preset("best"), calls)
    return measured.overlapped or measured.frames_per_second


def engines_rate(n_devices: int, batches: Sequence[SimulatedFrames], calls: int) -> float:
    """The sum of the frames per second of the engines of several GPUs, each in a process of its own."""
    with ProcessPoolExecutor(n_devices, mp_context=multiprocessing.get_context("spawn")) as processes:
        rates = [processes.submit(engine_rate, "cuda", number, batches, calls) for number in range(n_devices)]
        return sum(rate.result() for rate in rates)


def row(name: str, n_frames: int, rate: float, ran: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a run as text."""
    seconds = ran["summary"]["seconds"]
    busy = ", ".join(f"{stage} {ran['busy'].get(stage, 0):.2f}" for stage in ("read", *CALLS))
    return {
        "frames": f"{n_frames:,} {name}",
        "engine": f"{rate:,.0f}",
        "command": f"{n_frames / seconds:,.0f}",
        "share": f"{n_frames / seconds / rate:.2f}",
        "indexed": f"{ran['summary']['indexed'] / n_frames:.4%}",
        "outside": f"{ran['wall'] - seconds:.1f}",
        "busy": busy,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.files", description=__doc__)
    parser.add_argument("--backend", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs that share the run out")
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of the file, rounded up to whole batches")
    parser.add_argument("--batch", type=int, help="frames of a batch of the engine")
    parser.add_argument("--calls", type=int, default=10, help="timed calls of the engine")
    parser.add_argument("--repeats", type=int, default=2, help="runs of the command; the last is reported")
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
            for _ in range(args.repeats):
                ran = command(Path(folder), options)
                print(
                    json.dumps({"wall": ran["wall"], "seconds": ran["summary"]["seconds"], **ran["busy"]}), flush=True
                )
        if args.devices > 1:
            rate = engines_rate(args.devices, batches, args.calls)
        else:
            rate = engine_rate(args.backend, None, batches, args.calls)
        rows.append(row(name, n_frames, rate, ran))
        found = rows[-1]
        print(
            f"{found['frames']}: {found['indexed']} indexed, command {found['command']} frames/s, "
            f"engine {found['engine']}, share {found['share']}, {found['outside']} s outside its own clock; "
            f"busy seconds: {found['busy']}",
            flush=True,
        )
    if args.json:
        record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
