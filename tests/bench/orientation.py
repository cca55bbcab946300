"""Misorientations of crystals after the last fit, on simulated stills: python -m tests.bench.orientation."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.simulate import Scenario, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench import record
from tests.bench.quality import index_all
from tests.bench.scenarios import HEXAGONAL, XFEL

BEFORE = {"weigh_residuals": False, "strain_prior": 0.002}
"""Parameters of the last fit without the scatters learned from the first frames."""
BEFORE_WORDS = "without what the first frames teach"
FEW, MANY = (10, 15), (60, 120)

_kinds = {
    "rigid": {},
    "cells scatter by 0.3 %": {"cell_spread": 0.003},
    "beam centre 2 px off": {"beam_centre_error": (2.0, 0.0)},
    "both": {"cell_spread": 0.003, "beam_centre_error": (2.0, 0.0)},
}
CASES = {
    f"{what}, {low}-{high} spots": Scenario(
        cells=(LYSOZYME,), n_spots=(low, high), false_share=(0.25, 0.25) if low < 60 else (0.1, 0.1), **settings
    )
    for what, settings in _kinds.items()
    for low, high in (FEW, MANY)
} | {
    "C-centred, XFEL-like": XFEL,
    "hexagonal 281 A": Scenario(cells=(HEXAGONAL,), n_spots=(100, 300), false_share=(0.1, 0.1)),
}
"""Frames whose orientations are measured."""


def angles(scenario: Scenario, n_frames: int, seeds: Sequence[int], p: Parameters, backend: str) -> tuple[float, Tally]:
    """The CPU milliseconds per frame, and a tally with the misorientations of correct crystals."""
    tally = Tally()
    seconds = sum(
        index_all(get_backend(backend, threads=1), simulate(scenario, n_frames, seed), p, tally) for seed in seeds
    )
    return seconds * 1e3 / tally.frames, tally


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.orientation", description=__doc__)
    parser.add_argument("--frames", type=int, default=300, help="frames of a case and seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--preset", choices=PRESETS, default="best")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a parameter (JSON)")
    parser.add_argument("--backend", default="cpu")
    record.add_option(parser)
    args = parser.parse_args()
    changes = {name: json.loads(value) for name, _, value in (item.partition("=") for item in args.set)}
    p = Parameters.preset(args.preset, **changes)
    print(f"{'frames':44} {'right':>6} {'median':>7} {'95 %':>7} {'CPU ms':>7}   degrees")
    rows = []
    for name, scenario in CASES.items():
        row: dict[str, object] = {"what": name}
        for when, settings in (("", p), ("before_", p.replace(**BEFORE))):
            ms, tally = angles(scenario, args.frames, range(args.seeds), settings, args.backend)
            median, high = np.percentile(tally.angles, (50, 95))
            label = f"  {BEFORE_WORDS}" if when else name
            print(
                f"{label:44} {tally.frames_right / tally.frames:6.4f} {median:7.4f} {high:7.4f} {ms:7.2f}", flush=True
            )
            row |= {f"{when}median": median, f"{when}95" if when else "high_95": high}
        rows.append(row)
    if args.json:
        record.write(args.json, rows)


if __name__ == "__main__":
    main()
