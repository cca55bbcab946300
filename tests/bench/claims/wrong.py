"""Runs with an error, and correct ones, and their doubts: python -m tests.bench.claims.wrong.

Whole runs are made as by the command, with learning and judgement. A crystal is wrong if its misorientation from the
true ones is more than 1.5 degrees or if it spans another lattice. A kind of wrong run passes if at most 0.1 % of the
frames in runs without a doubt have wrong crystals; correct runs pass if at most 1 % of them doubt.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

import h5py
import numpy as np

from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.errors import CellError
from ffbidx_core.model.cell import Array, cell_from_parameters, shortest_reciprocal
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.model.records.results import Results
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.judge import Judge
from tests.bench import record
from tests.bench.claims.runs import LENGTHS, RIGHT_RUNS, WRONG, Run
from tests.bench.scenarios import CENTRED, CUBIC, HEXAGONAL, MONOCLINIC

RIGHT = 1.5
"""Largest misorientation of a correct crystal, degrees."""
MOST_WRONG, MOST_DOUBTED = 0.001, 0.01
FIRST_SHELL = (0.01, 0.1, 0.3, 0.6)
"""Shares of the spots of a blank frame inside the first shell of reciprocal space."""


@dataclass
class Count:
    """Counts over the runs of a kind: frames, wrong crystals, and doubts.

    Attributes
    ----------
    unsaid : int
        Number of frames with wrong crystals in runs without a doubt.
    """

    runs: int = 0
    frames: int = 0
    indexed: int = 0
    wrong: int = 0
    unsaid: int = 0
    doubted: int = 0
    refused: int = 0


def do(run: Run, n: int, seed: int, count: Count) -> None:
    """Index the frames of a run as the command does, and count the results."""
    frames = run.frames(n, seed)
    count.runs, count.frames = count.runs + 1, count.frames + n
    try:
        cell = run.scenario.input_cells[0] if run.cell is None else cell_from_parameters(run.cell)
    except CellError:
        count.refused += 1
        return
    centring = run.scenario.centring if run.cell is None else "P"
    results, doubt = _indexed(frames, cell, Lattice(centring=centring))
    indexed = np.flatnonzero(np.diff(results.crystal_offsets))
    wrong = sum(not _is_right(results, frames, f) for f in indexed.tolist())
    count.indexed, count.wrong = count.indexed + len(indexed), count.wrong + wrong
    count.unsaid += 0 if doubt else wrong
    count.doubted += bool(doubt)


def _indexed(frames: SimulatedFrames, cell: Array, lattice: Lattice) -> tuple[Results, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spots.h5")
        with h5py.File(path, "w") as file:
            file["spots"], file["offsets"] = frames.spots, frames.offsets
            file["spots"].attrs["units"] = "1/angstrom"
        outcome = index(
            Job([Source(path)], Parameters.preset("best"), cell[None], (lattice,), backend="cpu", threads=1)
        )
    return outcome.results(), outcome.summary.doubt


def _is_right(results: Results, frames: SimulatedFrames, f: int) -> bool:
    """Whether the best crystal of a frame is one of its true lattices."""
    judge, crystal = Judge(frames.scenario), results.cells[results.crystals[results.crystal_offsets[f]]]
    true = range(frames.cell_offsets[f], frames.cell_offsets[f + 1])
    return any(
        judge.misorientation(crystal.astype(np.float64), frames.cells[t], int(frames.input_cell[t])) < RIGHT
        for t in true
    )


def wrong_runs(n_frames: int, seed: int) -> Iterator[tuple[dict[str, object], bool]]:
    """Yield a row of the table for each kind of wrong runs, and whether it passes."""
    for name, runs in WRONG.items():
        count = Count()
        for k, run in enumerate(runs):
            do(run, -(-n_frames // len(runs)), seed + k, count)
        yield _row(name, count), count.unsaid <= MOST_WRONG * count.frames


def right_runs(seed: int) -> tuple[dict[str, object], bool]:
    """The row of all correct runs, and whether they pass."""
    count = Count()
    for k, (name, run) in enumerate(RIGHT_RUNS.items()):
        for n in LENGTHS:
            before = count.doubted
            do(run, n, seed + k, count)
            if count.doubted > before:
                print(f"doubted: {name}, {n} frames", flush=True)
    return _row("right runs", count), count.doubted <= MOST_DOUBTED * count.runs


def blank_frames(n_frames: int, seed: int) -> tuple[dict[str, object], bool]:
    """The row of blank frames with spots inside the first shell, and whether it passes."""
    count, rng = Count(), np.random.default_rng(seed)
    lattices = (CUBIC, MONOCLINIC, LYSOZYME, TRICLINIC, CENTRED, HEXAGONAL)
    for cell in lattices:
        base = Scenario(cells=(cell,), n_spots=(20, 200), lattices=(0, 0))
        for share in FIRST_SHELL:
            frames = simulate(base, -(-n_frames // (len(lattices) * len(FIRST_SHELL))), seed)
            inner = rng.random(len(frames.spots)) < share
            q = shortest_reciprocal(base.true_cells[0]) * np.sqrt(rng.uniform(0, 1, inner.sum()))
            phi = rng.uniform(0, 2 * np.pi, len(q))
            spots = frames.spots.copy()
            spots[inner] = np.column_stack([q * np.cos(phi), q * np.sin(phi), -q * q / 2])
            results, _ = _indexed(replace(frames, spots=spots), base.true_cells[0], Lattice())
            found = int((np.diff(results.crystal_offsets) > 0).sum())
            count.runs, count.frames = count.runs + 1, count.frames + frames.n_frames
            count.indexed, count.wrong, count.unsaid = count.indexed + found, count.wrong + found, count.unsaid + found
    return _row("blank frames, 1 to 60 % of the spots in the first shell", count), count.wrong < 5e-4 * count.frames


def _row(name: str, count: Count) -> dict[str, object]:
    values = vars(count)
    print(name, values, flush=True)
    return {"what": name, **values}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.wrong", description=__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames of each kind of wrong runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=("wrong", "right", "blank"), help="a part of it")
    record.add_option(parser)
    args = parser.parse_args()
    parts = args.only or ("wrong", "right", "blank")
    found: list[tuple[dict[str, object], bool]] = []
    if "wrong" in parts:
        found += wrong_runs(args.frames, args.seed)
    if "right" in parts:
        found.append(right_runs(args.seed))
    if "blank" in parts:
        found.append(blank_frames(2 * args.frames, args.seed))
    if args.json:
        record.write(args.json, [row for row, _ in found])
    return 0 if all(good for _, good in found) else 1


if __name__ == "__main__":
    sys.exit(main())
