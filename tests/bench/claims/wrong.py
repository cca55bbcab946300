"""Runs with an error, and correct ones, and their doubts: python -m tests.bench.claims.wrong.

Whole runs are made as by the command, with learning and judgement. A crystal is wrong if its misorientation from the
true ones is more than 1.5 degrees or if it spans another lattice. In electron diffraction, where the Ewald sphere is
nearly flat, the true lattice may explain as many spots in another orientation as in the true one, above all turned by
half a turn about the beam; such *mates* are counted by themselves, since no rule can exclude them. A kind of wrong run
passes if at most 0.1 % of the frames in runs without a doubt have other wrong crystals; correct runs pass if at most
1 % of them doubt; blank frames pass if at most 0.05 % have a crystal.
`--jobs` makes several runs at once; the counts do not depend on it, and the CPU time of each kind is among them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import h5py
import numpy as np

from ffbidx_core.errors import CellError
from ffbidx_core.model.cell import Array, cell_from_parameters
from ffbidx_core.model.detector.beam_shift import Radian
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.model.records.results import Results
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.outcome import Outcome
from ffbidx_core.run.pipeline import index
from ffbidx_core.simulate import Scenario, SimulatedFrames
from ffbidx_core.simulate.judge import Judge
from tests.bench import record
from tests.bench.claims.runs import BLANK, BLANK_ELECTRONS, LENGTHS, RIGHT_RUNS, WRONG, Run

BEST = Parameters.preset("best")
RIGHT = 1.5
"""Largest misorientation of a correct crystal, degrees."""
ELECTRONS = 0.1
"""Wavelength below which frames are of electron diffraction, angstrom."""
AS_MANY = 0.95
"""Share of the spots of the true crystal that its mate must explain to count as one."""
MOST_WRONG, MOST_DOUBTED, MOST_BLANK = 0.001, 0.01, 5e-4
RIGHT_NAME, BLANK_NAME = "right runs", "blank frames, 1 to 60 % of the spots in the first shell"
ELECTRONS_NAME = "blank frames of electron diffraction, spots to 2 or 3.5 A"


@dataclass
class Count:
    """Counts over the runs of a kind: frames, wrong crystals, and doubts.

    Attributes
    ----------
    wrong, mates : int
        Number of frames with a wrong crystal, and of those whose wrong crystal is the true lattice in an orientation
        that explains as many spots as the true one.
    unsaid : int
        Number of frames with wrong crystals other than mates in runs without a doubt.
    seconds : float
        CPU time, seconds.
    """

    runs: int = 0
    frames: int = 0
    indexed: int = 0
    wrong: int = 0
    mates: int = 0
    unsaid: int = 0
    doubted: int = 0
    refused: int = 0
    seconds: float = 0.0

    def __add__(self, other: Count) -> Count:
        return Count(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Task:
    """A run to be made: its kind, its name, its frames and its parameters."""

    kind: str
    name: str
    run: Run
    n_frames: int
    seed: int
    parameters: Parameters = BEST

    def __call__(self) -> Count:
        """Index the frames as the command does, and count the results."""
        begun, frames = time.process_time(), self.run.frames(self.n_frames, self.seed)
        try:
            cell = self.run.scenario.input_cells[0] if self.run.cell is None else cell_from_parameters(self.run.cell)
        except CellError:
            return Count(1, self.n_frames, refused=1)
        lattice = Lattice(centring=self.run.scenario.centring if self.run.cell is None else "P")
        outcome = indexed(frames, cell, lattice, self.parameters)
        results, doubt = outcome.results(), bool(outcome.summary.doubt)
        found = np.flatnonzero(np.diff(results.crystal_offsets))
        wrong = [f for f in found.tolist() if not _is_right(results, frames, f)]
        mates = sum(self.run.cell is None and _is_mate(results, frames, f) for f in wrong)
        unsaid, seconds = 0 if doubt else len(wrong) - mates, time.process_time() - begun
        return Count(1, self.n_frames, len(found), len(wrong), mates, unsaid, doubt, seconds=seconds)


def indexed(frames: SimulatedFrames, cell: Array, lattice: Lattice, parameters: Parameters = BEST) -> Outcome:
    """Frames indexed as the command does, from a file that has their spots alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spots.h5")
        with h5py.File(path, "w") as file:
            file["spots"], file["offsets"] = frames.spots, frames.offsets
            file["spots"].attrs["units"] = "1/angstrom"
        return index(Job([Source(path)], parameters, cell[None], (lattice,), backend="cpu", threads=1))


def _is_right(results: Results, frames: SimulatedFrames, f: int) -> bool:
    """Whether the best crystal of a frame is one of its true lattices."""
    judge, crystal = Judge(frames.scenario), results.cells[results.crystals[results.crystal_offsets[f]]]
    true = range(frames.cell_offsets[f], frames.cell_offsets[f + 1])
    return any(
        judge.misorientation(crystal.astype(np.float64), frames.cells[t], int(frames.input_cell[t])) < RIGHT
        for t in true
    )


def _is_mate(results: Results, frames: SimulatedFrames, f: int) -> bool:
    """Whether the best crystal of a frame of electron diffraction explains as many spots as the true one."""
    scenario = frames.scenario
    if scenario.wavelength > ELECTRONS or frames.cell_offsets[f] == frames.cell_offsets[f + 1]:
        return False
    spots = frames.spots[frames.offsets[f] : frames.offsets[f + 1]].astype(np.float64)
    off = -np.array(scenario.beam_centre_error) * scenario.pixel_size * 1e-3 / scenario.distance
    spots = spots_of_moved_detector(spots, np.full(len(spots), scenario.wavelength), Radian(off))
    crystal = results.cells[results.crystals[results.crystal_offsets[f]]].astype(np.float64)
    true = frames.cells[frames.cell_offsets[f]]
    return _explained(spots, crystal, scenario) >= AS_MANY * _explained(spots, true, scenario)


def _explained(spots: Array, cell: Array, scenario: Scenario) -> int:
    """Number of spots (n, 3) nearer to a reflection of a cell than reflections are long."""
    indices = spots @ cell.T
    off = np.linalg.norm((indices - np.rint(indices)) @ np.linalg.inv(cell).T, axis=1)
    return int((off < scenario.spot_radius).sum())


def tasks_of(parts: Sequence[str], n_frames: int, seed: int) -> list[Task]:
    """The runs of the given parts, which are `wrong`, `right` and `blank`."""
    found = []
    if "wrong" in parts:
        for kind, runs in WRONG.items():
            found += [Task(kind, f"{kind} {k}", run, -(-n_frames // len(runs)), seed + k) for k, run in enumerate(runs)]
    if "right" in parts:
        found += [
            Task(RIGHT_NAME, f"{name}, {n} frames", run, n, seed + k)
            for k, (name, run) in enumerate(RIGHT_RUNS.items())
            for n in LENGTHS
        ]
    if "blank" in parts:
        for name, runs in ((BLANK_NAME, BLANK), (ELECTRONS_NAME, BLANK_ELECTRONS)):
            n = -(-2 * n_frames // len(runs))
            found += [Task(name, f"{name} {k}", run, n, seed + k) for k, run in enumerate(runs)]
    return found


def passes(kind: str, count: Count) -> bool:
    """Whether the runs of a kind fulfil their requirement."""
    if kind == RIGHT_NAME:
        return count.doubted <= MOST_DOUBTED * count.runs
    return count.unsaid <= (MOST_BLANK if kind in (BLANK_NAME, ELECTRONS_NAME) else MOST_WRONG) * count.frames


def counted(tasks: Sequence[Task], jobs: int, show: Callable[[str], object] = lambda line: None) -> dict[str, Count]:
    """The counts of each kind; `show` is called with a line on each run when the run ends."""
    counts: dict[str, Count] = {task.kind: Count() for task in tasks}
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for number, count in pool.imap_unordered(_done, enumerate(tasks)):
            task = tasks[number]
            counts[task.kind] += count
            show(f"{task.name}: {vars(count)}")
    return counts


def _done(task: tuple[int, Task]) -> tuple[int, Count]:
    return task[0], task[1]()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.wrong", description=__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames of each kind of wrong runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    parser.add_argument("--only", action="append", choices=("wrong", "right", "blank"), help="a part of it")
    record.add_option(parser)
    args = parser.parse_args()
    tasks = tasks_of(args.only or ("wrong", "right", "blank"), args.frames, args.seed)
    counts = counted(tasks, args.jobs, lambda line: print(line, flush=True))
    for kind, count in counts.items():
        print(kind, vars(count), "" if passes(kind, count) else "FAILS")
    if args.json:
        record.write(args.json, [{"what": kind, **vars(count)} for kind, count in counts.items()])
    return 0 if all(passes(kind, count) for kind, count in counts.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
