"""Scores of directions, and of cells at angles about an axis, many at a time in the SIMD lanes.

The score is gmean - count - 1 with gmean = (prod_j (trim(d_j) + delta))^(1/n) - delta. The kernels compute a float32
key with the same order: -count + (mean log2 of the factors, scaled to [0, 1)). Factors are multiplied, and the exponent
of the product is extracted before it can exceed the range of float32, so that each direction needs only one logarithm.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...model.factors import factors
from ...parameters import Parameters
from .algebra import dot, spot
from .formula import clipped, exponent_and_mantissa, formula, nearest, root, single, where
from .jit import part_of_kernel

TILE = 512
"""Number of directions per pass over the spots, for which the three accumulators fit in the first-level cache."""
UNROLLED = 4
"""Number of spots per step of the inner loops; lists of spots end with as many spots at the origin."""

LOG2 = tuple(
    float(c)
    for c in np.polynomial.chebyshev.Chebyshev.interpolate(np.log2, 7, domain=[1, 2])
    .convert(kind=np.polynomial.Polynomial)
    .coef
)
"""Coefficients of a polynomial for log2 on [1, 2], from Chebyshev interpolation, with an absolute error below 2e-7."""


class Trims(NamedTuple):
    """Constants of the product of factors, for the kernels.

    Attributes
    ----------
    values : (7,) float32
        The first six constants of `model.factors.Factors`, then the limit below which a spot counts: of its distance
        from a lattice plane, or of its squared distance from a lattice point.
    every : int
        Number of spots after which the exponent of the product is extracted.
    """

    values: Any
    every: int


def trims(p: Parameters, limit: float) -> Trims:
    """The constants of the factors, and the limit below which a spot counts."""
    *values, every = factors(p)
    return Trims(np.array([*values, limit], np.float32), max(every // UNROLLED * UNROLLED, UNROLLED))


def square_limit(distance: float) -> float:
    """The least float32 number with a root, rounded to float32, that is not below a distance."""
    near = np.float32(max(distance, 0.0))
    limit = near * near
    while np.sqrt(limit) >= near > 0:
        limit = np.nextafter(limit, np.float32(0))
    while np.sqrt(limit) < near:
        limit = np.nextafter(limit, np.float32(np.inf))
    return float(limit)


@formula
def numbers_of(trims: Any) -> Any:
    """The seven constants as separate numbers."""
    return tuple(trims[k] for k in range(7))


@formula
def chunk_end(begin: int, size: int, n: int) -> Any:
    """End of the chunk of at most `size` spots that begins at `begin`, among n spots."""
    end = begin + size
    return where(end < n, end, n)


@formula
def four_spots(spots: Any, j: int) -> Any:
    """Columns j to j + 3 of spots (3, n)."""
    return tuple(spot(spots, j + i) for i in range(UNROLLED))


@formula
def four_rows(rows: Any, j: int) -> Any:
    """Columns j to j + 3 of rows (5, n); see `angle_keys`."""
    return tuple(tuple(rows[r, j + i] for r in range(5)) for i in range(UNROLLED))


@formula
def start_lane(work: Any, k: int, padding: int) -> None:
    """Reset a lane's product, count and exponent; the count compensates for the padding, whose spots will count."""
    work[0, k], work[1, k], work[2, k] = 1.0, single(padding), 0.0


@formula
def count_near(directions: Any, k: int, spots: Any, near: Any, counts: Any) -> None:
    """Subtract 1 from a direction's count for each of four spots that is close to one of its lattice planes."""
    direction, count = spot(directions, k), counts[k]
    for s in spots:
        h = dot(direction, s)
        count = where(abs(h - nearest(h)) < near, count - 1, count)
    counts[k] = count


@formula
def meet_directions(directions: Any, k: int, spots: Any, trims: Any, work: Any, lane: int) -> None:
    """Multiply the factors of four spots into a direction's product, and update its count."""
    direction = spot(directions, k)
    product, count = work[0, lane], work[1, lane]
    for s in spots:
        h = dot(direction, s)
        distance = abs(h - nearest(h))
        product, count = product * _factor(distance, trims), where(distance < trims[6], count - 1, count)
    work[0, lane], work[1, lane] = product, count


@formula
def count_close(table: Any, s: int, k: int, rows: Any, square: Any, counts: Any) -> None:
    """Subtract 1 from an angle's count for each of four spots that is close to a lattice point; see `angle_keys`."""
    angle, count = tuple(table[s, i, k] for i in range(4)), counts[k]
    for row in rows:
        count = where(_squared_distance(angle, row) < square, count - 1, count)
    counts[k] = count


@formula
def meet_angles(table: Any, s: int, k: int, rows: Any, trims: Any, work: Any) -> None:
    """Multiply the factors of four spots into an angle's product, and update its count; see `angle_keys`."""
    angle = tuple(table[s, i, k] for i in range(4))
    product, count = work[0, k], work[1, k]
    for row in rows:
        square = _squared_distance(angle, row)
        product, count = product * _factor(root(square), trims), where(square < trims[6], count - 1, count)
    work[0, k], work[1, k] = product, count


def _squared_distance(angle: Any, row: Any) -> Any:
    """Squared distance of a spot from the nearest lattice point, in fractional indices."""
    (a, b, c, d), (p, q, g, h, e) = angle, row
    x, y = a * p + b * q + g, c * p + d * q + h
    x, y = x - nearest(x), y - nearest(y)
    return x * x + y * y + e


def _factor(distance: Any, trims: Any) -> Any:
    """The factor of a spot."""
    low, high, scale, shift = trims[:4]
    return clipped(distance, low, high) * scale + shift


@formula
def take_exponent(work: Any, k: int) -> None:
    """Move the binary exponent of a lane's product to its sum of exponents."""
    exponent, work[0, k] = exponent_and_mantissa(work[0, k])
    work[2, k] = work[2, k] + exponent


@formula
def key_of_lane(work: Any, k: int, trims: Any, halves: int, n: int) -> Any:
    """The key of a lane's product over n spots.

    `halves` is the number of padding spots, which have the smallest factor, plus the number of spots that were skipped
    because they have the largest factor: either kind is corrected by half of the log2 range.
    """
    half, span = trims[4], trims[5]
    mantissa, logarithm = work[0, k], 0.0
    for c in reversed(LOG2):
        logarithm = mantissa * logarithm + c
    mean = (work[2, k] + logarithm + single(halves) * half) / single(n)
    return work[1, k] + (mean + half) * span


@part_of_kernel
def direction_counts(directions: Any, n_directions: int, spots: Any, n: int, trims: Any, counts: Any) -> None:
    """Integer parts of the keys of directions, which are minus their counts of spots; see `direction_keys`."""
    near = trims[6]
    uncounted = -n & (UNROLLED - 1) if near > 0 else 0
    for first in range(0, n_directions, TILE):
        for k in range(first, first + TILE):
            counts[k] = uncounted
        for j in range(0, n, UNROLLED):
            four = four_spots(spots, j)
            for k in range(first, first + TILE):
                count_near(directions, k, four, near, counts)


@part_of_kernel
def direction_keys(
    directions: Any, n_directions: int, spots: Any, n: int, trims: Any, every: int, work: Any, keys: Any
) -> None:
    """Keys of directions (3, P padded to TILE) for spots (3, n + UNROLLED) that are multiplied by the vector's length.

    Parameters
    ----------
    work : (3, TILE) float32
        Scratch array.
    """
    numbers = numbers_of(trims)
    padding = -n & (UNROLLED - 1)
    # Padding spots at the origin count, unless the limit lets no spot count.
    uncounted = padding if numbers[6] > 0 else 0
    for first in range(0, n_directions, TILE):
        for k in range(TILE):
            start_lane(work, k, uncounted)
        for begin in range(0, n, every):
            for j in range(begin, chunk_end(begin, every, n), UNROLLED):
                four = four_spots(spots, j)
                for k in range(TILE):
                    meet_directions(directions, first + k, four, numbers, work, k)
            for k in range(TILE):
                take_exponent(work, k)
        for k in range(TILE):
            keys[first + k] = key_of_lane(work, k, numbers, padding, n)


@part_of_kernel
def angle_counts(tables: Any, s: int, n_angles: int, rows: Any, n: int, trims: Any, counts: Any) -> None:
    """Integer parts of the keys of a cell at all angles, which are minus its counts of spots; see `angle_keys`.

    `rows` (5, n + UNROLLED) holds at least the spots whose distance from a lattice plane is below that of a spot that
    counts.
    """
    square = trims[6]
    uncounted = -n & (UNROLLED - 1) if square > 0 else 0
    for k in range(n_angles):
        counts[k] = uncounted
    for j in range(0, n, UNROLLED):
        four = four_rows(rows, j)
        for k in range(n_angles):
            count_close(tables, s, k, four, square, counts)


@part_of_kernel
def angle_keys(
    tables: Any, s: int, n_angles: int, rows: Any, n_near: int, n: int, trims: Any, every: int, work: Any, keys: Any
) -> None:
    """Keys of a cell at all angles about its axis.

    Parameters
    ----------
    tables : (S, 4, A) float32
        Components along u and w, at each angle, of the two cell vectors after the axis; row s is used.
    rows : (5, n_near + UNROLLED) float32
        For each spot close to a lattice plane of the axis: its coordinates along u and w, the contribution of its
        coordinate along the axis to the two other indices, and its squared deviation along the axis. The other
        n - n_near spots have the largest factor.
    work : (3, A) float32
        Scratch array.
    """
    numbers = numbers_of(trims)
    padding = -n_near & (UNROLLED - 1)
    uncounted = padding if numbers[6] > 0 else 0
    for k in range(n_angles):
        start_lane(work, k, uncounted)
    for begin in range(0, n_near, every):
        for j in range(begin, chunk_end(begin, every, n_near), UNROLLED):
            four = four_rows(rows, j)
            for k in range(n_angles):
                meet_angles(tables, s, k, four, numbers, work)
        for k in range(n_angles):
            take_exponent(work, k)
    for k in range(n_angles):
        keys[k] = key_of_lane(work, k, numbers, padding + n - n_near, n)
