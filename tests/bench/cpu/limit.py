"""The parts of the time of a frame on a CPU, and the limit of the processor: python -m tests.bench.cpu.limit.

Most of the time goes into two loops that count spots: on all directions, and at all angles about the candidates. Their
evaluations are counted, and their speed is compared with two loops timed in the same run: one that does nothing but
independent multiplications and additions on data in the first-level cache, as many a second as this core can, and the
counting loop itself on one tile of directions, which shows what waiting for memory costs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cpu import scores
from ffbidx_core.backends.cpu.cells import frame_of, put_rows
from ffbidx_core.backends.cpu.formula import formula
from ffbidx_core.backends.cpu.jit import kernel
from ffbidx_core.backends.cpu.scores import TILE, UNROLLED, angle_counts, direction_counts
from ffbidx_core.backends.cpu.search import aligned
from ffbidx_core.backends.cpu.vectors import clear_spot, scale_spot
from ffbidx_core.benchmark import LEARNED
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan, half_sphere
from ffbidx_core.model.records.batch import SpotBatch
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import SimulatedFrames, simulate
from tests.bench import record
from tests.bench.scenarios import SPEED
from tests.bench.timed import HostClock, TimedVerbs

NAMES = ("tetragonal, 100 spots", "tetragonal, 300 spots", "triclinic, 100 spots", "triclinic, 300 spots")
DIRECTION, ANGLE = 8, 12
"""Vector operations of an evaluation, where a product and its addition are one. A direction and a spot: 3 for the
index, then rounding, difference, absolute value, comparison and count. An angle and a spot: 4 for two indices, 2
roundings, 2 differences, 2 for the squared distance, comparison and count."""
CHAINS, STEPS = 2, 16
"""Chains of products and of sums in the peak loop, for each number, and their steps. More chains are slower."""
FITS = ("fit_rigid", "refine_cells", "fit_constrained", "fit_whitened")
SMALL = (8, 1)
"""Frames of small calls."""
REPEATS = 400
"""Repeats of the loops that stay in the first-level cache: some milliseconds."""


@formula
def step(numbers: Any, k: int, factor: Any, term: Any) -> None:
    """Advance the numbers of column k: half of them by products with additions, the other half by differences."""
    products, sums = (tuple(numbers[half + r, k] for r in range(CHAINS)) for half in (0, CHAINS))
    for _ in range(STEPS):
        products = tuple(x * factor + term for x in products)
        sums = tuple(sums[(r + 1) % CHAINS] - sums[r] for r in range(CHAINS))
    for r in range(CHAINS):
        numbers[r, k], numbers[CHAINS + r, k] = products[r], sums[r]


@kernel
def only_arithmetic(numbers: Any, factor: Any, term: Any, repeats: int) -> None:
    """Do arithmetic on a tile of numbers (2 CHAINS, TILE) that needs nothing from elsewhere."""
    for _ in range(repeats):
        for k in range(TILE):
            step(numbers, k, factor, term)


@kernel
def one_tile(directions: Any, spots: Any, n: int, trims: Any, counts: Any, repeats: int) -> None:
    """Count the spots on the first tile of directions again and again."""
    for _ in range(repeats):
        direction_counts(directions, TILE, spots, n, trims, counts)


@kernel
def count_on_directions(
    xyz: Any,
    offsets: Any,
    lengths: Any,
    directions: Any,
    n_directions: int,
    most: int,
    trims: Any,
    spots: Any,
    counts: Any,
) -> int:
    """Count at most `most` spots of each frame on directions, as step 1 does; return the number of evaluations."""
    evaluations = 0
    for f in range(len(offsets) - 1):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, most)
        for g in range(len(lengths)):
            for j in range(n):
                scale_spot(xyz, begin + j, lengths[g], spots, j)
            for j in range(n, n + UNROLLED):
                clear_spot(spots, j)
            direction_counts(directions, n_directions, spots, n, trims, counts)
            evaluations += n * n_directions
    return evaluations


@kernel
def count_at_angles(
    xyz: Any,
    offsets: Any,
    vectors: Any,
    group: Any,
    n_angles: Any,
    along: Any,
    tables: Any,
    trims: Any,
    near: float,
    most: int,
    rows: Any,
    counts: Any,
) -> int:
    """Count the spots of each frame at all angles about its candidates, as step 3 does; return the evaluations."""
    evaluations = 0
    for f in range(len(offsets) - 1):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, most)
        for s in range(group.shape[0]):
            for c in range(vectors.shape[2]):
                present, frame = frame_of(vectors, f, group[s], c)
                if not present:
                    break
                n_near = put_rows(rows, xyz, begin, begin + n, frame, along, s, near)
                angle_counts(tables, s, n_angles[s], rows, n_near, trims, counts)
                evaluations += n_near * n_angles[s]
    return evaluations


def seconds(repeats: int, work: Callable[[], Any]) -> float:
    """The shortest CPU time of a call in seconds, after one that may compile."""
    work()
    spent = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return min(spent)


def peak(repeats: int) -> float:
    """The vector operations of this core on numbers in the first-level cache, in operations per ns and number."""
    numbers = aligned((2 * CHAINS, TILE))
    spent = seconds(repeats, lambda: only_arithmetic(numbers, np.float32(0.5), np.float32(0.25), REPEATS))
    return 2 * CHAINS * STEPS * TILE * REPEATS / spent * 1e-9


class Loops:
    """The two counting loops on the frames of a scenario.

    Attributes
    ----------
    plan : SearchPlan
    spots : SpotBatch
        The frames as the CPU backend has loaded them.
    counts : (P padded to TILE,) float32
        Minus the number of spots that the last call has counted on each direction.
    """

    def __init__(self, plan: SearchPlan, spots: SpotBatch, p: Parameters) -> None:
        self.plan, self.spots, self.p = plan, spots, p
        self._directions = aligned((3, -(-p.num_halfsphere_points // TILE) * TILE))
        self._directions[:, : p.num_halfsphere_points] = half_sphere(p.num_halfsphere_points).T
        self.counts = aligned(self._directions.shape[1])
        self._scaled = np.zeros((3, int(spots.counts.max()) + UNROLLED), np.float32)

    def all_directions(self) -> int:
        """Count the spots of the race on all directions; returns the number of evaluations."""
        return self._on_directions(self.p.num_halfsphere_points, self.p.race_spots)

    def best_directions(self) -> int:
        """Count all spots on as many directions as remain after the race; returns the number of evaluations."""
        return self._on_directions(self.p.race_directions, self.p.max_spots)

    def _on_directions(self, n_directions: int, most: int) -> int:
        limits = scores.trims(self.p, self.p.distance1).values
        xyz, offsets, lengths = self.spots.xyz, self.spots.offsets, self.plan.lengths
        work = (self._directions, n_directions, most, limits, self._scaled, self.counts)
        return int(count_on_directions(xyz, offsets, lengths, *work))

    def one_tile(self) -> int:
        """Count the spots of the race on one tile of directions many times; returns the number of evaluations."""
        limits, n = scores.trims(self.p, self.p.distance1).values, self.p.race_spots
        one_tile(self._directions, self._scaled, n, limits, self.counts, REPEATS)
        return TILE * n * REPEATS

    def angles(self, vectors: Any) -> int:
        """Count the spots at all angles about refined candidates; returns the number of evaluations."""
        p, plan, near = self.p, self.plan, self.p.distance3
        seeds = np.arange(len(plan.axis))
        along = np.stack([plan.base[seeds, (plan.axis + i) % 3, 2] for i in range(3)], axis=1).astype(np.float32)
        limits, tables = scores.trims(p, scores.square_limit(near)).values, plan.angle_tables
        rows, counts = np.zeros((5, self._scaled.shape[1]), np.float32), aligned(tables.shape[2])
        frames = (self.spots.xyz, self.spots.offsets, vectors, plan.group, plan.n_angles)
        return int(count_at_angles(*frames, along, tables, limits, near, p.max_spots, rows, counts))


def small_call(run: SimulatedFrames, n: int, plan: SearchPlan, p: Parameters, repeats: int) -> float:
    """The CPU time of a frame in ms in a call with the first n frames, as of live data."""
    backend, offsets = get_backend("cpu", threads=1), run.offsets[: n + 1]
    return seconds(repeats, lambda: index_frames(backend, run.spots[: offsets[-1]], offsets, plan, p)) * 1e3 / n


def measure(name: str, frames: int, repeats: int, most: float) -> dict[str, float]:
    """The parts of the time of a frame in ms, and how near the loops are to `most` operations a ns."""
    backend, p, scenario = get_backend("cpu", threads=1), Parameters.preset("best"), SPEED[name]
    plan, run = SearchPlan.make(scenario.input_cells, p, LEARNED), simulate(scenario, frames)
    parts: dict[str, float] = {}
    whole = np.inf
    for _ in range(repeats + 1):
        verbs = TimedVerbs(backend, HostClock(time.thread_time))
        start = time.thread_time()
        index_frames(verbs, run.spots, run.offsets, plan, p)
        if (spent := time.thread_time() - start) < whole:
            whole, parts = spent, verbs.seconds
    spots = backend.load(run.spots, run.offsets)
    loops = Loops(plan, spots, p)
    vectors = backend.find_candidate_vectors(spots, plan, p, p.num_halfsphere_points)
    vectors = np.ascontiguousarray(backend.refine_vectors(spots, vectors, plan, p))
    ms = 1e3 / frames
    race, rest = (seconds(repeats, loop) * ms for loop in (loops.all_directions, loops.best_directions))
    tile = seconds(repeats, loops.one_tile) / loops.one_tile()
    angles = seconds(repeats, lambda: loops.angles(vectors)) * ms
    pairs, more, turns = (n / frames for n in (loops.all_directions(), loops.best_directions(), loops.angles(vectors)))
    fits = sum(parts.get(verb, 0.0) for verb in FITS) * ms
    least = (DIRECTION * (pairs + more) * 1e-6 / most, ANGLE * turns * 1e-6 / most)
    first, second, third = (
        parts[verb] * ms for verb in ("find_candidate_vectors", "refine_vectors", "find_oriented_cells")
    )
    return {
        "whole": whole * ms,
        "directions": race + rest,
        "direction_evaluations": (pairs + more) * 1e-6,
        "direction_peak": least[0] / (race + rest),
        "direction_tile": tile * (pairs + more) * 1e3 / (race + rest),
        "direction_scores": first - race - rest,
        "vectors": second,
        "angles": angles,
        "angle_evaluations": turns * 1e-6,
        "angle_peak": least[1] / angles,
        "angle_scores": third - angles,
        "fits": fits,
        "rest": whole * ms - first - second - third - fits,
        **{f"call_{n}": small_call(run, n, plan, p, 4 * repeats) for n in SMALL},
        "at_peak": whole * ms - (race + rest - least[0]) - (angles - least[1]),
    }


PARTS = {
    "peak": "most that the core does, operations/ns",
    "whole": "a frame, ms",
    "directions": "count of spots on directions, ms",
    "direction_evaluations": "its evaluations of a direction and a spot, millions",
    "direction_peak": "its operations, share of the most",
    "direction_tile": "its speed, share of that on one tile of directions",
    "direction_scores": "scores and choice of directions, ms",
    "vectors": "refinement of vectors, ms",
    "angles": "count of spots at angles, ms",
    "angle_evaluations": "its evaluations of an angle and a spot, millions",
    "angle_peak": "its operations, share of the most",
    "angle_scores": "scores and choice of angles, ms",
    "fits": "fits of cells, ms",
    "rest": "judgement of cells and all else, ms",
    "at_peak": "a frame if both counts did the most, ms",
    **{f"call_{n}": f"a frame in a call of {n} frame{'s' * (n > 1)}, ms" for n in SMALL},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cpu.limit", description=__doc__)
    parser.add_argument("--frames", type=int, default=60, help="frames of a call")
    parser.add_argument("--repeats", type=int, default=9, help="calls, the shortest of which counts")
    record.add_option(parser)
    args = parser.parse_args()
    most = peak(args.repeats)
    print(f"Preset best, one thread, CPU time a frame, calls of {args.frames} frames: " + "; ".join(NAMES))
    columns = {name: measure(name, args.frames, args.repeats, most) for name in NAMES}
    columns |= {name: {"peak": most, **column} for name, column in columns.items()}
    for key, title in PARTS.items():
        print(f"  {title:56}" + "".join(f"{column[key]:9.3f}" for column in columns.values()))
    if args.json:
        keys = {name: name.replace(", ", "_").replace(" ", "_") for name in NAMES}
        rows = [
            {"part": title, **{keys[name]: round(columns[name][key], 1 if key == "peak" else 3) for name in NAMES}}
            for key, title in PARTS.items()
        ]
        record.write(args.json, rows)


if __name__ == "__main__":
    main()
