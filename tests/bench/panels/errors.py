"""Errors of panels after a fit, compared with the smallest possible error of any fit on the same stills.

A row is a kind of stills on a kind of disturbed detector, as in `tests.bench.geometry`, over several seeds. The fit
starts from crystals on all frames, with misorientations like those of indexing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from typing import Any

import numpy as np

from ffbidx_core.panels.fit import fit_panels
from ffbidx_core.panels.refine import FEW_PEAKS
from tests.bench import record
from tests.bench.geometry import CASES, FIRST_SEED, Case
from tests.helpers.panels.bound import least_error
from tests.helpers.panels.stills import gathered, off_by

TURNED = 0.03
"""Misorientation of crystals from the truth about each axis, degrees (rms)."""


def run(task: tuple[Case, int]) -> tuple[float, float, float, float, float]:
    """Mean squares over the panels of a run: error, bound, stated error, error over stated error; number of panels."""
    case, seed = task
    frames = case.simulated(seed)
    data, detector = gathered(frames, turned=TURNED), frames.scenario.panels
    assert detector is not None
    fit = fit_panels(data.peaks, data.panels, detector.tree)
    off, errors = off_by(fit, data.panels, detector.true, FEW_PEAKS)
    bound = least_error(frames, gathered(frames), case.off, fit.counts, FEW_PEAKS, alone=case.alone, motion=case.motion)
    return np.mean(off**2), bound**2, np.mean(errors**2), np.mean((off / errors) ** 2), len(off)


def figures(case: Case, runs: list[tuple[float, ...]]) -> dict[str, Any]:
    """The numbers of a row: rms over the runs, and the standard error of the mean of their errors."""
    squares = np.array(runs)
    off = np.sqrt(squares[:, 0])
    rms = dict(zip(("off", "bound", "stated", "z"), np.sqrt(squares[:, :4].mean(axis=0)).tolist(), strict=True))
    error = float(off.std(ddof=1) / np.sqrt(len(off))) if len(off) > 1 else None
    return {"what": case.name, "runs": len(runs), **rms, "off_se": error, "panels": float(squares[:, 4].mean())}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.panels.errors", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each row [5]")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"the first of them [{FIRST_SEED}]")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time [1]")
    parser.add_argument("--only", action="append", metavar="WORDS", help="rows whose names contain these words")
    record.add_option(parser)
    args = parser.parse_args()
    # A run corrects a wrong beam before its panels are fitted; rows of 1000 frames would take most of the time.
    cases = [case for case in CASES if case.off and case.frames <= 300 and not case.distance]
    cases = [case for case in cases if not args.only or any(words in case.name for words in args.only)]
    print("row; runs; panels compared in each; rms error of their middles, px; the least possible; stated; z")
    rows = []
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        tasks = [(case, args.first_seed + seed) for case in cases for seed in range(args.seeds)]
        done = pool.imap(run, tasks, chunksize=1)
        for case in cases:
            row = figures(case, [next(done) for _ in range(args.seeds)])
            rows.append(row)
            print(
                f"{row['what']:86} {row['runs']} {row['panels']:.0f} {row['off']:.3f} {row['bound']:.3f} "
                f"{row['stated']:.3f} {row['z']:.2f}",
                flush=True,
            )
            if args.json:
                record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
