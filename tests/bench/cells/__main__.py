"""How many unknown cells are found, with standard errors: python -m tests.bench.cells.

A case is one random lattice with its own frames. Rows differ in the size of the cell, the number of spots and of false
spots, and errors of the run. Each row is compared with the result of single frames on the same data: the cell on which
most frames agree, where each frame gives one cell, from its three best vectors or its best joint triple.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import defaultdict

from tests.bench import record
from tests.bench.cells.cases import ROWS, TYPES
from tests.bench.cells.outcome import Outcome, as_row, line, run


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cells", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="TEXT", help="rows whose name has this text")
    parser.add_argument("--cases", type=int, default=14, help="lattices a row, of the types in turn [14]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="cases at once, each on one thread [1]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after so many seconds")
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"), help="backend of the search [cpu]")
    parser.add_argument("--alone", action="store_true", help="leave out the methods of one frame at a time")
    record.add_option(parser)
    return parser


def main() -> int:
    args = options().parse_args()
    chosen = [k for k, row in enumerate(ROWS) if not args.only or any(text in row.name for text in args.only)]
    # Cases of all rows are taken in turn, so a time limit leaves no row out.
    tasks = [
        (k, TYPES[(i + k) % len(TYPES)], args.seed * 10_000 + i, args.backend, not args.alone)
        for i in range(args.cases)
        for k in chosen
    ]
    outcomes: dict[int, list[Outcome]] = defaultdict(list)
    deadline = time.monotonic() + args.seconds
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for outcome in pool.imap_unordered(run, tasks):
            outcomes[outcome.row].append(outcome)
            if outcome.wrong or (outcome.note and not ROWS[outcome.row].blank):
                print(f"  {ROWS[outcome.row].name}: {outcome}", file=sys.stderr, flush=True)
            if time.monotonic() > deadline:
                pool.terminate()
                break
    print(f"{'row':46} {'cases':>5} {'found':12} {'type right':12} {'three':12} {'joint':12} {'wrong':>6} {'s':>8}")
    rows = [as_row(k, outcomes[k], not args.alone) for k in chosen if outcomes[k]]
    for values in rows:
        print(line(values))
    if args.json:
        record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
