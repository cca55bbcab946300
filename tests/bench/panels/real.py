"""The real stills of `xfel_metrology` on panels that are put elsewhere: frames indexed, residuals of unseen crystals.

The true places are those of the list that comes with the stills, which DIALS refined with all of them. Skipped, with
exit status 1, if the data is not beside the project.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ffbidx_cli.main import main as ffbidx
from ffbidx_core.devices import open_devices
from ffbidx_core.model.detector.panels import Geometry
from ffbidx_core.panels.of_run import refine_results
from ffbidx_core.panels.refine import FEW_PEAKS
from ffbidx_core.read.geometry.any import read_geometry
from ffbidx_core.simulate.many_panels import ManyPanels
from ffbidx_core.write.formats.refined import refined_text
from tests.bench import record
from tests.helpers.panels.real import CELL, DATA, write_real_stills
from tests.helpers.panels.stills import off_by

SEED = 100
"""First of the seeds of the disturbances."""


def run(off: float, seed: int, every: int) -> dict[str, Any]:
    """The numbers of the stills with their panels `off` pixels off."""
    geometry = read_geometry(str(DATA / "experiments.json"))
    assert isinstance(geometry, Geometry)
    detector = ManyPanels.of(geometry)
    # The file is wrong, and the panels are where they are.
    given = detector.disturbed(off, np.random.default_rng((SEED, seed)))
    with tempfile.TemporaryDirectory() as folder:
        spots, results, wrong = (str(Path(folder) / name) for name in ("spots.h5", "run.h5", "wrong.expt"))
        n = write_real_stills(spots, geometry.detector, detector.given_distance, every)
        Path(wrong).write_text(refined_text(geometry, given.true, detector.given_distance))
        where = ["--backend", "cpu", "--threads", "1"]
        status = ffbidx(["index", spots, "-g", wrong, "--cell", ",".join(map(str, CELL)), "-o", results, "-q", *where])
        assert status == 0
        refined = refine_results(results, open_devices("cpu", threads=1)).refined
    assert refined.fit is not None
    assert refined.gain is not None
    assert refined.first is not None
    assert refined.last is not None
    # The run may have moved the beam: motions count from there.
    differ, _ = off_by(refined.fit, refined.before, detector.true, FEW_PEAKS)
    return {
        "off": off,
        "seed": seed,
        "stills": n,
        "given": float(refined.first.indexed.mean()),
        "refined": float(refined.last.indexed.mean()),
        "before": refined.gain.before,
        "after": refined.gain.after,
        "differ": float(np.sqrt(np.mean(differ**2))),
        "rounds": refined.rounds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.panels.real", description=__doc__)
    parser.add_argument("--off", type=float, action="append", metavar="PX", help="pixels off [1, 2, 3 and 4]")
    parser.add_argument("--seeds", type=int, default=1, help="disturbances of each size [1]")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth of the 300 stills [1]")
    record.add_option(parser)
    args = parser.parse_args()
    if not DATA.exists():
        print(f"{DATA} is not there", file=sys.stderr)
        return 1
    print(
        "px off; indexed with wrong, refined panels; residual of unseen crystals before, after; px from DIALS' panels"
    )
    rows = []
    for off in args.off or (1.0, 2.0, 3.0, 4.0):
        for seed in range(args.seeds):
            row = run(off, seed, args.every)
            rows.append(row)
            print(
                f"{off:g} {row['given']:.1%} {row['refined']:.1%} {row['before']:.3f} {row['after']:.3f} "
                f"{row['differ']:.3f} {row['rounds']}",
                flush=True,
            )
            if args.json:
                record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
