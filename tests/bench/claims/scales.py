"""Rates at which a wrong distance, wavelength or unit is found: python -m tests.bench.claims.scales.

A run finds the error if it corrects itself, so that 80 % of its frames are indexed without a doubt, or if its remedy
is within 2 % of the truth. Wrong distances belong to detectors with pixels, whose remedy is `--distance`; wrong
wavelengths and cells in nanometres belong to files with spots alone, whose remedy is `--cell`. The errors are drawn at
random: distances 2.5 to 10 %, wavelengths 1 to 30 % too long or too short. Further tries are switched off: they come
after all this, and take most of the time on frames that do not fit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np

from ffbidx_core.learn.scales import find_scale
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.run.summary import Summary
from ffbidx_core.simulate import simulate, write_frames
from tests.bench import record
from tests.bench.claims.runs import HEX, LYS, SMALL, TRI, C, Run
from tests.bench.claims.wrong import indexed

QUICK = Parameters.preset("best", retry=False)
NEAR, INDEXED, FOUND = 0.02, 0.8, 0.95
"""Largest relative error of a remedy, smallest share of indexed frames of a run that corrects itself, and smallest
share of the runs of a kind that must find their error."""
ERRORS = {"distance": (0.025, 0.1), "wavelength": (0.01, 0.3), "cell in nm": (9.0, 9.0)}
"""Smallest and largest relative error of each length; the first two are of either sign."""
NANOMETRES = 10.0
SCENARIOS = {"lysozyme": LYS, "triclinic": TRI, "hexagonal 281": HEX, "6 A": SMALL, "C-centred": C}


@dataclass(frozen=True)
class Found:
    """The outcome of a run.

    Attributes
    ----------
    outcome : str
        `mended`, `named`, or the remedy that was found instead.
    tries, seconds : float
        CPU time of the tries of other scales, and of the whole run with its simulation, seconds.
    """

    outcome: str
    tries: float
    seconds: float


class Timed:
    """`find_scale` that measures its CPU time in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, *args: Any) -> Any:
        begun = time.process_time()
        found = find_scale(*args)
        self.seconds += time.process_time() - begun
        return found


@dataclass(frozen=True)
class Task:
    """A run with a wrong length.

    Attributes
    ----------
    what : str
        The error, `distance`, `wavelength` or `cell in nm`.
    kind : str
        Name of the scenario in `SCENARIOS`.
    error : float
        Relative error of the length.
    """

    what: str
    kind: str
    error: float
    n_frames: int
    seed: int

    def __call__(self) -> Found:
        """Index the frames as the command does."""
        begun, scenario = time.process_time(), SCENARIOS[self.kind]
        right = {"--cell": scenario.cells[0][0] * (1 + self.error), "--distance": scenario.distance}
        with patch("ffbidx_core.run.input_cells.find_scale", Timed()) as tries:
            if self.what == "distance":
                summary = self._with_pixels()
            else:
                scale = 1 / (1 + self.error) if self.what == "wavelength" else 1.0
                cell = scenario.input_cells[0] / (1.0 if self.what == "wavelength" else NANOMETRES)
                right["--cell"] = right["--cell"] if self.what == "wavelength" else scenario.cells[0][0]
                frames = Run(scenario, scale=scale).frames(self.n_frames, self.seed)
                summary = indexed(frames, cell, Lattice(centring=scenario.centring), QUICK).summary
        return Found(_outcome(summary, right), tries.seconds, time.process_time() - begun)

    def _with_pixels(self) -> Summary:
        scenario = replace(SCENARIOS[self.kind], distance_error=self.error)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "spots.h5")
            write_frames(path, simulate(scenario, self.n_frames, self.seed))
            cells, lattices = cell_from_parameters(scenario.cells[0])[None], (Lattice(centring=scenario.centring),)
            return index(Job([Source(path)], QUICK, cells, lattices, backend="cpu", threads=1)).summary


def _outcome(summary: Summary, right: dict[str, float]) -> str:
    if summary.indexed >= INDEXED * summary.frames and not summary.doubt:
        return "mended"
    if summary.remedy is None:
        return "nothing"
    said = float(summary.remedy.values[0].split(",")[0])
    is_near = abs(said / right.get(str(summary.remedy.option), np.inf) - 1) < NEAR
    return "named" if is_near else f"{summary.remedy.option} {summary.remedy.values[0]}"


def tasks_of(n_frames: int, seed: int, repeats: int) -> list[Task]:
    """The runs of all kinds, `repeats` of each cell and length."""
    rng, tasks = np.random.default_rng(seed), []
    for what, (least, most) in ERRORS.items():
        for kind in SCENARIOS:
            sizes, signs = rng.uniform(least, most, repeats), rng.choice((-1, 1), repeats)
            errors = sizes if what == "cell in nm" else sizes * signs
            tasks += [Task(what, kind, error, n_frames, seed + k) for k, error in enumerate(errors.tolist())]
    return tasks


def row_of(what: str, found: Sequence[Found]) -> dict[str, Any]:
    """The counts of the runs of a length, with the standard error of the share that is found."""
    n, mended, named = len(found), *(sum(each.outcome == word for each in found) for word in ("mended", "named"))
    # One success and one failure are added, so that the error of a share of 1 is not 0.
    share = (mended + named + 1) / (n + 2)
    return {
        "what": what,
        "runs": n,
        "mended": mended,
        "named": named,
        "found": round((mended + named) / n, 3),
        "error": round(float(np.sqrt(share * (1 - share) / (n + 2))), 3),
        "tries": round(float(np.median([each.tries for each in found if each.tries])), 1),
        "longest": round(max(each.tries for each in found), 1),
        "seconds": round(float(np.median([each.seconds for each in found])), 1),
    }


def _done(task: Task) -> tuple[Task, Found]:
    return task, task()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.scales", description=__doc__)
    parser.add_argument("--frames", type=int, default=100, help="frames of a run")
    parser.add_argument("--repeats", type=int, default=20, help="runs of each cell and length")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    record.add_option(parser)
    args = parser.parse_args()
    outcomes: dict[str, list[Found]] = {what: [] for what in ERRORS}
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for task, found in pool.imap_unordered(_done, tasks_of(args.frames, args.seed, args.repeats)):
            outcomes[task.what].append(found)
            print(f"{task.what} {task.error:+.1%}, {task.kind}, seed {task.seed}: {found}", flush=True)
    rows = [row_of(what, found) for what, found in outcomes.items()]
    print(*rows, sep="\n")
    if args.json:
        record.write(args.json, rows)
    return 0 if all(row["found"] >= FOUND for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
