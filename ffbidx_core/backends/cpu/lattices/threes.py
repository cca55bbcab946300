"""The vectors that are whole at three spots of a frame, for frames with few spots; see `Backend.join_threes`.

Loops without branches run over many vectors or spots, so that they vectorise.
"""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import TRUE
from ....model.unknown.threes import ACROSS, ALONG, FIT_WIDTHS, FITTED_WIDTH, RIDGE
from ..algebra import added, dot, scaled, solution, symmetric
from ..formula import double, formula, nearest, root
from ..jit import kernel, part_of_kernel
from .elementary import exponential_of_negative, logarithm
from .likelihood import NO_SUMS, NORMAL, add_equation, phase_of, put_vector, vector_at

CHUNK = 1024
"""Number of vectors that are scored at once, whose numbers fit in the first-level cache."""


@part_of_kernel
def put_whole(base: Any, sizes: Any, shortest: float, longest: float, vectors: Any) -> Any:
    """Find the vectors that are whole at three spots, one of each pair of opposite ones, and return their number."""
    found = 0
    c = vector_at(base, 2)
    for p in range(sizes[0] + 1):
        for q in range(-sizes[1] if p > 0 else 0, sizes[1] + 1):
            start = start_of_row(base, float(p), float(q))
            # The multiples of c with which the vector ends within the longest length.
            square, along, outside = square_of(c), product_of(start, c), square_of(start) - longest * longest
            inside = along * along - square * outside
            if inside < 0:
                continue
            half = math.sqrt(inside)
            first, last = math.ceil((-along - half) / square), math.floor((-along + half) / square)
            for r in range(first if p > 0 or q > 0 else 1, last + 1):
                v = sum_with(start, c, float(r))
                if square_of(v) >= shortest * shortest and found < vectors.shape[1]:
                    put_column(vectors, found, v)
                    found += 1
    return found


@formula
def start_of_row(base: Any, p: float, q: float) -> Any:
    """The sum of the first two rows of a basis times two numbers."""
    return tuple(p * base[0, i] + q * base[1, i] for i in range(3))


@formula
def sum_with(v: Any, other: Any, factor: float) -> Any:
    """The sum of a vector and another one times a factor."""
    return added(v, scaled(factor, other))


@formula
def square_of(v: Any) -> Any:
    """The square of the length of a vector."""
    return dot(v, v)


@formula
def product_of(v: Any, other: Any) -> Any:
    """The scalar product of two vectors."""
    return dot(v, other)


@formula
def put_column(table: Any, i: int, v: Any) -> None:
    """Store a vector as column i of a table."""
    for r in range(3):
        table[r, i] = v[r]


def column(table: Any, i: Any) -> Any:
    """Column i of a table as a vector."""
    return tuple(table[r, i] for r in range(3))


@formula
def width_of_whole(v: Any) -> Any:
    """Standard deviation, in turns, of the phase of a spot that belongs to the lattice."""
    return root(ACROSS**2 * (v[0] * v[0] + v[1] * v[1]) + ALONG**2 * v[2] * v[2])


@kernel
def whole_vectors(
    spots: Any,
    n: int,
    base: Any,
    certainty: Any,
    sizes: Any,
    shortest: float,
    longest: float,
    vectors: Any,
    work: Any,
    scores: Any,
) -> Any:
    """Find and score the vectors that are whole at three spots, one of each pair of opposite ones.

    Parameters
    ----------
    base : (3, 3) float64;  sizes : (3,) int64
        Basis of these vectors, angstrom, and the largest multiples of its rows.
    certainty : (n,) float64
        1 / sqrt(1 + |c|^2) of each spot with coefficients c on the three spots; 0 for the three.
    vectors : (3, V) float64;  scores : (V,) float64
        Arrays that receive the vectors, angstrom, and their scores.
    work : (2, CHUNK) float64
        Scratch array.

    Returns
    -------
    int
        The number of vectors.
    """
    found = put_whole(base, sizes, shortest, longest, vectors)
    for start in range(0, found, CHUNK):
        size = min(CHUNK, found - start)
        for i in range(size):
            begin_whole(vectors, start + i, work, i)
        for j in range(n):
            if certainty[j] > 0:
                s = spot_of(spots, j)
                for i in range(size):
                    multiply_whole(vectors, start + i, s, certainty[j], work, i)
        for i in range(size):
            put_score(vectors, start + i, work, i, scores)
    return found


@formula
def spot_of(spots: Any, j: int) -> Any:
    """Spot j in float64."""
    return double(column(spots, j))


@formula
def begin_whole(vectors: Any, i: int, work: Any, k: int) -> None:
    """Set a vector's product to 1, and store the inverse of its width."""
    v = column(vectors, i)
    work[0, k] = 1.0
    work[1, k] = 1 / root(ACROSS**2 * (v[0] * v[0] + v[1] * v[1]) + ALONG**2 * v[2] * v[2])


@formula
def multiply_whole(vectors: Any, i: int, spot: Any, certainty: float, work: Any, k: int) -> None:
    """Multiply a vector's product by the likelihood ratio of a spot."""
    turns = dot(spot, column(vectors, i))
    sharpness = certainty * work[1, k]
    apart = (turns - nearest(turns)) * sharpness
    work[0, k] = work[0, k] * (1 - TRUE + TRUE * NORMAL * sharpness * exponential_of_negative(0.5 * apart * apart))


@formula
def put_score(vectors: Any, i: int, work: Any, k: int, scores: Any) -> None:
    """Store a vector's score."""
    v = column(vectors, i)
    scores[i] = logarithm(work[0, k]) - 1.5 * logarithm(dot(v, v))


@part_of_kernel
def normal_density(phase: float, width: float) -> Any:
    """Normal density at a phase, 1/turn."""
    return NORMAL / width * math.exp(-0.5 * (phase / width) ** 2)


@kernel
def fit_whole_vectors(spots: Any, n: int, certainty: Any, vectors: Any, n_vectors: int, density: Any) -> None:
    """Fit vectors (M, 3) in place to the spots, and compute the densities (n, M) at the phases of the spots."""
    for i in range(n_vectors):
        v = vector_at(vectors, i)
        for factor in FIT_WIDTHS:
            width, sums = factor * width_of_whole(v), NO_SUMS
            for j in range(n):
                phase = phase_of(spots, j, v)
                true = TRUE * normal_density(phase, width)
                weight = true / (true + 1 - TRUE) if certainty[j] > 0 else 1.0
                sums = add_equation(sums, spots, j, phase, weight)
            v = stepped_freely(v, sums)
        put_vector(vectors, i, v)
        width = FITTED_WIDTH * width_of_whole(v)
        for j in range(n):
            density[j, i] = normal_density(phase_of(spots, j, v), width)


@formula
def stepped_freely(v: Any, sums: Any) -> Any:
    """The vector after a Gauss-Newton step."""
    return step_freely(v, sums[:6], sums[6:])


def step_freely(v: Any, normal: Any, right: Any) -> Any:
    """The vector after the step that a normal matrix (6) and a right side (3) determine."""
    xx, xy, xz, yy, yz, zz = normal
    _, step = solution(symmetric((xx + RIDGE, xy, xz, yy + RIDGE, yz, zz + RIDGE)), right, 0.0)
    return added(v, step)
