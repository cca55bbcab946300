"""The scan for lattice vectors on the CPU."""

from __future__ import annotations

from typing import Any

from ....model.unknown.scan import LANES
from ..formula import formula, nearest, single
from ..jit import kernel

UNROLLED = 4
"""Number of lengths in one step of the inner loop, for which a spot's cosines are loaded and stored once."""


def cosine_of(turns: Any) -> Any:
    """cos(2 pi x) for a phase x in turns, as 1 - 2 sin(pi x)^2 by a polynomial that vectorises, within 1e-5."""
    y = 3.14159265 * (turns - nearest(turns))
    z = y * y
    sine = y * (1.0 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880)))))
    return 1.0 - 2.0 * sine * sine


@formula
def begin_lane(
    directions: Any, m: int, spots: Any, j: int, first: float, step: float, x: Any, y: Any, r: Any, b: int
) -> None:
    """Store the cosines of spot j at the length before the first and at the first, and twice the cosine of a step."""
    turns = directions[0, m] * spots[0, j] + directions[1, m] * spots[1, j] + directions[2, m] * spots[2, j]
    first, step = single(first), single(step)
    x[j, b] = cosine_of(turns * (first - step))
    y[j, b] = cosine_of(turns * first)
    r[j, b] = 2.0 * cosine_of(turns * step)


@formula
def clear_lane(rows: Any, k: int, b: int) -> None:
    """Set the sums of a lane at `UNROLLED` lengths to 0."""
    for i in range(UNROLLED):
        rows[k + i, b] = 0.0


@formula
def advance_lane(rows: Any, k: int, j: int, x: Any, y: Any, r: Any, b: int) -> None:
    """Add spot j to the sums at `UNROLLED` lengths, by cos(p (L + d)) = 2 cos(p d) cos(p L) - cos(p (L - d))."""
    before, here, factor = x[j, b], y[j, b], r[j, b]
    for i in range(UNROLLED):
        rows[k + i, b] = rows[k + i, b] + here
        before, here = here, factor * here - before
    x[j, b] = before
    y[j, b] = here


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
    x: Any,
    y: Any,
    r: Any,
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
    x, y, r : (n, LANES) float32;  rows : (n_lengths rounded up to UNROLLED, LANES) float32
        Scratch arrays.
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
                begin_lane(directions, m + b, spots, j, first, step, x, y, r, b)
        for k in range(0, n_lengths, UNROLLED):
            for b in range(LANES):
                clear_lane(rows, k, b)
            for j in range(n_spots):
                for b in range(LANES):
                    advance_lane(rows, k, j, x, y, r, b)
        for k in range(1, n_lengths - 1):
            highest = rows[k, 0]
            for b in range(1, LANES):
                highest = max(highest, rows[k, b])
            if highest > threshold:
                for b in range(LANES):
                    value = rows[k, b]
                    if value > threshold and value >= rows[k - 1, b] and value > rows[k + 1, b]:
                        put_hit(directions, m + b, first + k * step, value, hits, values, found)
                        found += 1
    return n_directions, found
