"""Runs of few frames, with and without learning: python -m tests.bench.claims.few.

Runs of a few frames are too short to learn a cell, but correct its scale where that indexes their frames. The runs are
those of `tests.bench.claims.wrong`, right ones, wrong ones and blank ones, with their counts, and right runs whose cell
or distance is 1 to 2 % off. The benchmark fails if learning makes more wrong crystals in runs without a doubt, or loses
frames of right runs.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from tests.bench import record
from tests.bench.claims.runs import BLANK, BLANK_ELECTRONS, LYS, RIGHT_RUNS, TRI, WRONG, Run
from tests.bench.claims.wrong import BEST, Task, counted

RIGHT, OFF, WRONGLY, BLANKS = "right runs", "cell or distance 1 to 2 % off", "wrong runs", "blank frames"
SLIGHTLY_OFF = [
    *(Run(replace(LYS, cell_error=errors)) for errors in ((0.015, 0.015, 0.015), (-0.02, -0.02, -0.015))),
    *(Run(replace(scenario, distance_error=error)) for scenario in (LYS, TRI) for error in (-0.015, 0.01, 0.02)),
    Run(replace(RIGHT_RUNS["cells scatter by 0.4 %"].scenario, cell_error=(0.02, 0.02, 0.01))),
]
KINDS: dict[str, list[Run]] = {
    RIGHT: list(RIGHT_RUNS.values()),
    OFF: SLIGHTLY_OFF,
    WRONGLY: [run for runs in WRONG.values() for run in runs],
    BLANKS: [*BLANK, *BLANK_ELECTRONS],
}
WAYS = {"nothing learned": BEST.replace(learn_cell=0, learn_beam=False), "best": BEST}


def tasks_of(n_frames: int, repeats: int) -> list[Task]:
    """The runs of all kinds, each as often as `repeats` says with other frames, with and without learning."""
    return [
        Task(f"{kind}, {way}", f"{kind} {k}", run, n_frames, 1000 * repeat + k, p)
        for kind, runs in KINDS.items()
        for way, p in WAYS.items()
        for k, run in enumerate(runs)
        for repeat in range(repeats)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.few", description=__doc__)
    parser.add_argument("--frames", type=int, default=4, help="frames of a run")
    parser.add_argument("--repeats", type=int, default=4, help="runs of each description")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    record.add_option(parser)
    args = parser.parse_args()
    counts = counted(tasks_of(args.frames, args.repeats), args.jobs)
    rows, good = [], True
    for kind in KINDS:
        before, now = (counts[f"{kind}, {way}"] for way in WAYS)
        good &= now.unsaid <= before.unsaid
        good &= now.indexed - now.wrong >= before.indexed - before.wrong or kind not in (RIGHT, OFF)
        rows.append({"what": kind, "runs": now.runs, "frames": now.frames})
        for way, count in (("before", before), ("now", now)):
            rows[-1] |= {f"right_{way}": count.indexed - count.wrong, f"unsaid_{way}": count.unsaid}
        print(rows[-1], flush=True)
    if args.json:
        record.write(args.json, rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
