"""CPU time of one fit of all panels on stills with about 50 spots: python -m tests.bench.panels.speed."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from ffbidx_core.panels.fit import fit_panels
from tests.bench import record
from tests.bench.geometry import FIRST_SEED, STRONG, Case
from tests.bench.panels.errors import TURNED
from tests.helpers.panels.stills import gathered


def measured(n_frames: int, n_panels: int, seed: int) -> dict[str, Any]:
    """The numbers of a row: frames, panels, peaks, and the CPU seconds of a fit of panels that are 1 px off."""
    frames = Case(STRONG, 1.0, frames=n_frames, panels=n_panels).simulated(seed)
    data, detector = gathered(frames, turned=TURNED), frames.scenario.panels
    assert detector is not None
    start = time.process_time()
    fit = fit_panels(data.peaks, data.panels, detector.tree)
    seconds = time.process_time() - start
    return {"frames": fit.n_crystals, "panels": n_panels, "peaks": len(data.peaks.pixels), "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.panels.speed", description=__doc__)
    parser.add_argument("--frames", type=int, action="append", metavar="N", help="stills of a row [100, 300, 1000]")
    parser.add_argument("--panels", type=int, default=64, choices=(32, 64, 128), help="panels of the detector [64]")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help=f"seed of the stills [{FIRST_SEED}]")
    record.add_option(parser)
    args = parser.parse_args()
    rows = []
    for n_frames in args.frames or (100, 300, 1000):
        rows.append(measured(n_frames, args.panels, args.seed))
        print(
            "{frames} frames, {panels} panels, {peaks} peaks: {seconds:.1f} s of CPU time".format(**rows[-1]),
            flush=True,
        )
        if args.json:
            record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
