"""Refining misplaced panels by rounds of index, fit, index on simulated stills: python -m tests.bench.geometry.

A row is a kind of stills on a kind of disturbed detector, over several seeds. It has the frames indexed with the true
panels, with those of the file, and with the refined ones; orientations; and errors of panels with 20 or more peaks, in
pixels and in units of the stated errors. The last rows test the gate: correct panels, and panels 1 px off with few
crystals.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffbidx_core.devices import open_devices
from ffbidx_core.model.basis import primitive_basis
from ffbidx_core.model.cell import Array
from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.panels.fit import PanelFit
from ffbidx_core.panels.peaks import IndexedPeaks
from ffbidx_core.panels.refine import FEW_PEAKS, refine
from ffbidx_core.panels.trials import PanelTrials
from ffbidx_core.parameters import Parameters
from ffbidx_core.ranges import HC
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.read.sift import ResolutionLimits
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.many_panels import MOTION, ManyPanels
from tests.bench import record
from tests.helpers.panels.detectors import many_panels
from tests.helpers.panels.stills import gathered, off_by

FIRST_SEED = 1000
"""First seed; lower seeds were used for tuning."""
_common: dict[str, Any] = {
    "wavelength": HC / 9537.25,
    "d_min": 1.7,
    "position_noise": 0.5,
    "cell_spread": 0.001,
}
LYSOZYME, LARGE = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0), (61.0, 122.0, 168.0, 90.0, 90.0, 90.0)
STILLS = {
    "lysozyme, 30-80 spots": Scenario(cells=(LYSOZYME,), n_spots=(30, 80), false_share=(0.1, 0.1), **_common),
    "lysozyme, 14-24 spots, 30 % false": Scenario(
        cells=(LYSOZYME,), n_spots=(14, 24), false_share=(0.3, 0.3), **_common
    ),
    "61 122 168 C, 20-40 spots": Scenario(
        cells=(LARGE,), centring="C", n_spots=(20, 40), false_share=(0.1, 0.1), **_common
    ),
}
STRONG, WEAK, CENTRED = STILLS
DETECTORS = {32: (4, 4), 64: (4, 8), 128: (4, 16)}
"""Number of quadrants and of sensors per quadrant, keyed by the number of panels of the detector."""
DEEP = np.array([1.0, 1.0, 0.5, 2.5, 2.5, 2.5])
"""Relative sizes of motions by which panels 1 px off are 0.57 px off along the beam, in the place of 0.4 px."""


@dataclass(frozen=True)
class Case:
    """A row: stills, frames, and a detector with its panels `off` pixels off, in groups or each `alone`.

    `deep` detectors are farther off along the beam.
    """

    stills: str
    off: float
    frames: int = 300
    panels: int = 64
    alone: bool = False
    deep: bool = False
    cell_error: float = 0.0
    beam: tuple[float, float] = (0.0, 0.0)
    distance: float = 0.0
    false: float | None = None
    gate: bool = False

    @property
    def name(self) -> str:
        """The name of the row."""
        how = (", each alone" if self.alone else "") + (", more along the beam" if self.deep else "")
        words = [self.stills, f"{self.panels} panels", f"{self.off:g} px off{how}"]
        words += [f"cell {self.cell_error:.1%} wrong"] if self.cell_error else []
        words += (
            [f"beam {self.beam[0]:g}, {self.beam[1]:g} px and distance {self.distance:.2%} wrong"]
            if self.distance
            else []
        )
        words += [f"{self.false:.0%} false"] if self.false is not None else []
        return "; ".join([*words, f"{self.frames} frames"])

    @property
    def motion(self) -> Array:
        """The relative sizes (6,) of the motions of groups and panels."""
        return DEEP if self.deep else MOTION

    def simulated(self, seed: int) -> SimulatedFrames:
        """The stills of a seed, on a detector disturbed with the same seed."""
        geometry = parse_geometry("the detector", many_panels(*DETECTORS[self.panels]))
        detector = ManyPanels.of(geometry)
        if self.off:
            rng = np.random.default_rng((seed, 7))
            detector = detector.disturbed(self.off, rng, alone=self.alone, motion=self.motion)
        changes: dict[str, Any] = {"cell_error": (self.cell_error,) * 3}
        changes |= {"beam_centre_error": self.beam, "distance_error": self.distance}
        changes |= {} if self.false is None else {"false_share": (self.false, self.false)}
        scenario = Scenario(**{**STILLS[self.stills].__dict__, **changes}).with_panels(detector)
        return simulate(scenario, self.frames, seed)


SIZES = (0.5, 1.0, 2.0, 3.0)
CASES = [
    *(Case(stills, off) for stills, off in itertools.product(STILLS, SIZES)),
    *(Case(stills, 3.0, alone=True) for stills in STILLS),
    Case(STRONG, 1.0, alone=True),
    *(Case(STRONG, off, deep=True) for off in (1.0, 2.0)),
    Case(WEAK, 3.0, deep=True),
    *(Case(STRONG, off, frames=1000) for off in (1.0, 3.0)),
    *(Case(STRONG, 2.0, panels=panels) for panels in (32, 128)),
    Case(STRONG, 1.0, cell_error=0.005),
    Case(STRONG, 1.0, false=0.3),
    Case(STRONG, 1.0, beam=(8.0, -5.0), distance=0.0047),
    Case(STRONG, 0.0, frames=100, beam=(1.0, -0.7), distance=0.001),
    Case(STRONG, 0.0, frames=100, cell_error=0.005),
    Case(STRONG, 0.0, frames=100, gate=True),
    Case(STRONG, 1.0, frames=16, gate=True),
]


@dataclass(frozen=True)
class Run:
    """The numbers of a run: shares of frames, degrees, pixels; `z` is the error of panels in stated errors."""

    true: float
    given: float
    refined: float
    angle_true: float
    angle: float
    off: float
    z: float
    moved: bool
    moved_z: float
    rounds: int
    before: float
    after: float
    seconds: float


def run(task: tuple[Case, int]) -> Run:
    """Refine the panels of a case for a seed."""
    case, seed = task
    devices = open_devices("cpu", threads=1)
    frames = case.simulated(seed)
    assert frames.scenario.panels is not None
    data, true = gathered(frames, with_crystals=False), frames.scenario.panels.true
    trials = PanelTrials(devices, Parameters.preset("best"), ResolutionLimits())
    start = time.process_time()
    refined = refine(data, trials)
    seconds = time.process_time() - start
    with_true, evidence = trials.index(data.peaks, true)
    assert refined.first is not None
    assert refined.last is not None
    off, z, moved_z = np.nan, np.nan, 0.0
    if refined.fit is not None:
        off, z, moved_z = compared(refined.fit, data.panels, true)
    return Run(
        evidence.rate,
        refined.first.rate,
        refined.last.rate,
        misorientation(with_true, frames),
        misorientation(refined.peaks, frames),
        off,
        z,
        refined.fit is not None,
        moved_z,
        refined.rounds,
        refined.gain.before if refined.gain else np.nan,
        refined.gain.after if refined.gain else np.nan,
        seconds,
    )


def compared(fit: PanelFit, given: PlacedPanels, true: PlacedPanels) -> tuple[float, float, float]:
    """Rms errors of panels with enough peaks along x and y: in pixels, and errors and motions in stated errors.

    The common rotation about the beam, which no still shows, is removed from the truth, as the fit removes it.
    """
    off, errors = off_by(fit, given, true, FEW_PEAKS)
    seen = fit.counts >= FEW_PEAKS
    return _rms(off), _rms(off / errors), _rms(fit.motion[seen, :2] / errors)


def misorientation(peaks: IndexedPeaks, frames: SimulatedFrames) -> float:
    """The median misorientation of crystals in degrees, without their common rotation about the beam."""
    basis = primitive_basis(frames.scenario.true_cells[0], frames.scenario.centring)
    found: list[Array] = []
    for f in np.flatnonzero(peaks.indexed).tolist():
        cell = peaks.cells[peaks.crystal_offsets[f]]
        for truth in basis @ frames.cells[frames.cell_offsets[f] : frames.cell_offsets[f + 1]]:
            turns = turns_between(cell, truth, peaks.operators[0])
            found.append(turns[np.linalg.norm(turns, axis=1).argmin()])
    turns = np.array(found).reshape(-1, 3)
    turns = turns[np.linalg.norm(turns, axis=1) < 1]
    return float(np.median(np.linalg.norm(turns - (0, 0, np.median(turns[:, 2])), axis=1))) if len(turns) else np.nan


def turns_between(cell: Array, truth: Array, operators: NDArray[np.int64]) -> Array:
    """Rotation vectors (n, 3), degrees, from a true cell to another, one for each symmetry operator."""
    u, _, vt = np.linalg.svd(np.linalg.inv(operators @ truth) @ cell)
    turn = u @ vt
    sine = (
        np.stack([turn[:, 1, 2] - turn[:, 2, 1], turn[:, 2, 0] - turn[:, 0, 2], turn[:, 0, 1] - turn[:, 1, 0]], 1) / 2
    )
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    length = np.linalg.norm(sine, axis=1)
    angle = np.arctan2(length, cosine)
    # A rotation by 180 degrees has sine zero, and is not one of the small rotations of interest.
    return np.degrees(np.where(length > 0, angle / np.maximum(length, 1e-300), 180.0))[:, None] * np.where(
        length[:, None] > 0, sine, 1.0
    )


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if np.size(values) else np.nan


def figures(case: Case, runs: list[Run]) -> dict[str, Any]:
    """The numbers of a row: means over the runs with standard errors."""
    row: dict[str, Any] = {"what": case.name, "runs": len(runs), "moved": sum(run.moved for run in runs)}
    for name in ("true", "given", "refined", "angle_true", "angle", "off", "before", "after", "seconds", "rounds"):
        values = np.array([getattr(run, name) for run in runs], dtype=np.float64)
        values = values[np.isfinite(values)]
        row[name] = float(values.mean()) if len(values) else None
        row[f"{name}_se"] = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    row["least"] = float(min(run.refined - run.true for run in runs))
    z = np.array([run.z for run in runs if np.isfinite(run.z)])
    row["z"] = _rms(z) if len(z) else None
    row["moved_z"] = max(run.moved_z for run in runs)
    return row


def line(row: dict[str, Any]) -> str:
    """The text of a row."""

    def number(name: str, form: str) -> str:
        return "-" if row.get(name) is None else format(row[name], form)

    return (
        f"{row['what']:86} {row['moved']:>2}/{row['runs']:<2} {number('given', '6.1%')} {number('refined', '6.1%')} "
        f"{number('true', '6.1%')} {row['least']:+7.1%} {number('angle', '.4f')} {number('angle_true', '.4f')} "
        f"{number('off', '.3f')}+-{number('off_se', '.3f')} {number('z', '.2f')} {number('before', '.2f')} "
        f"{number('after', '.3f')} {number('rounds', '.1f')} {number('seconds', '.0f')}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.geometry", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each row [5]")
    parser.add_argument("--gate", type=int, default=60, help="runs of the rows of the gate [60]")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"the first of them [{FIRST_SEED}]")
    parser.add_argument("--frames", type=int, help="frames of each run, in the place of the rows' own")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time [1]")
    parser.add_argument("--only", action="append", metavar="WORDS", help="rows whose names contain these words")
    record.add_option(parser)
    args = parser.parse_args()
    cases = [case for case in CASES if not args.only or any(words in case.name for words in args.only)]
    if args.frames:
        cases = [Case(**{**case.__dict__, "frames": args.frames}) for case in cases]
    tasks = [(case, args.first_seed + seed) for case in cases for seed in range(args.gate if case.gate else args.seeds)]
    print("row; moved of runs; frames indexed with the panels of the file, refined, true; the least refined - true;")
    print("misorientation refined, true; panels off; z; residual of crystals not fitted before, after; rounds; CPU s")
    found: dict[Case, list[Run]] = {case: [] for case in cases}
    rows = []
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for (case, _), done in zip(tasks, pool.imap(run, tasks, chunksize=1), strict=True):
            found[case].append(done)
            if len(found[case]) == sum(each is case for each, _ in tasks):
                rows.append(figures(case, found[case]))
                print(line(rows[-1]), flush=True)
                if args.json:
                    record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
