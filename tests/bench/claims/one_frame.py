"""Time of one frame through `ffbidx.Indexer.run`, as clients call it: python -m tests.bench.claims.one_frame.

One indexer on one thread of the CPU gets frame after frame; the first call, which compiles, is not counted. CPU time is
what a frame costs wherever other programs run too, and what `--json` keeps; wall time is what a client waits for.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

import ffbidx
from ffbidx_core.benchmark import SCENARIOS
from ffbidx_core.parameters import PRESETS
from ffbidx_core.published.layout import cells_to_published
from ffbidx_core.simulate import Scenario, simulate
from tests.bench import record

ASKED_MS = 5.0
"""Largest time of a frame of 100 spots with the published defaults, ms."""
CASES = [name for name in SCENARIOS if name.endswith("100 spots")]


def one_thread() -> None:
    """Make new indexers use one thread."""
    from ffbidx_core.backends.cpu import threads

    threads.available_threads = lambda: 1


def milliseconds(indexer: ffbidx.Indexer, scenario: Scenario, n_frames: int, calls: int) -> tuple[float, float]:
    """The median CPU and wall time of a call in ms, over `calls` rounds of the same frames."""
    made = simulate(scenario, n_frames, 1)
    cell = cells_to_published(made.input_cells)
    frames = [np.ascontiguousarray(made.spots[i:j].T) for i, j in zip(made.offsets[:-1], made.offsets[1:], strict=True)]
    indexer.run(frames[0], cell)
    spent, waited = [], []
    for spots in frames * calls:
        began, start = time.perf_counter(), time.process_time()
        indexer.run(spots, cell)
        spent.append(time.process_time() - start)
        waited.append(time.perf_counter() - began)
    return median(spent) * 1e3, median(waited) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims.one_frame", description=__doc__)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--calls", type=int, default=10, help="rounds of the same frames")
    record.add_option(parser)
    args = parser.parse_args()
    one_thread()
    rows = []
    for name in CASES:
        row: dict[str, object] = {"what": name}
        for preset in PRESETS:
            with ffbidx.Indexer(backend="cpu", preset=preset) as indexer:
                cpu, wall = milliseconds(indexer, SCENARIOS[name], args.frames, args.calls)
            row[f"{preset}_cpu"] = round(cpu, 2)
            asked = f"at most {ASKED_MS:g}" if preset == "published" else ""
            print(f"{name:24} {preset:10} {cpu:6.2f} ms CPU {wall:6.2f} ms wall   {asked}", flush=True)
        rows.append(row)
    if args.json:
        record.write(args.json, rows)


if __name__ == "__main__":
    main()
