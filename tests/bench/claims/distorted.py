"""Stretched and tilted detectors, and correct ones: python -m tests.bench.claims.distorted.

Whole runs are made as by the command, from spots computed with a geometry in which the detector is not stretched or not
tilted; the directions are random. A run learns from its first 60 frames. The table has the share of runs that correct
the detector, by how much the correction is off, the frames indexed without and with it, and the spots of the *other* 60
frames that crystals predict, which are fitted to half of the spots and judged on the other half, within 0.0005, 0.001
and 0.002/A. Of correct runs at most 1 % may correct anything.
`--jobs` makes several runs at once; the numbers do not depend on it.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn.unseen import predicted
from ffbidx_core.model.basis import ChangeOfBasis, as_given
from ffbidx_core.model.detector.beam_shift import NO_SHIFT, BeamShift
from ffbidx_core.model.detector.distortion import NO_DISTORTION, Distortion
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.run import Learned
from ffbidx_core.parameters import Parameters
from ffbidx_core.read.arrays import SpotArrays
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.simulate import SimulatedFrames
from tests.bench import record
from tests.bench.claims.runs import RIGHT_RUNS, Run, electrons
from tests.bench.real import Remembers

LEARNED_FROM, FRAMES = 60, 120
BEST = Parameters.preset("best", judge_frames=0, learn_cell=LEARNED_FROM)
MOST_WRONG = 0.01
"""Largest share of correct runs that may correct their detector."""
KINDS = ("lysozyme", "triclinic", "C-centred", "few spots", "half false", "XFEL", "cells scatter by 0.4 %")
"""The kinds of correct runs whose detectors are distorted."""
ELECTRONS = Run(electrons(LYSOZYME, n_spots=(60, 120)))
RIGHT = "correct runs"


@dataclass(frozen=True)
class Task:
    """A run to be made: the row of the table, its frames, and the size of the stretch and of the tilt in radian."""

    row: str
    run: Run
    seed: int
    stretch: float = 0.0
    tilt: float = 0.0

    @property
    def distortion(self) -> Distortion:
        """The distortion in random directions."""
        a, b = np.random.default_rng(self.seed).uniform(0, 2 * math.pi, 2)
        stretch, tilt = ((size * math.cos(t), size * math.sin(t)) for size, t in ((self.stretch, a), (self.tilt, b)))
        return Distortion(*stretch, *tilt)

    def __call__(self) -> Result:
        """Make the run, and without the correction if it corrects anything."""
        frames = self.run.frames(FRAMES, self.seed)
        true = self.distortion
        frames = replace(frames, spots=assumed(frames, true) if true else frames.spots)
        learned, indexed = learned_of(frames, BEST)
        if learned is None or not learned.distortion:
            return Result(self.row)
        off = np.subtract(astuple(learned.distortion), astuple(true))
        without, before = learned_of(frames, BEST.replace(learn_distortion=False))
        old, new = unseen(frames, without), unseen(frames, learned)
        return Result(self.row, 1, math.hypot(*off[:2]), math.hypot(*off[2:]), before, indexed, old, new)


@dataclass(frozen=True)
class Result:
    """What was found in a run: whether it was corrected, by how much this is off, and frames and spots."""

    row: str
    corrected: int = 0
    stretch_off: float = 0.0
    tilt_off: float = 0.0
    before: int = 0
    after: int = 0
    unseen_before: NDArray[np.int64] | None = None
    unseen_after: NDArray[np.int64] | None = None


def assumed(frames: SimulatedFrames, true: Distortion) -> NDArray[np.float32]:
    """The spots of frames as computed with a detector that is not distorted."""
    ray = frames.spots.astype(np.float64) * frames.scenario.wavelength + (0.0, 0.0, 1.0)
    ray = ray @ np.linalg.inv(true.matrix).T
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return ((ray - (0.0, 0.0, 1.0)) / frames.scenario.wavelength).astype(np.float32)


def learned_of(frames: SimulatedFrames, p: Parameters) -> tuple[Learned | None, int]:
    """What a run learns, and the number of frames that it indexes."""
    store, scenario = Remembers(), frames.scenario
    lattices = tuple(Lattice(centring=scenario.centring) for _ in scenario.cells)
    cells, spots = as_given(scenario.input_cells), SpotArrays(frames.spots, frames.offsets)
    outcome = index(Job([], p, cells, lattices, backend="cpu", threads=1, arrays=spots), store=store)
    return (store.groups[0] if store.groups else None), outcome.summary.indexed


def unseen(frames: SimulatedFrames, learned: Learned | None) -> NDArray[np.int64]:
    """The number (3,) of unseen spots that the crystals of the frames predict from which nothing was learned."""
    scenario, first = frames.scenario, frames.offsets[LEARNED_FROM]
    spots = frames.spots[first:].astype(np.float64)
    shift = NO_SHIFT if learned is None else learned.beam_shift
    distortion = NO_DISTORTION if learned is None else learned.distortion
    spots = moved(spots, scenario.wavelength, shift, distortion)
    given = as_given(scenario.input_cells)
    change = ChangeOfBasis.of_each(given, [scenario.centring] * len(given))
    cells = change.primitive(given if learned is None else learned.cells)
    plan = SearchPlan.make(cells, BEST, None if learned is None else learned.spread)
    device = OneDevice(get_backend("cpu", threads=1))
    return predicted(device, spots, frames.offsets[LEARNED_FROM:] - first, plan, BEST, change.primitive(given)).counts


def moved(spots: NDArray[np.float64], wavelength: float, shift: BeamShift, distortion: Distortion) -> NDArray[Any]:
    """Spots as the run corrects them."""
    along = np.full(len(spots), wavelength)
    return spots_of_moved_detector(spots, along, shift.radian, distortion=distortion)


def tasks_of(seeds: int, right: int, first: int) -> list[Task]:
    """The runs of all rows, with `seeds` seeds for each kind of frames, and `right` of correct runs."""
    seed = [range(first + 1000 * k, first + 1000 * k + seeds) for k in range(len(KINDS))]
    correct = [(run, first + 1000 * k) for k, run in enumerate(RIGHT_RUNS.values())]
    found = [Task(RIGHT, run, s) for run, begin in correct for s in range(begin, begin + right)]
    for degrees in (0.25, 0.5, 1.0, 2.0):
        row, size = f"detector tilted by {degrees:g}°", math.radians(degrees)
        found += [Task(row, RIGHT_RUNS[name], s, tilt=size) for k, name in enumerate(KINDS) for s in seed[k]]
    for percent in (0.05, 0.1, 0.2, 0.5):
        row, size = f"stretched by {percent:g} %", percent / 100
        found += [Task(row, RIGHT_RUNS[name], s, stretch=size) for k, name in enumerate(KINDS) for s in seed[k]]
    for percent in (0.5, 1.0):
        row = f"electron diffraction, stretched by {percent:g} %"
        found += [Task(row, ELECTRONS, s, stretch=percent / 100) for s in seed[0]]
    return found


def row_of(name: str, results: Sequence[Result]) -> Mapping[str, Any]:
    """The row of the table with the results of its runs."""
    done = [result for result in results if result.corrected]
    row: dict[str, Any] = {"what": name, "runs": len(results), "corrected": len(done)}
    if not done:
        return row
    old, new = (np.sum([getattr(each, key) for each in done], axis=0) for key in ("unseen_before", "unseen_after"))
    return row | {
        "stretch_off": float(np.sqrt(np.mean([each.stretch_off**2 for each in done]))),
        "tilt_off": math.degrees(float(np.sqrt(np.mean([each.tilt_off**2 for each in done])))),
        "before": sum(each.before for each in done) / (FRAMES * len(done)),
        "after": sum(each.after for each in done) / (FRAMES * len(done)),
        "gain": (new / np.maximum(old, 1) - 1).tolist(),
    }


def made(tasks: Sequence[Task], jobs: int, show: Callable[[str], object]) -> list[Result]:
    """The results of all runs; `show` is called with a line on each run when the run ends."""
    results = []
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for result in pool.imap_unordered(Task.__call__, tasks):
            results.append(result)
            show(f"{len(results)} of {len(tasks)}: {result.row}: {'corrected' if result.corrected else 'left'}")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.distorted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="runs of each kind of frames in a row")
    parser.add_argument("--right-seeds", type=int, default=10, help="correct runs of each kind of frames")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    parser.add_argument("--only", help="rows whose names begin like this")
    record.add_option(parser)
    args = parser.parse_args()
    tasks = [
        task for task in tasks_of(args.seeds, args.right_seeds, args.first_seed) if task.row.startswith(args.only or "")
    ]
    results = made(tasks, args.jobs, lambda line: print(line, flush=True))
    rows = [row_of(name, [r for r in results if r.row == name]) for name in dict.fromkeys(t.row for t in tasks)]
    for row in rows:
        print(row)
    if args.json:
        record.write(args.json, rows)
    wrong = [row["corrected"] / row["runs"] for row in rows if row["what"] == RIGHT]
    return 1 if any(share > MOST_WRONG for share in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
