"""Whether as many false crystals are found as are claimed to be expected: python -m tests.bench.calibration.

The frames either have no crystal, or half of their spots are false; in the latter the spots that remain after the
crystal has taken its own are searched for another crystal, which is not there.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ffbidx_core.backends import Backend, get_backend
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.chance import level as chance
from ffbidx_core.model.chance.false_hits import RESOLUTION_RANK, log10_expected
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench import record
from tests.bench.claims.agreement import Claims, interval
from tests.bench.quality import BATCH, index_all, part
from tests.bench.scenarios import CASES, CUBIC, HEXAGONAL, PSEUDO

LATTICES = {"cubic 20": CUBIC, "lysozyme": LYSOZYME, "triclinic": TRICLINIC, "hexagonal 281": HEXAGONAL}
SHOWN = {CUBIC: 12}
"""Number of true spots that a small lattice shows in nearly every orientation."""
FOREIGN = (
    ("lysozyme", "triclinic"),
    ("triclinic", "lysozyme"),
    ("lysozyme", "hexagonal 281"),
    ("triclinic", "cubic 20"),
)
"""Pairs of the crystals on the frames and the given cell."""
HELD_OUT = {
    "50 51.5 70": PSEUDO,
    "cubic 150": (150.0, 150.0, 150.0, 90.0, 90.0, 90.0),
    "trigonal 110": (110.0, 110.0, 45.0, 90.0, 90.0, 120.0),
    "60 200 75": (60.0, 200.0, 75.0, 90.0, 97.0, 90.0),
    "100 130 90": (100.0, 130.0, 90.0, 75.0, 100.0, 95.0),
}
"""Lattices to which the constants of the formula were not fitted."""
SPOTS = (20, 35, 60, 100, 180, 300)
NOMINAL = (0.1, 0.03, 0.01)
"""Expected numbers of false crystals at which the claim is compared with the number found."""
HARD = ("14 of 54", "14 of 44", "few spots", "small cell", "xfel")
"""Cases of `tests.bench.quality` that depend on few spots."""
LIMITS = (0.1, 0.01, 1e-4, 1e-6)
"""Limits at which crystals are counted on frames of another crystal."""
MOST_MULTIPLE, TWIN_TOLERANCE = 9, 0.02
"""Largest multiple of a lattice that is part of an overlapping lattice, and relative tolerance of its vectors."""
MOST_BLANK, MOST_BLANK_95 = 0.005, 0.01
"""Largest share of blank frames with a crystal at the preset's own limit, and the upper bound of its interval."""
MOST_LOST = 0.01
"""Largest share of the correct crystals on difficult frames that the limit may cost."""


def scenario(cell: tuple[float, ...], n_spots: int, half_false: bool) -> Scenario:
    """Frames with `n_spots` spots, all or half of them false; there are more if the lattice shows too few."""
    true = min(n_spots // 2, SHOWN.get(cell, n_spots)) if half_false else 0
    if not true:
        return Scenario(cells=(cell,), n_spots=(n_spots, n_spots), lattices=(0, 0))
    return Scenario(cells=(cell,), n_spots=(true, true), false_spots=(n_spots - true, n_spots - true))


def false_crystals(backend: Backend, frames: SimulatedFrames, p: Parameters) -> tuple[np.ndarray, int]:
    """The log10 (k,) of the claims of crystals made by chance, and the number of other crystals that are not correct.

    The others overlap a true lattice: twins of it, sub-lattices, and bases not related to it by symmetry. They explain
    true spots, so they are not made by chance.
    """
    plan, claims, n_overlapping = SearchPlan.make(frames.input_cells, p), [], 0
    for first in range(0, frames.n_frames, BATCH):
        result = index_frames(backend, *part(frames, first, first + BATCH), plan, p)
        for k, truth in _crystals(result, frames, first):
            cell = result.cells[result.crystals[k]].astype(np.float64)
            overlap = [overlaps(cell, true) for true in truth]
            if not any(overlap):
                claims.append(float(result.log10_false[k]))
            n_overlapping += any(found > 1 for found in overlap)
    return np.array(claims), n_overlapping


def _crystals(result: BatchResult, frames: SimulatedFrames, first: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the crystals of a batch, each with the true lattices of its frame."""
    for f in range(result.n_frames):
        truth = frames.cells[frames.cell_offsets[first + f] : frames.cell_offsets[first + f + 1]]
        for k in range(result.crystal_offsets[f], result.crystal_offsets[f + 1]):
            yield int(k), truth


def overlaps(cell: np.ndarray, truth: np.ndarray) -> int:
    """The smallest whole number whose multiple of one lattice is part of the other; 0 if there is none.

    The number is 1 for the same lattice or a sub-lattice, and 2 or more for a twin.
    """
    for multiple in range(1, MOST_MULTIPLE + 1):
        for change in (cell @ np.linalg.inv(truth), truth @ np.linalg.inv(cell)):
            change = multiple * change
            if np.abs(change - np.rint(change)).max() < TWIN_TOLERANCE * multiple:
                return multiple
    return 0


def measure(
    backend: Backend, cell: tuple[float, ...], n_spots: int, p: Parameters, n_frames: int, seed: int, half_false: bool
) -> Claims:
    """Index frames with the largest nominal limit, and return the claims and the crystals found."""
    frames = simulate(scenario(cell, n_spots, half_false), n_frames, seed)
    p = p.replace(max_false_rate=max(NOMINAL), learn_cell=0)
    claims, n_overlapping = false_crystals(backend, frames, p)
    return Claims(claims, n_frames, *most_claimed(frames, p), n_overlapping)


def most_claimed(frames: SimulatedFrames, p: Parameters) -> tuple[float, float]:
    """The largest numbers that crystals with the fewest spots, and with one spot more, claim among false spots."""
    plan, false = SearchPlan.make(frames.input_cells, p), frames.lattice < 0
    resolution = np.quantile(np.linalg.norm(frames.spots[false], axis=1), RESOLUTION_RANK)
    n, radius = round(false.sum() / frames.n_frames), chance.radii(plan.shortest_reciprocal)[0, -1]
    counts, order = p.min_new_spots + np.arange(2), len(plan.operators[0])
    most, further = 10 ** log10_expected(
        counts, n, radius, plan.volumes[0], order, resolution, p.max_spots, p.n_output_cells
    )
    return float(most), float(further)


def calibration(backend: Backend, p: Parameters, n_frames: int, seed: int) -> tuple[bool, list[dict[str, Any]]]:
    """Print the table of claimed and found false crystals; returns whether all agree, and the rows."""
    rows = []
    print(f"{'':14}{'spots':>5}  " + "  ".join(f"claimed   found (95 % interval), limit {q:4.0%}" for q in NOMINAL))
    good = True
    for title, lattices, spots, half_false in (
        ("blank frames", LATTICES, SPOTS, False),
        ("half false frames", LATTICES, SPOTS, True),
        ("blank frames, other lattices", HELD_OUT, SPOTS[1::2], False),
    ):
        print(title)
        for name, cell in lattices.items():
            row: dict[str, Any] = {"what": f"{title.partition(' frames')[0]}, {name}", "spots": list(spots)}
            row |= {f"{100 * q:g}": {"found": [], "at_most": []} for q in NOMINAL}
            rows.append(row)
            for n_spots in spots:
                found = measure(backend, cell, n_spots, p, n_frames, seed, half_false)
                good &= all(found.agrees(q) for q in NOMINAL)
                for q in NOMINAL:
                    most = float(f"{100 * found.claimed(q):.2g}") if found.is_upper_bound(q) else None
                    row[f"{100 * q:g}"]["found"].append(100 * found.count(q) / n_frames)
                    row[f"{100 * q:g}"]["at_most"].append(most)
                twins = f"  {found.n_overlapping} twins" if found.n_overlapping else ""
                print(f"{name:14}{n_spots:5}  " + "  ".join(found.cell(q) for q in NOMINAL) + twins, flush=True)
    return good, rows


def blank_frames(backend: Backend, p: Parameters, n_frames: int, seed: int) -> bool:
    """Print the share of blank frames with a crystal at the limit of the preset; returns whether it is small enough."""
    claimed = 0
    for cell in LATTICES.values():
        for n_spots in SPOTS:
            frames, tally = simulate(scenario(cell, n_spots, False), n_frames, seed + 1), Tally()
            index_all(backend, frames, p.replace(learn_cell=0), tally)
            claimed += tally.frames_claimed
    n = n_frames * len(LATTICES) * len(SPOTS)
    low, high = interval(claimed, n)
    print(
        f"at the limit {p.max_false_rate:g}: {claimed} of {n} blank frames have a crystal, {claimed / n:.3%} "
        f"({low:.3%} - {high:.3%})"
    )
    return claimed <= MOST_BLANK * n and high < MOST_BLANK_95


def hard_frames(backend: Backend, p: Parameters, seed: int) -> bool:
    """Print the cost of the limit: correct crystals that are the best of their frame and do not pass."""
    good = True
    for case in CASES:
        if case.name not in HARD:
            continue
        right = []
        for limit in (1.0, p.max_false_rate):
            tally = Tally()
            # There is one search, because correct crystals found after a false one are no merit of the limit.
            one = p.replace(max_false_rate=limit, searches=1)
            index_all(backend, simulate(case.scenarios[0], 1000, seed), one, tally)
            right.append(tally.frames_right)
        lost = (right[0] - right[1]) / 1000
        good &= lost <= MOST_LOST
        print(f"{case.name}: {right[0]} of 1000 frames are right at the limit 1, {right[1]} at {p.max_false_rate:g}")
    return good


def other_crystals(backend: Backend, p: Parameters, n_frames: int, seed: int) -> None:
    """Print the crystals found on frames of another crystal, which are not random and for which there is no claim."""
    for true, given in FOREIGN:
        frames = simulate(Scenario(cells=(LATTICES[true],), n_spots=(60, 120)), n_frames, seed)
        described = dataclasses.replace(frames, scenario=dataclasses.replace(frames.scenario, cells=(LATTICES[given],)))
        claims, _ = false_crystals(backend, described, p.replace(max_false_rate=max(NOMINAL), learn_cell=0))
        shares = ", ".join(f"{(claims <= math.log10(q)).sum() / n_frames:.2%} at {q:g}" for q in LIMITS)
        print(f"frames of {true} given the cell of {given}: crystals a frame {shares}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.calibration", description=__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=PRESETS[:2], default="best")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", action="append", choices=("table", "blank", "hard", "other"), help="a part of it")
    record.add_option(parser)
    args = parser.parse_args()
    backend, p = get_backend(args.backend, threads=args.threads), Parameters.preset(args.preset)
    parts = args.only or ("table", "blank", "hard", "other")
    good = True
    if "table" in parts:
        agree, rows = calibration(backend, p, args.frames, args.seed)
        good &= agree
        if args.json:
            record.write(args.json, rows)
    if "blank" in parts:
        good &= blank_frames(backend, p, args.frames, args.seed)
    if "hard" in parts:
        good &= hard_frames(backend, p, args.seed)
    if "other" in parts:
        other_crystals(backend, p, args.frames, args.seed)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
