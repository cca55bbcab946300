"""Rates at which a wrong distance, wavelength or unit is found: python -m tests.bench.claims.scales.

A run finds the error if it corrects itself, so that 80 % of its frames are indexed without a doubt, or if its remedy
is within 2 % of the truth. Wrong distances belong to detectors with pixels, whose remedy is `--distance`; wrong
wavelengths and cells in nanometres belong to files with spots alone, whose remedy is `--cell`. Further tries are
switched off: they come after all this, and take most of the time on frames that do not fit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

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
DISTANCES, WAVELENGTHS = (-0.1, -0.05, 0.025, 0.075), (-0.3, -0.1, 0.01, 0.05, 0.2, 0.3)
NANOMETRES = 10.0
SCENARIOS = {"lysozyme": LYS, "triclinic": TRI, "hexagonal 281": HEX, "6 A": SMALL, "C-centred": C}


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

    def __call__(self) -> tuple[str, str, float]:
        """The wrong length; `mended`, `named` or the remedy that was found instead; CPU time, seconds."""
        begun, scenario = time.process_time(), SCENARIOS[self.kind]
        right = {"--cell": scenario.cells[0][0] * (1 + self.error), "--distance": scenario.distance}
        if self.what == "distance":
            summary = self._with_pixels()
        else:
            scale = 1 / (1 + self.error) if self.what == "wavelength" else 1.0
            cell = scenario.input_cells[0] / (1.0 if self.what == "wavelength" else NANOMETRES)
            right["--cell"] = right["--cell"] if self.what == "wavelength" else scenario.cells[0][0]
            frames = Run(scenario, scale=scale).frames(self.n_frames, self.seed)
            summary = indexed(frames, cell, Lattice(centring=scenario.centring), QUICK).summary
        return self.what, _outcome(summary, right), time.process_time() - begun

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
    is_near = abs(said / right[summary.remedy.option] - 1) < NEAR
    return "named" if is_near else f"{summary.remedy.option} {summary.remedy.values[0]}"


def tasks_of(n_frames: int, seed: int) -> list[Task]:
    """The runs of all kinds."""
    errors = {"distance": DISTANCES, "wavelength": WAVELENGTHS, "cell in nm": (NANOMETRES - 1,)}
    return [
        Task(what, kind, error, n_frames, seed + k)
        for what, values in errors.items()
        for kind in SCENARIOS
        for k, error in enumerate(values)
    ]


def _done(task: Task) -> tuple[Task, tuple[str, str, float]]:
    return task, task()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.scales", description=__doc__)
    parser.add_argument("--frames", type=int, default=100, help="frames of a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    record.add_option(parser)
    args = parser.parse_args()
    outcomes: dict[str, list[tuple[str, float]]] = {}
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for task, (what, outcome, seconds) in pool.imap_unordered(_done, tasks_of(args.frames, args.seed)):
            outcomes.setdefault(what, []).append((outcome, seconds))
            print(f"{what} {task.error:+.1%}, {task.kind}: {outcome}, {seconds:.1f} s", flush=True)
    rows: list[dict[str, Any]] = []
    for what, found in outcomes.items():
        mended, named = (sum(outcome == word for outcome, _ in found) for word in ("mended", "named"))
        seconds = float(np.median([seconds for _, seconds in found]))
        rows.append({"what": what, "runs": len(found), "mended": mended, "named": named, "seconds": round(seconds, 1)})
        print(rows[-1])
    if args.json:
        record.write(args.json, rows)
    return 0 if all(row["mended"] + row["named"] >= FOUND * row["runs"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
