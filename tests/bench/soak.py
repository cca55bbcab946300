"""Long runs without the computation: speed of reading and writing, memory and open files: python -m tests.bench.soak.

The computation is replaced by a dummy that finds a crystal on every frame at once, so that only reading, batches,
queues, saved parts and the final join are measured. Finally a run with the computation, on one thread of the CPU,
gives the share of CPU time of everything else.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np

from ffbidx_core.benchmark import SCENARIOS
from ffbidx_core.devices import devices
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run import pipeline
from ffbidx_core.run.input_cells import InputCells
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import simulate
from ffbidx_core.write import Output, PartsStore
from tests.bench import record
from tests.bench.files import write_spots

CELL = np.diag([79.0, 79.0, 38.0])
MOST_KB_PER_1000_FRAMES = 32.0
FEWEST_FRAMES_PER_SECOND = 30_000.0
WARM_UP_BLOCKS = 16
LARGEST_SHARE = 0.03
"""Largest share of the CPU time for everything except the computation."""
PIECE = 4096
WARM_UP = 0.25
"""Share of the run after which its memory is watched; by then the allocator has filled its pools."""


def crystal_on_every_frame(backend: Any, spots: Any, offsets: Any, *arguments: Any, **options: Any) -> BatchResult:
    """Results like those of `index_frames`, made without computation."""
    n = len(offsets) - 1
    each = np.arange(n + 1)
    return BatchResult(
        n_sampled=np.diff(offsets).astype(np.int32),
        n_at_origin=np.zeros(len(offsets) - 1, np.int32),
        cell_offsets=each,
        cells=np.repeat(CELL[None], n, 0).astype("f4"),
        scores=np.zeros(n, "f4"),
        input_cell=np.zeros(n, "i4"),
        crystal_offsets=each,
        crystals=np.arange(n),
        n_indexed=np.diff(offsets).astype(np.int32),
        rmsd=np.zeros(n, "f4"),
        log10_chance=np.full(n, -20, "f4"),
        reason=np.zeros(n, "u1"),
        rung=np.zeros(n, "u1"),
        log10_false=np.full(n, -10, "f4"),
        n_expected=np.ones(n, "f4"),
        resolution=np.full(n, 2, "f4"),
    )


def make_spots(path: Path, n_frames: int, n_spots: int) -> None:
    """Write a spot file of random spots, with names of frames."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        rows = min(PIECE, n_frames) * n_spots
        spots = file.create_dataset("spots", shape=(n_frames * n_spots, 3), dtype="f4", chunks=(64 * n_spots, 3))
        spots.attrs["units"] = "1/angstrom"
        piece = rng.uniform(-0.4, 0.4, (rows, 3)).astype("f4")
        for begin in range(0, n_frames * n_spots, rows):
            end = min(begin + rows, n_frames * n_spots)
            spots[begin:end] = piece[: end - begin]
        file["offsets"] = np.arange(n_frames + 1) * n_spots


@dataclass
class Watch:
    """Memory and open files of this process, recorded after every batch.

    Attributes
    ----------
    frames, resident
        Number of finished frames, and resident memory in bytes, at each record.
    files
        Number of open files at each record.
    """

    frames: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    files: set[int] = field(default_factory=set)

    def __call__(self, event: pipeline.Progress) -> None:
        """Record memory and files after a batch."""
        self.look(event.frames)

    def look(self, frames: int) -> None:
        """Record memory and files once."""
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        self.frames.append(frames)
        self.resident.append(pages * resource.getpagesize())
        self.files.add(len(os.listdir("/proc/self/fd")))

    @property
    def slope(self) -> float:
        """The growth of resident memory in kB per 1000 frames, after the warm-up."""
        frames, resident = np.array(self.frames), np.array(self.resident)
        late = frames >= WARM_UP * frames[-1]
        return float(np.polyfit(frames[late] / 1000, resident[late] / 1000, 1)[0])


@dataclass
class Figures:
    """The measured figures of a run."""

    frames: int
    seconds: float
    watch: Watch
    busy: float = 0.0
    """CPU time in seconds."""

    @property
    def frames_per_second(self) -> float:
        """The frames per second, without the start-up of the interpreter."""
        return self.frames / self.seconds


def soak(folder: Path, n_frames: int, n_spots: int, *, batch_size: int, n_files: int = 4) -> Figures:
    """Run over `n_files` files with `n_frames` frames in total, HDF5 to HDF5, the join included."""
    sources = []
    for k in range(n_files):
        path = folder / f"{k}.h5"
        make_spots(path, n_frames // n_files, n_spots)
        sources.append(Source(str(path)))
    parameters = Parameters.preset("best", learn_cell=0)
    job = Job(sources, parameters, CELL[None], backend="cpu", batch_size=batch_size)
    watch = Watch()
    store = PartsStore([Output(str(folder / "out.h5"))], overwrite=True)
    with mock.patch.object(devices, "index_frames", crystal_on_every_frame):
        begin = time.perf_counter()
        outcome = pipeline.index(job, store=store, progress=watch)
        seconds = time.perf_counter() - begin
    watch.look(n_frames)
    assert outcome.summary.indexed == n_frames // n_files * n_files
    return Figures(outcome.summary.frames, seconds, watch)


def reading(folder: Path, n_frames: int, n_spots: int) -> Figures:
    """Read a file that was just written, as a run does, after loading the machine code."""
    path = folder / "read.h5"
    make_spots(path, n_frames, n_spots)
    job = Job([Source(str(path))], Parameters.preset("best"), CELL[None], batch_size=8192)
    for blocks in (itertools.islice(job.blocks(), WARM_UP_BLOCKS), job.blocks()):
        begin, before = time.perf_counter(), time.process_time()
        n = sum(block.n_frames for block in blocks)
        seconds, busy = time.perf_counter() - begin, time.process_time() - before
    assert n == n_frames
    return Figures(n, seconds, Watch(), busy)


def share_of_the_rest(folder: Path, n_stills: int, repeats: int = 16) -> float:
    """The share of CPU time that is spent neither on learning nor on indexing.

    It is measured in a run over a file with `repeats` times the same stills.
    """
    stills = [simulate(SCENARIOS["tetragonal, 300 spots"], n_stills)]
    computing: list[float] = []

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            begin, before = time.thread_time(), len(computing)
            result = work(*arguments, **options)
            # Indexing within learning is counted as learning.
            computing[before:] = [time.thread_time() - begin]
            return result

        return call

    with (
        mock.patch.object(devices, "index_frames", timed(devices.index_frames)),
        mock.patch.object(InputCells, "learn", timed(InputCells.learn)),
    ):
        # The first run compiles the kernels.
        for n in (1, repeats):
            computing.clear()
            path = folder / f"{n}.h5"
            write_spots(path, stills, n)
            job = Job([Source(str(path))], Parameters.preset("best"), CELL[None], backend="cpu", threads=1)
            begin = time.process_time()
            pipeline.index(job, store=PartsStore([Output(str(folder / "out.h5"))], overwrite=True))
            seconds = time.process_time() - begin
    return 1 - sum(computing) / seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.soak", description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000, help="small frames of the run that is watched")
    parser.add_argument("--fast-frames", type=int, default=65_536, help="frames of 300 spots of the run that is timed")
    parser.add_argument("--stills", type=int, default=512, help="simulated stills of the run that is computed")
    record.add_option(parser)
    options = parser.parse_args()
    failed, rows = [], []

    def note(what: str, found: str, asked: str) -> None:
        rows.append({"what": what, "found": found, "asked": asked})
        print(f"{what}: {found} (asked: {asked})", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), options.frames, 20, batch_size=1024)
        small = f"{found.frames:,} frames of 20 spots"
        note(f"growth of resident memory, {small}", f"{found.watch.slope:+.1f} kB per 1000 frames",
             f"at most {MOST_KB_PER_1000_FRAMES:g}")  # fmt: skip
        note(f"open files, {small}", f"{min(found.watch.files)} to {max(found.watch.files)}", "constant")
        if found.watch.slope > MOST_KB_PER_1000_FRAMES:
            failed.append("memory")
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), options.fast_frames, 300, batch_size=8192)
        note(
            f"HDF5 to HDF5 without the computation, {found.frames:,} frames of 300 spots",
            f"{found.frames_per_second:,.0f} frames/s",
            f"{FEWEST_FRAMES_PER_SECOND:,.0f} on the host of a GPU",
        )
    with tempfile.TemporaryDirectory() as folder:
        found = reading(Path(folder), options.fast_frames, 300)
        note(
            f"reading from the page cache, {found.frames:,} frames of 300 spots, {len(os.sched_getaffinity(0))} cores",
            f"{found.frames_per_second:,.0f} frames/s, {1e6 * found.busy / found.frames:.1f} us of a processor a frame",
            "500,000 on 16 cores, 150,000 on 2",
        )
    with tempfile.TemporaryDirectory() as folder:
        share = share_of_the_rest(Path(folder), options.stills)
        note("all but the computation, share of the processor's time on the CPU, 300 spots", f"{share:.1%}",
             f"at most {LARGEST_SHARE:.0%}")  # fmt: skip
        if share > LARGEST_SHARE:
            failed.append("share of the rest")
    if options.json:
        record.write(options.json, rows)
    print("failed: " + ", ".join(failed) if failed else "as asked")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
