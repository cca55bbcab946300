"""Runs in which something is wrong, and right ones, and their doubts: python -m tests.bench.claims.wrong.

Whole runs by the command's own way, with what they learn and how they are judged. A crystal is wrong when it is turned
by more than 1.5 degrees from the true ones or spans another lattice. A kind of wrong run passes when wrong crystals are
on at most 0.1 % of the frames of those of its runs that do not doubt their crystals; right runs when at most 1 % doubt.
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
from ffbidx_core.model.detector.beam_shift import Radian
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.model.records.results import Results
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.judge import Judge
from tests.bench import record
from tests.bench.scenarios import CENTRED, CUBIC, HEXAGONAL, MONOCLINIC, PSEUDO

RIGHT = 1.5
"""Degrees."""
MOST_WRONG, MOST_DOUBTED = 0.001, 0.01
SIX = (6.0, 7.0, 9.0, 90.0, 100.0, 90.0)
FIRST_SHELL = (0.01, 0.1, 0.3, 0.6)
"""Shares of a blank frame's spots inside the first shell of reciprocal space."""


@dataclass(frozen=True)
class Run:
    """Frames, and what is wrong with how they are described.

    Attributes
    ----------
    scenario : Scenario
    cell : tuple of 6 float or None
        The cell that is given; None: the scenario's.
    scale : float
        The spots are so many times as far out as they are.
    jitter : float
        How far the beam is off on each frame, pixels rms along x and along y.
    """

    scenario: Scenario
    cell: tuple[float, ...] | None = None
    scale: float = 1.0
    jitter: float = 0.0

    def frames(self, n: int, seed: int) -> SimulatedFrames:
        """Frames as they are described."""
        frames = simulate(self.scenario, n, seed)
        spots, rng = frames.spots.astype(np.float64), np.random.default_rng(seed)
        pixel = self.scenario.pixel_size * 1e-3 / self.scenario.distance
        for f in range(n if self.jitter else 0):
            mine = slice(frames.offsets[f], frames.offsets[f + 1])
            wavelength = np.full(len(spots[mine]), self.scenario.wavelength)
            spots[mine] = spots_of_moved_detector(
                spots[mine], wavelength, Radian(self.jitter * pixel * rng.normal(size=2))
            )
        return replace(frames, spots=(self.scale * spots).astype(np.float32))


@dataclass
class Count:
    """Runs of a kind: with how many frames, wrong crystals, and doubts.

    Attributes
    ----------
    unsaid : int
        Frames with wrong crystals in runs that do not doubt theirs.
    """

    runs: int = 0
    frames: int = 0
    indexed: int = 0
    wrong: int = 0
    unsaid: int = 0
    doubted: int = 0
    refused: int = 0


CLEAR = {"n_spots": (60, 120), "false_share": (0.1, 0.1)}
MANY = {"n_spots": (100, 300), "false_share": (0.1, 0.1)}
SHORT_WAVES = {"d_min": 0.8, "d_max": 20.0, "distance": 60.0, "wavelength": 0.7, "n_spots": None, "spot_radius": 0.006}
QUARTER = {"n_spots": (20, 50), "false_share": (0.25, 0.3)}


def electrons(cell: tuple[float, ...], pixels: tuple[float, float] = (0.0, 0.0), **more: object) -> Scenario:
    """Electron diffraction at 200 kV with the beam off by some pixels."""
    usual = {"d_min": 0.9, "spot_radius": 0.004, "n_spots": (25, 60), "detector_size": (2048, 2048)}
    return Scenario(
        cells=(cell,),
        wavelength=0.0251,
        distance=1000.0,
        pixel_size=28.0,
        beam_centre_error=pixels,
        **(usual | more),  # type: ignore[arg-type]
    )


LYS = Scenario(cells=(LYSOZYME,), **CLEAR)  # type: ignore[arg-type]
TRI = Scenario(cells=(TRICLINIC,), **CLEAR)  # type: ignore[arg-type]
HEX = Scenario(cells=(HEXAGONAL,), **MANY)  # type: ignore[arg-type]
SMALL = Scenario(cells=(SIX,), **SHORT_WAVES)  # type: ignore[arg-type]
C = Scenario(cells=(CENTRED,), centring="C", **CLEAR)  # type: ignore[arg-type]
PSE = Scenario(cells=(PSEUDO,), **QUARTER)  # type: ignore[arg-type]

WRONG: dict[str, list[Run]] = {
    "electron diffraction, beam 1 to 40 px off": [
        Run(electrons(cell, pixels))
        for cell in (LYSOZYME, TRICLINIC)
        for pixels in ((1.0, 0.0), (-4.0, 3.0), (12.0, 10.0), (-30.0, 26.0))
    ],
    "beam off by 5 to 16 px from frame to frame": [
        Run(scenario, jitter=jitter) for scenario in (LYS, TRI, HEX) for jitter in (5.0, 10.0, 16.0)
    ],
    "distance 2 to 10 % off": [
        Run(replace(scenario, distance_error=e))
        for scenario in (LYS, TRI, HEX, SMALL)
        for e in (-0.1, -0.04, 0.02, 0.07)
    ],
    "wavelength 2 to 10 % off": [
        Run(scenario, scale=scale) for scenario in (LYS, TRI, HEX, SMALL) for scale in (0.9, 0.96, 1.02, 1.07)
    ],
    "cell of another crystal": [
        Run(TRI, LYSOZYME),
        Run(LYS, TRICLINIC),
        Run(LYS, HEXAGONAL),
        Run(HEX, LYSOZYME),
        Run(SMALL, (6.5, 8.0, 11.0, 90.0, 95.0, 90.0)),
        Run(TRI, CUBIC),
    ],
    "cell with lengths of the true one": [
        Run(LYS, (79.0, 79.0, 45.0, 90.0, 90.0, 90.0)),
        Run(LYS, (38.0, 60.0, 70.0, 90.0, 90.0, 90.0)),
        Run(C, (61.0, 110.0, 150.0, 90.0, 90.0, 90.0)),
        Run(TRI, (40.0, 50.0, 71.0, 90.0, 95.0, 90.0)),
        Run(SMALL, (6.0, 8.0, 9.0, 90.0, 90.0, 90.0)),
        Run(HEX, (281.0, 281.0, 140.0, 90.0, 90.0, 120.0)),
    ],
    "gamma in radians": [
        Run(scenario, (*cell[:5], float(np.radians(cell[5]))))
        for scenario, cell in ((LYS, LYSOZYME), (TRI, TRICLINIC), (HEX, HEXAGONAL))
    ],
    "cell three times too long": [
        Run(LYS, (79.0, 79.0, 114.0, 90.0, 90.0, 90.0)),
        Run(LYS, (237.0, 237.0, 114.0, 90.0, 90.0, 90.0)),
        Run(TRI, (TRICLINIC[0], TRICLINIC[1], 3 * TRICLINIC[2], *TRICLINIC[3:])),
        Run(SMALL, (18.0, 7.0, 9.0, 90.0, 100.0, 90.0)),
    ],
}
RIGHT_RUNS: dict[str, Run] = {
    "lysozyme": Run(LYS),
    "triclinic": Run(TRI),
    "hexagonal 281": Run(HEX),
    "C-centred": Run(C),
    "6 A": Run(SMALL),
    "monoclinic 22 28 25": Run(Scenario(cells=(MONOCLINIC,), n_spots=(8, 16))),
    "few spots": Run(Scenario(cells=(LYSOZYME,), n_spots=(10, 15), false_share=(0.25, 0.25))),
    "14 of 54 spots": Run(Scenario(cells=(LYSOZYME,), n_spots=(14, 14), false_spots=(40, 40))),
    "half false": Run(Scenario(cells=(LYSOZYME,), n_spots=(25, 60), false_share=(0.4, 0.6))),
    "a and b differ by 3 %": Run(PSE),
    "1 to 3 lattices": Run(Scenario(cells=(LYSOZYME,), n_spots=(100, 200), lattices=(1, 3))),
    "cells scatter by 0.4 %": Run(replace(LYS, cell_spread=0.004)),
    "90 % blank": Run(replace(LYS, blank_share=0.9)),
    "distance 0.5 % off": Run(replace(LYS, distance_error=0.005)),
    "beam 3 px off": Run(replace(LYS, beam_centre_error=(3.0, -2.0))),
    "cell 1 % off": Run(replace(LYS, cell_error=(0.01, 0.01, -0.01))),
    "XFEL": Run(
        Scenario(
            cells=(CENTRED,),
            centring="C",
            n_spots=(12, 30),
            false_share=(0.25, 0.25),
            position_noise=1.0,
            mosaicity=0.002,
            distance_error=0.005,
        )
    ),
    "electrons, lysozyme": Run(electrons(LYSOZYME)),
    "electrons, triclinic": Run(electrons(TRICLINIC)),
    "electrons, 281 A": Run(electrons(HEXAGONAL, n_spots=(60, 120), spot_radius=0.002)),
}
LENGTHS = (12, 60, 240)
"""Frames of the right runs of each kind."""


def do(run: Run, n: int, seed: int, count: Count) -> None:
    """Index the frames of a run as the command does, and count what comes of it."""
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
    """Whether a frame's best crystal is one of its true lattices."""
    judge, crystal = Judge(frames.scenario), results.cells[results.crystals[results.crystal_offsets[f]]]
    true = range(frames.cell_offsets[f], frames.cell_offsets[f + 1])
    return any(
        judge.misorientation(crystal.astype(np.float64), frames.cells[t], int(frames.input_cell[t])) < RIGHT
        for t in true
    )


def wrong_runs(n_frames: int, seed: int) -> Iterator[tuple[dict[str, object], bool]]:
    """A row of the table for each kind of wrong runs, and whether it passes."""
    for name, runs in WRONG.items():
        count = Count()
        for k, run in enumerate(runs):
            do(run, -(-n_frames // len(runs)), seed + k, count)
        yield _row(name, count), count.unsaid <= MOST_WRONG * count.frames


def right_runs(seed: int) -> tuple[dict[str, object], bool]:
    """The row of all right runs, and whether they pass."""
    count = Count()
    for k, (name, run) in enumerate(RIGHT_RUNS.items()):
        for n in LENGTHS:
            before = count.doubted
            do(run, n, seed + k, count)
            if count.doubted > before:
                print(f"doubted: {name}, {n} frames", flush=True)
    return _row("right runs", count), count.doubted <= MOST_DOUBTED * count.runs


def blank_frames(n_frames: int, seed: int) -> tuple[dict[str, object], bool]:
    """The row of blank frames with spots inside the first shell."""
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
