"""Runs of few frames, with and without learning: python -m tests.bench.claims.few.

Runs of a few frames are too short to learn a cell, but correct its scale where that indexes their frames, and they are
doubted if their crystals are not confirmed. The runs are those of `tests.bench.claims.wrong`, right ones of 1 to 10
frames, wrong ones and blank ones, with their counts, right runs whose cell or distance is 1 to 2 % off, and wrong runs
whose beam is off or whose wavelength was typed in nanometres. The benchmark fails if learning makes more wrong crystals
in runs without a doubt, if it loses frames of right runs, or if more than 2 % of right runs are doubted that have at
least 4 frames.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from ffbidx_core.simulate import Scenario
from tests.bench import record
from tests.bench.claims.runs import BLANK, BLANK_ELECTRONS, HEX, LYS, RIGHT_RUNS, TRI, WRONG, Run
from tests.bench.claims.wrong import BEST, Task, counted

LENGTHS = (1, 2, 3, 4, 6, 10)
"""Numbers of frames of the right runs."""
RIGHT = [f"right runs of {n} frame{'s' if n > 1 else ''}" for n in LENGTHS]
OFF = "cell or distance 1 to 2 % off"
MOST_DOUBTED, ENOUGH = 0.02, 4
"""Largest share of right runs that are doubted, and the smallest number of their frames for which it holds."""
TETRAGONAL = Scenario(cells=((79.1, 79.1, 38.0, 90.0, 90.0, 90.0),), n_spots=(60, 60), distance=100.0)
SLIGHTLY_OFF = [
    *(Run(replace(LYS, cell_error=errors)) for errors in ((0.015, 0.015, 0.015), (-0.02, -0.02, -0.015))),
    *(Run(replace(scenario, distance_error=error)) for scenario in (LYS, TRI) for error in (-0.015, 0.01, 0.02)),
    Run(replace(RIGHT_RUNS["cells scatter by 0.4 %"].scenario, cell_error=(0.02, 0.02, 0.01))),
]
BEAM_OFF = [
    Run(replace(scenario, beam_centre_error=(x * pixels, y * pixels)))
    for scenario, x, y in (
        (TETRAGONAL, 0.8, -0.6),
        (TETRAGONAL, -0.28, 0.96),
        (LYS, 0.6, 0.8),
        (TRI, 0.0, 1.0),
        (HEX, 1.0, 0.0),
    )
    for pixels in (5, 10, 20, 40)
]
IN_NANOMETRES = [
    Run(replace(scenario, wavelength=wavelength), scale=10.0)
    for scenario in (TETRAGONAL, LYS, TRI)
    for wavelength in (0.9, 1.2)
]
KINDS: dict[str, tuple[list[Run], int]] = {
    **{kind: (list(RIGHT_RUNS.values()), n) for kind, n in zip(RIGHT, LENGTHS, strict=True)},
    OFF: (SLIGHTLY_OFF, 4),
    "wrong runs": ([run for runs in WRONG.values() for run in runs], 4),
    "beam 5 to 40 px off": (BEAM_OFF, 3),
    "wavelength in nm": (IN_NANOMETRES, 60),
    "blank frames": ([*BLANK, *BLANK_ELECTRONS], 4),
}
"""The runs of each kind, and the number of their frames."""
WAYS = {"nothing learned": BEST.replace(learn_cell=0, learn_beam=False), "best": BEST}


def tasks_of(repeats: int, seed: int) -> list[Task]:
    """The runs of all kinds, each as often as `repeats` says with other frames, with and without learning."""
    return [
        Task(f"{kind}, {way}", f"{kind} {k}", run, n_frames, seed + 1000 * repeat + 100 * n_frames + k, p)
        for kind, (runs, n_frames) in KINDS.items()
        for way, p in WAYS.items()
        for k, run in enumerate(runs)
        for repeat in range(repeats)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.few", description=__doc__)
    parser.add_argument("--repeats", type=int, default=4, help="runs of each description")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    record.add_option(parser)
    args = parser.parse_args()
    counts = counted(tasks_of(args.repeats, args.seed), args.jobs)
    rows, good = [], True
    for kind in KINDS:
        before, now = (counts[f"{kind}, {way}"] for way in WAYS)
        good &= now.unsaid <= before.unsaid
        good &= now.indexed - now.wrong >= before.indexed - before.wrong or kind not in (*RIGHT, OFF)
        good &= now.doubted <= MOST_DOUBTED * now.runs or kind not in RIGHT or now.frames < ENOUGH * now.runs
        rows.append({"what": kind, "runs": now.runs, "frames": now.frames})
        for way, count in (("before", before), ("now", now)):
            rows[-1] |= {f"right_{way}": count.indexed - count.wrong, f"unsaid_{way}": count.unsaid}
        rows[-1]["doubted"] = now.doubted
        print(rows[-1], flush=True)
    if args.json:
        record.write(args.json, rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
