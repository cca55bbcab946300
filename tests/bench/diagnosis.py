"""The findings of `ffbidx diagnose` on simulated runs with known errors: python -m tests.bench.diagnosis."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.devices import Devices, open_devices
from ffbidx_core.diagnose.diagnosis import Diagnosis, make_diagnosis
from ffbidx_core.model.detector.beam_shift import NO_SHIFT
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import expand_inputs
from ffbidx_core.read.results import read_run
from ffbidx_core.run import pipeline
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import Scenario, simulate, write_frames
from ffbidx_core.write import Output, PartsStore
from tests.bench import record
from tests.bench.scenarios import HEXAGONAL

_clean = {"cells": (LYSOZYME,), "n_spots": (40, 80), "false_share": (0.1, 0.1)}
_long = {"cells": (HEXAGONAL,), "n_spots": (100, 200), "false_share": (0.1, 0.1)}
CASES = {
    "nothing wrong": Scenario(**_clean),
    "beam centre 0.2 px off": Scenario(**_clean, beam_centre_error=(0.2, 0.0)),
    "beam centre 3 px off": Scenario(**_clean, beam_centre_error=(3.0, -1.0)),
    "the same, 10-15 spots": Scenario(**{**_clean, "n_spots": (10, 15)}, beam_centre_error=(3.0, -1.0)),
    "the same, cells scatter by 0.3 %": Scenario(**_clean, beam_centre_error=(3.0, -1.0), cell_spread=0.003),
    "the same, half of the frames blank": Scenario(**_clean, beam_centre_error=(3.0, -1.0), blank_share=0.5),
    "beam centre 15 px off": Scenario(**_clean, beam_centre_error=(12.0, 9.0)),
    "281 A, beam centre 3 px off": Scenario(**_long, beam_centre_error=(3.0, 0.0)),
    "281 A, beam centre 8 px off": Scenario(**_long, beam_centre_error=(0.0, 8.0)),
    "distance 0.5 % wrong": Scenario(**_clean, distance_error=0.005),
    "cell 0.4 % wrong": Scenario(**_clean, cell_error=(0.004, 0.004, 0.004)),
}
"""The runs that are diagnosed."""


@dataclass
class Compared:
    """The outcome of a run: errors of the shift (pixels), of distance and scale (per cent), and in stated errors."""

    shift: tuple[float, float]
    shift_error: float
    z: list[float]
    scale_z: list[float]
    cause: str
    before: float
    after: float
    advised: bool


@dataclass
class Moved:
    """Shares of frames indexed by runs that keep or move the beam, and the remaining offset of the latter."""

    left: float
    moved: float
    off: tuple[float, float]


def diagnose(scenario: Scenario, n_frames: int, seed: int, devices: Devices, folder: str) -> tuple[Diagnosis, Moved]:
    """Simulate a run, index it without moving the beam, and diagnose it; then index it with moving the beam."""
    spots, results = os.path.join(folder, "spots.h5"), os.path.join(folder, "results.h5")
    write_frames(spots, simulate(scenario, n_frames, seed), overwrite=True)
    rates = []
    for learn_beam in (True, False):
        p = Parameters.preset("best", learn_beam=learn_beam)
        job = Job(expand_inputs([spots]), p, scenario.input_cells, backend=devices.name, threads=1)
        summary = pipeline.index(job, store=PartsStore([Output(results)], overwrite=True)).summary
        rates.append(summary.indexed / summary.frames)
        if learn_beam:
            learned = read_run(results)[4]
            off = (learned[0].beam_shift if learned else NO_SHIFT).radian / pixel_of(scenario)
    moved = Moved(rates[1], rates[0], tuple(off - true_shift(scenario)))
    return make_diagnosis(results, devices), moved


def pixel_of(scenario: Scenario) -> float:
    """The edge of a pixel in units of the assumed distance."""
    return scenario.pixel_size * 1e-3 / scenario.assumed_detector.distance


def true_shift(scenario: Scenario) -> NDArray[np.float64]:
    """The simulated shift of the beam, pixels."""
    return np.array(scenario.detector.beam_centre) - scenario.assumed_detector.beam_centre


def compared(scenario: Scenario, diagnosis: Diagnosis) -> Compared | None:
    """The comparison of a diagnosis with the truth; None if nothing was found."""
    found = diagnosis.experiment
    if found is None:
        return None
    pixel = pixel_of(scenario)
    off = found.shift / pixel - true_shift(scenario)
    errors = np.array([found.shift_x.error, found.shift_y.error]) / pixel
    scale = 1 / (1 + scenario.cell_error[0]) - 1
    scale_z = [
        (found.distance.value - scenario.distance_error) / found.distance.error,
        (found.scale.value - scale) / found.scale.error,
    ]
    before = found.before.rate if found.before else np.nan
    after = found.after.rate if found.after else before
    return Compared(
        tuple(off),
        float(errors.mean()),
        (off / errors).tolist(),
        scale_z,
        found.cause,
        before,
        after,
        bool(diagnosis.advice),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.diagnosis", description=__doc__)
    parser.add_argument("--frames", type=int, default=120, help="frames of a run")
    parser.add_argument("--runs", type=int, default=8, help="runs of each kind")
    parser.add_argument("--only", action="append", choices=CASES, metavar="NAME")
    record.add_option(parser)
    args = parser.parse_args()
    print(
        f"{'run':36} {'found':>5} {'off px':>7} {'error':>6} {'rms z':>6} {'z scale':>7} {'before':>7} {'after':>6} "
        f"{'advice':>6} {'run':>7} {'moves':>7} {'off px':>7}  cause"
    )
    devices, rows = open_devices("cpu", threads=1), []
    with tempfile.TemporaryDirectory() as folder:
        for name, scenario in CASES.items():
            if args.only and name not in args.only:
                continue
            diagnosed = [diagnose(scenario, args.frames, seed, devices, folder) for seed in range(args.runs)]
            runs = [compared(scenario, diagnosis) for diagnosis, _ in diagnosed]
            moved = [each for _, each in diagnosed]
            row = figures(name, [found for found in runs if found is not None], moved)
            print(line(row), flush=True)
            rows.append(row)
    if args.json:
        record.write(args.json, rows)


def figures(name: str, runs: list[Compared], moved: list[Moved]) -> dict[str, Any]:
    """A row of the table: means over the runs of a kind, and over both directions if there are two."""
    row: dict[str, Any] = {"what": name, "found": len(runs), "of": len(moved)}
    if not runs:
        return row
    row |= {key: float(np.mean([getattr(found, key) for found in runs])) for key in ("before", "after", "advised")}
    causes = sorted({found.cause for found in runs})
    return row | {
        "off": _rms([found.shift for found in runs]),
        "error": float(np.mean([found.shift_error for found in runs])),
        "z": _rms([found.z for found in runs]),
        "z_scale": _rms([found.scale_z for found in runs]),
        "cause": ", ".join(f"{cause} {sum(found.cause == cause for found in runs)}" for cause in causes),
        "left": float(np.mean([each.left for each in moved])),
        "moved": float(np.mean([each.moved for each in moved])),
        "moved_off": _rms([each.off for each in moved]),
    }


def _rms(values: Sequence[Sequence[float]]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def line(row: dict[str, Any]) -> str:
    """The text of a row of the table."""
    start = f"{row['what']:36} {row['found']:>2}/{row['of']:<2}"
    if not row["found"]:
        return start
    return (
        f"{start} {row['off']:7.4f} {row['error']:6.4f} {row['z']:6.2f} {row['z_scale']:7.2f} "
        f"{row['before']:7.1%} {row['after']:6.1%} {row['advised']:6.0%} {row['left']:7.1%} {row['moved']:7.1%} "
        f"{row['moved_off']:7.3f}  {row['cause']}"
    )


if __name__ == "__main__":
    main()
