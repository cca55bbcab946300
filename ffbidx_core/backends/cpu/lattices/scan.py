"""The scan for lattice vectors on the CPU."""

from __future__ import annotations

from typing import Any

from ....model.unknown.scan import LANES
from ..formula import formula, nearest, single
from ..jit import kernel

UNROLLED, TOGETHER = 8, 2
"""Numbers of lengths and of spots in one step of the inner loop: the cosines of a spot are loaded and stored once for
these lengths, and the sum at a length once for these spots."""


def cosine_of(turns: Any) -> Any:
    """cos(2 pi x) for a phase x in turns, as 1 - 2 sin(pi x)^2 by a polynomial that vectorises, within 1e-5."""
    y = 3.14159265 * (turns - nearest(turns))
    z = y * y
    sine = y * (1.0 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880)))))
    return 1.0 - 2.0 * sine * sine


@formula
def begin_lane(
    directions: Any, m: int, spots: Any, j: int, first: float, step: float, waves: Any, place: int, b: int
) -> None:
    """Store the cosines of spot j at the length before the first and at the first, and twice the cosine of a step."""
    turns = directions[0, m] * spots[0, j] + directions[1, m] * spots[1, j] + directions[2, m] * spots[2, j]
    first, step = single(first), single(step)
    waves[place + b] = cosine_of(turns * (first - step))
    waves[place + b + LANES] = cosine_of(turns * first)
    waves[place + b + 2 * LANES] = 2.0 * cosine_of(turns * step)


@formula
def clear_lane(rows: Any, place: int, b: int) -> None:
    """Set the sums of a lane at `UNROLLED` lengths to 0."""
    for i in range(UNROLLED):
        rows[place + b + i * LANES] = 0.0


@formula
def advance_lane(rows: Any, place: int, waves: Any, wave: int, b: int) -> None:
    """Add `TOGETHER` spots to the sums at `UNROLLED` lengths.

    The cosines of a spot follow from cos(p (L + d)) = 2 cos(p d) cos(p L) - cos(p (L - d)).
    """
    starts = [wave + b + 3 * LANES * t for t in range(TOGETHER)]
    before = [waves[start] for start in starts]
    here = [waves[start + LANES] for start in starts]
    factors = [waves[start + 2 * LANES] for start in starts]
    for i in range(UNROLLED):
        total = rows[place + b + i * LANES]
        for t in range(TOGETHER):
            total = total + here[t]
            before[t], here[t] = here[t], factors[t] * here[t] - before[t]
        rows[place + b + i * LANES] = total
    for t in range(TOGETHER):
        waves[starts[t]] = before[t]
        waves[starts[t] + LANES] = here[t]


@formula
def put_hit(directions: Any, m: int, length: float, value: Any, hits: Any, values: Any, n: int) -> None:
    """Store a local maximum as hit n: its vector and its sum."""
    for i in range(3):
        hits[n, i] = directions[i, m] * single(length)
    values[n] = value


@kernel
def scan_directions(
    directions: Any,
    spots: Any,
    n_spots: int,
    first: float,
    step: float,
    n_lengths: int,
    begin: int,
    threshold: float,
    waves: Any,
    rows: Any,
    hits: Any,
    values: Any,
    found: int,
) -> Any:
    """Find local maxima in length above a threshold, from direction `begin` on, and append them to the hits.

    Parameters
    ----------
    directions : (3, M) float32;  spots : (3, n) float32
        Unit vectors, and spots of low resolution in 1/angstrom.
    waves : (n rounded up to TOGETHER, times 3 LANES) float32;  rows : (n_lengths rounded up to UNROLLED, times LANES)
        Scratch arrays, float32, flat so that the compiler sees that their parts do not overlap; `waves` is 0 beyond
        spot n.
    hits : (H, 3) float32;  values : (H,) float32
        Vectors, angstrom, and sums at the local maxima, of which the first `found` are filled.

    Returns
    -------
    (int, int)
        The next direction to scan, M at the end, and the number of hits. The scan stops early if the arrays may have
        no room for the hits of `LANES` more directions.
    """
    n_directions = directions.shape[1]
    room = hits.shape[0] - LANES * (n_lengths // 2 + 1)
    for m in range(begin, n_directions, LANES):
        if found > room:
            return m, found
        for j in range(n_spots):
            for b in range(LANES):
                begin_lane(directions, m + b, spots, j, first, step, waves, 3 * LANES * j, b)
        for k in range(0, n_lengths, UNROLLED):
            for b in range(LANES):
                clear_lane(rows, k * LANES, b)
            for j in range(0, n_spots, TOGETHER):
                for b in range(LANES):
                    advance_lane(rows, k * LANES, waves, 3 * LANES * j, b)
        for k in range(1, n_lengths - 1):
            here = k * LANES
            highest = rows[here]
            for b in range(1, LANES):
                highest = max(highest, rows[here + b])
            if highest > threshold:
                for b in range(LANES):
                    value = rows[here + b]
                    if value > threshold and value >= rows[here - LANES + b] and value > rows[here + LANES + b]:
                        put_hit(directions, m + b, first + k * step, value, hits, values, found)
                        found += 1
    return n_directions, found
