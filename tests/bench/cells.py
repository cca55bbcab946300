"""How many unknown cells are found, with standard errors: python -m tests.bench.cells.

A case is one random lattice with frames of its own. Rows differ in the size of the cell, spots, false spots, and in
what is wrong with the run. Beside each row stands what single frames give on the same data: the cell on which most
frames agree, where each frame has one cell, of its three best vectors or of its best joint triple.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.cell_search import CellSearch, Frames, find_cells
from ffbidx_core.cell_search.bravais import bravais
from ffbidx_core.cell_search.pool import TOLERANCE
from ffbidx_core.cell_search.search import REACHES
from ffbidx_core.devices.devices import OneDevice
from ffbidx_core.errors import CellError, ParameterError
from ffbidx_core.model.cell import Array, cell_from_parameters, cell_parameters
from ffbidx_core.model.lattice import centring_basis
from ffbidx_core.model.unknown.scan import FLATTEST, VectorScan
from ffbidx_core.model.unknown.selling import nearest_setting, reduced_cell, voronoi_lengths
from ffbidx_core.simulate import Scenario, simulate
from tests.bench import record

TYPES = ("aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF")
SMALL, MEDIUM, LARGE = (6.0, 30.0), (30.0, 110.0), (110.0, 280.0)
FEW, USUAL, MANY = (8, 14), (15, 30), (40, 100)
LENGTHS_WITHIN, ANGLES_WITHIN = 0.005, 0.3
"""A reduced cell is right to this share of the lengths and these degrees."""
SINGLE = 20
"""Frames that the methods of one frame at a time are tried on."""
AGREE = 3
"""Frames that must agree for such a method to have found a cell."""


@dataclass(frozen=True)
class Row:
    """Cases that are alike.

    Attributes
    ----------
    name : str
    axes : (2,) float
        Range of the conventional axes, angstrom.
    spots : (2,) int
        Range of the spots of a frame.
    false : float
        Share of the spots that is false.
    frames : int
    settings : dict
        Further settings of the simulation.
    second : float
        Share of the frames that show a second cell.
    blank : bool
        Whether all spots are random.
    """

    name: str
    axes: tuple[float, float]
    spots: tuple[int, int]
    false: float
    frames: int = 100
    settings: dict[str, Any] = field(default_factory=dict)
    second: float = 0.0
    blank: bool = False


ROWS = (
    *(
        Row(f"{name}, {spots[0]}-{spots[1]} spots, {false:.0%} false", axes, spots, false)
        for spots, false in ((FEW, 0.25), (USUAL, 0.25), (USUAL, 0.5), (MANY, 0.5))
        for name, axes in (("6-30 A", SMALL), ("30-110 A", MEDIUM), ("110-280 A", LARGE))
    ),
    Row("30-110 A, 8-14 spots, 50% false, 500 frames", MEDIUM, FEW, 0.5, 500),
    Row("30-110 A, two lattices a frame", MEDIUM, (30, 60), 0.25, settings={"lattices": (2, 2)}),
    Row("30-110 A, 70:30 mixture", MEDIUM, USUAL, 0.25, 200, second=0.3),
    Row("30-110 A, 80:20 mixture", MEDIUM, USUAL, 0.25, 200, second=0.2),
    Row("30-110 A, beam off by 2 and 1 px", MEDIUM, USUAL, 0.25, settings={"beam_centre_error": (2.0, 1.0)}),
    Row("30-110 A, distance off by 1%", MEDIUM, USUAL, 0.25, settings={"distance_error": 0.01}),
    Row("30-110 A, cells scatter by 0.5%", MEDIUM, USUAL, 0.25, settings={"cell_spread": 0.005, "angle_spread": 0.2}),
    Row("blank, 8-14 spots", MEDIUM, FEW, 1.0, 60, blank=True),
    Row("blank, 40-100 spots", MEDIUM, MANY, 1.0, 60, blank=True),
)


def random_cell(code: str, axes: tuple[float, float], rng: np.random.Generator) -> tuple[float, ...]:
    """Conventional parameters of a lattice of this type that comes near to no higher symmetry."""
    while True:
        a, b, c = np.exp(rng.uniform(*np.log(axes), 3))
        angles = [90.0, 90.0, 90.0]
        if code[0] == "a":
            angles = list(rng.uniform(70, 110, 3))
        elif code[0] == "m":
            angles[1] = rng.uniform(92, 118)
        elif code[0] == "h":
            angles[2] = 120.0
        if code[0] in "thc":
            b = a
        if code[0] == "c":
            c = a
        parameters = (a, b, c, *angles)
        try:
            cell = centring_basis(centring_of(code)) @ cell_from_parameters(parameters)
        except CellError:
            continue
        if bravais(cell, 0.012).code == code:
            return parameters


def centring_of(code: str) -> str:
    """The letter of the centring; a rhombohedral lattice is on hexagonal axes."""
    return "H" if code == "hR" else code[1]


def frames_of(row: Row, code: str, seed: int) -> tuple[Frames, list[tuple[str, Array]]]:
    """The frames of a case, and the type and the primitive cell of each of its lattices."""
    rng = np.random.default_rng((seed, sum(map(ord, row.name))))
    codes = [code, str(rng.choice(TYPES))] if row.second else [code]
    counts = [row.frames - round(row.second * row.frames), round(row.second * row.frames)]
    parts, truth = [], []
    for one, n in zip(codes, counts, strict=False):
        parameters = random_cell(one, row.axes, rng)
        parts.append(_simulated(row, parameters, centring_of(one), n, int(rng.integers(1 << 30))))
        truth.append((one, reduced_cell(centring_basis(centring_of(one)) @ cell_from_parameters(parameters))))
    spots = np.concatenate([part.spots for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    frames = Frames(spots, np.concatenate([[0], np.cumsum(counts)]))
    return frames.take(rng.permutation(frames.n_frames)), [] if row.blank else truth


def _simulated(row: Row, parameters: tuple[float, ...], centring: str, n: int, seed: int) -> Frames:
    small, large = row.axes == SMALL, row.axes == LARGE
    given = Scenario(
        cells=(parameters,),
        centring=centring,
        n_spots=row.spots,
        false_share=(row.false, row.false),
        d_min=1.0 if small else 4.0 if large else 3.0,
        spot_radius=0.0005 if large else 0.0015,
        distance=100.0 if small else 200.0,
        lattices=(0, 0) if row.blank else (1, 1),
    )
    given = replace(given, **row.settings)
    while True:
        try:
            frames = simulate(given, n, seed)
            return Frames(frames.spots, frames.offsets)
        except ParameterError:
            # The cell shows too few spots: crystals with larger spots, and in the end to higher resolution.
            given = replace(given, spot_radius=given.spot_radius * 1.5, d_min=given.d_min * 0.95)


def is_right(cell: Array, truth: Array, scale: bool) -> bool:
    """Whether a primitive cell is the true one; with `scale` but for a factor on all lengths."""
    if scale:
        cell = cell * np.cbrt(abs(np.linalg.det(truth) / np.linalg.det(cell)))
    found = nearest_setting(cell, truth @ truth.T)
    if found is None:
        return False
    off = cell_parameters(found[0]) - cell_parameters(truth)
    lengths = np.abs(off[:3]) / np.linalg.norm(truth, axis=1)
    return bool(lengths.max() < LENGTHS_WITHIN and np.abs(off[3:]).max() < ANGLES_WITHIN)


def single_frames(frames: Frames, truth: Array) -> tuple[bool, bool]:
    """Whether most frames agree on the true cell: by the three best vectors of each, and by its best joint triple."""
    low = frames.take(np.arange(min(SINGLE, frames.n_frames))).low()
    lengths = np.split(np.linalg.norm(low.spots.astype(np.float64), axis=1), low.offsets[1:-1])
    longest = float(np.linalg.norm(truth, axis=1).max())
    scan = VectorScan.make(next((reach for reach in REACHES if reach > 1.05 * longest), REACHES[-1]), lengths)
    if scan is None:
        return False, False
    backend = get_backend("cpu", threads=1)
    spots = backend.load(low.spots, low.offsets)
    vectors = backend.refine_scanned(spots, backend.scan_vectors(spots, scan), scan)
    joint, _ = backend.join_vectors(spots, vectors)
    three = [cell for cell in (_first_three(some) for some in vectors) if cell is not None]
    return _agreed(three, truth), _agreed([cell for cell in joint[:, 0] if cell.any()], truth)


def _first_three(vectors: Array) -> Array | None:
    """The three best vectors of a frame that do not lie in a plane."""
    some = vectors[vectors.any(axis=1)][:10]
    for k in range(2, len(some)):
        for j in range(1, k):
            for i in range(j):
                cell = some[[i, j, k]]
                if abs(np.linalg.det(cell)) > FLATTEST * np.linalg.norm(cell, axis=1).prod():
                    return np.asarray(cell)
    return None


def _agreed(cells: list[Array], truth: Array) -> bool:
    """Whether the largest cluster of cells, one of each frame, is the true one."""
    if not cells:
        return False
    lengths = voronoi_lengths(np.array(cells))
    near = np.max(np.abs(lengths[:, None] / lengths[None] - 1), axis=2) < TOLERANCE
    best = int(np.argmax(near.sum(axis=1)))
    right = np.max(np.abs(lengths[best] / voronoi_lengths(truth[None])[0] - 1)) < 2 * TOLERANCE
    return bool(near[best].sum() >= AGREE and right)


@dataclass(frozen=True)
class Outcome:
    """A case: found, the type right, claims that are wrong, seconds of CPU time, and what single frames give."""

    row: int
    found: bool
    typed: bool
    wrong: int
    seconds: float
    three: bool = False
    joint: bool = False
    note: str = ""


def run(task: tuple[int, str, int, bool]) -> Outcome:
    """Search a case."""
    number, code, seed, beside = task
    row = ROWS[number]
    frames, truth = frames_of(row, code, seed)
    devices = OneDevice(get_backend("cpu", threads=1))
    start = time.process_time()
    search = find_cells(frames, devices, most_cells=2 if row.second else 1)
    seconds = time.process_time() - start
    scale = "distance_error" in row.settings
    right = [[is_right(cell.primitive, true, scale) for _, true in truth] for cell in search.cells]
    found = bool(truth) and all(any(each[k] for each in right) for k in range(len(truth)))
    wrong = sum(not any(each) for each in right)
    three, joint = single_frames(frames, truth[0][1]) if beside and len(truth) == 1 else (False, False)
    note = "" if found and _typed(search, truth, right) else f"{code} {truth and cell_parameters(truth[0][1]).round(1)}"
    return Outcome(number, found, found and _typed(search, truth, right), wrong, seconds, three, joint, note)


def _typed(search: CellSearch, truth: list[tuple[str, Array]], right: list[list[bool]]) -> bool:
    """Whether all cells that are right have their true types."""
    return all(
        cell.symmetry.lattice.code == truth[each.index(True)][0]
        for cell, each in zip(search.cells, right, strict=True)
        if any(each)
    )


def as_row(number: int, outcomes: list[Outcome], beside: bool) -> dict[str, Any]:
    """The numbers of a row: shares with their standard errors."""
    row, n = ROWS[number], len(outcomes)
    found = sum(each.found for each in outcomes)

    def share(k: int, of: int) -> tuple[float | None, float | None]:
        # One case is added to either side for the error, so that none and all have one, too.
        p = (k + 1) / (of + 2)
        return (k / of, float(np.sqrt(p * (1 - p) / (of + 2)))) if of else (None, None)

    values: dict[str, Any] = {"what": row.name, "frames": row.frames, "cases": n, "blank": row.blank}
    if not row.blank:
        values["found"], values["found_error"] = share(found, n)
        values["typed"], values["typed_error"] = share(sum(each.typed for each in outcomes), found)
    values["wrong"] = sum(each.wrong for each in outcomes)
    if beside and not row.blank and not row.second:
        values["three"] = sum(each.three for each in outcomes) / n
        values["joint"] = sum(each.joint for each in outcomes) / n
    values["seconds"] = float(np.median([each.seconds for each in outcomes]))
    return values


def line(values: dict[str, Any]) -> str:
    """A row of the table."""

    def shown(name: str) -> str:
        if values.get(name) is None:
            return f"{'':12}"
        error = values.get(f"{name}_error")
        return f"{values[name]:6.3f}" + (f" {error:5.3f}" if error is not None else 6 * " ")

    shares = " ".join(shown(name) for name in ("found", "typed", "three", "joint"))
    return f"{values['what']:46} {values['cases']:5} {shares} {values['wrong']:6} {values['seconds']:8.1f}"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cells", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="TEXT", help="rows whose name has this text")
    parser.add_argument("--cases", type=int, default=14, help="lattices a row, of the types in turn [14]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="cases at once, each on one thread [1]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after so many seconds")
    parser.add_argument("--alone", action="store_true", help="leave out the methods of one frame at a time")
    record.add_option(parser)
    return parser


def main() -> int:
    args = options().parse_args()
    chosen = [k for k, row in enumerate(ROWS) if not args.only or any(text in row.name for text in args.only)]
    # Row by row in turn, so that a limit on the time leaves no row out.
    tasks = [
        (k, TYPES[(i + k) % len(TYPES)], args.seed * 10_000 + i, not args.alone)
        for i in range(args.cases)
        for k in chosen
    ]
    outcomes: dict[int, list[Outcome]] = defaultdict(list)
    deadline = time.monotonic() + args.seconds
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for outcome in pool.imap_unordered(run, tasks):
            outcomes[outcome.row].append(outcome)
            if outcome.note or outcome.wrong:
                print(f"  {ROWS[outcome.row].name}: {outcome}", file=sys.stderr, flush=True)
            if time.monotonic() > deadline:
                pool.terminate()
                break
    print(f"{'row':46} {'cases':>5} {'found':12} {'type right':12} {'three':12} {'joint':12} {'wrong':>6} {'CPU s':>8}")
    rows = [as_row(k, outcomes[k], not args.alone) for k in chosen if outcomes[k]]
    for values in rows:
        print(line(values))
    if args.json:
        record.write(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
