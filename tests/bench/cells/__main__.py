"""How many unknown cells are found, with standard errors: python -m tests.bench.cells.

A case is one random lattice with its own frames. Rows differ in the size of the cell, the number of spots and of false
spots, and errors of the run. Each row is compared with the result of single frames on the same data: the cell on which
most frames agree, where each frame gives one cell, from its three best vectors or its best joint triple. With
`--known` the true cell is judged instead: where it is not claimed, no search can find it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import defaultdict

from ffbidx_core.cell_search.bravais import TYPES
from tests.bench import record
from tests.bench.cells.cases import ROWS
from tests.bench.cells.kept import Kept
from tests.bench.cells.outcome import Case, Outcome, as_row, line, run


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cells", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="TEXT", help="rows whose name has this text")
    parser.add_argument("--cases", type=int, default=14, help="lattices a row, of the types in turn [14]")
    parser.add_argument("--blank-cases", type=int, metavar="N", help="runs of each row of random spots [--cases]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="cases at once, each on one thread [1]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after so many seconds")
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"), help="backend of the search [cpu]")
    parser.add_argument("--alone", action="store_true", help="leave out the methods of one frame at a time")
    parser.add_argument("--known", action="store_true", help="judge the true cell instead of a search")
    parser.add_argument(
        "--keep",
        metavar="FILE",
        help="keep each outcome in this file, and take those that it has; the exit status is 1 while cases are missing",
    )
    record.add_option(parser)
    return parser


def cases_of(args: argparse.Namespace) -> list[Case]:
    """The cases of all rows in turn, so that a time limit leaves no row out."""
    chosen = [k for k, row in enumerate(ROWS) if not args.only or any(text in row.name for text in args.only)]
    blank = 0 if args.known else args.cases if args.blank_cases is None else args.blank_cases
    return [
        Case(k, TYPES[(i + k) % len(TYPES)], args.seed * 10_000 + i, args.backend, not args.alone, args.known)
        for i in range(max(args.cases, blank))
        for k in chosen
        if i < (blank if ROWS[k].blank else args.cases)
    ]


def main() -> int:
    args = options().parse_args()
    cases, kept = cases_of(args), Kept(args.keep)
    missing = [case for case in cases if case not in kept.outcomes]
    deadline = time.monotonic() + args.seconds
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for case, outcome in pool.imap_unordered(run, missing):
            kept.add(case, outcome)
            if outcome.wrong or (outcome.note and not ROWS[case.row].blank):
                print(f"  {ROWS[case.row].name}: {outcome}", file=sys.stderr, flush=True)
            if time.monotonic() > deadline:
                pool.terminate()
                break
    outcomes: dict[int, list[Outcome]] = defaultdict(list)
    for case in cases:
        if case in kept.outcomes:
            outcomes[case.row].append(kept.outcomes[case])
    shares = " ".join(f"{name:12}" for name in ("found", "type right", "three", "joint"))
    print(f"{'row':46} {'cases':>5} {shares} {'wrong':>6} {'s':>8}")
    rows = [as_row(k, outcomes[k], not args.alone and not args.known) for k in sorted(outcomes)]
    for values in rows:
        print(line(values))
    if args.json:
        record.write(args.json, rows)
    there = sum(map(len, outcomes.values()))
    if args.keep and there < len(cases):
        print(f"{there} of {len(cases)} cases: the same command goes on", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
