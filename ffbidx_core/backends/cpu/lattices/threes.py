"""The lattices that are whole at three spots of a frame, for frames with few spots; see `Backend.join_threes`."""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import TRUE
from ....model.unknown.threes import (
    ACROSS,
    ALONG,
    FIT_WIDTHS,
    FITTED_WIDTH,
    FLATTEST,
    JOINT_WIDTHS,
    RIDGE,
    SMALLEST,
)
from ..algebra import cofactors, cross, dot, multiplied, scaled, solution, symmetric, transposed
from ..formula import formula, root, where
from ..jit import kernel, part_of_kernel
from .likelihood import NO_SUMS, NORMAL, add_equation, phase_of, put_vector, vector_at
from .triples import reduce_selling


@formula
def combined(base: Any, p: float, q: float, r: float) -> Any:
    """The sum of the rows of a basis times three numbers."""
    return tuple(p * base[0, i] + q * base[1, i] + r * base[2, i] for i in range(3))


@formula
def square_of(v: Any) -> Any:
    """The square of the length of a vector."""
    return dot(v, v)


@formula
def width_of_whole(v: Any) -> Any:
    """Standard deviation, in turns, of the phase of a spot that belongs to the lattice."""
    return root(ACROSS**2 * (v[0] * v[0] + v[1] * v[1]) + ALONG**2 * v[2] * v[2])


@part_of_kernel
def normal_density(phase: float, width: float) -> Any:
    """Normal density at a phase, 1/turn."""
    return NORMAL / width * math.exp(-0.5 * (phase / width) ** 2)


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
    scores: Any,
) -> Any:
    """Find and score the vectors that are whole at three spots, one of each pair of opposite ones.

    Parameters
    ----------
    base : (3, 3) float64;  sizes : (3,) int64
        Basis of these vectors, angstrom, and the largest multiples of its rows.
    certainty : (n,) float64
        1 / sqrt(1 + |c|^2) of each spot with coefficients c on the three spots; 0 for the three.
    vectors : (V, 3);  scores : (V,)
        Arrays that receive the vectors, angstrom, and their scores.

    Returns
    -------
    int
        The number of vectors.
    """
    found = 0
    for p in range(sizes[0] + 1):
        for q in range(-sizes[1] if p > 0 else 0, sizes[1] + 1):
            for r in range(-sizes[2] if p > 0 or q > 0 else 1, sizes[2] + 1):
                v = combined(base, float(p), float(q), float(r))
                square = square_of(v)
                if square < shortest * shortest or square > longest * longest or found == vectors.shape[0]:
                    continue
                width, product = width_of_whole(v), 1.0
                for j in range(n):
                    if certainty[j] > 0:
                        product *= 1 - TRUE + TRUE * normal_density(phase_of(spots, j, v), width / certainty[j])
                put_vector(vectors, found, v)
                scores[found] = math.log(product) - 1.5 * math.log(square)
                found += 1
    return found


@kernel
def fit_whole_vectors(spots: Any, n: int, certainty: Any, vectors: Any, n_vectors: int, density: Any) -> None:
    """Fit vectors (M, 3) in place to the spots, and compute the densities (M, n) at the phases of the spots."""
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
            density[i, j] = normal_density(phase_of(spots, j, v), width)


@formula
def stepped_freely(v: Any, sums: Any) -> Any:
    """The vector after a Gauss-Newton step."""
    xx, xy, xz, yy, yz, zz = sums[:6]
    _, step = solution(symmetric((xx + RIDGE, xy, xz, yy + RIDGE, yz, zz + RIDGE)), sums[6:], 0.0)
    return tuple(a + b for a, b in zip(v, step, strict=True))


@kernel
def score_triples(vectors: Any, n_vectors: int, n: int, density: Any, pair: Any, scores: Any) -> None:
    """Score all triples of vectors in the order of their rows; a flat one scores -1e300."""
    place = 0
    for i in range(n_vectors):
        for j in range(i + 1, n_vectors):
            for s in range(n):
                pair[s] = TRUE * density[i, s] * density[j, s]
            for k in range(j + 1, n_vectors):
                flat, volume = flatness_of(vectors, i, j, k)
                scores[place] = -1e300
                if not flat:
                    total, product = 0.0, 1.0
                    for s in range(n):
                        product *= 1 - TRUE + pair[s] * density[k, s]
                        if s % 8 == 7:
                            total += math.log(product)
                            product = 1.0
                    scores[place] = total + math.log(product) - 3 * math.log(volume)
                place += 1


@formula
def flatness_of(vectors: Any, i: int, j: int, k: int) -> Any:
    """Whether three vectors are nearly coplanar, and their volume."""
    a, b, c = (tuple(vectors[row, r] for r in range(3)) for row in (i, j, k))
    volume = abs(dot(cross(a, b), c))
    return volume < FLATTEST * root(dot(a, a) * dot(b, b) * dot(c, c)), volume


@kernel
def sizes_of_lattices(vectors: Any, triples: Any, cell: Any, base: Any, lengths: Any, sizes: Any) -> None:
    """The sum of the fourth powers of the Voronoi lengths of the lattices of triples (C, 3) of vectors: (C,)."""
    for o in range(triples.shape[0]):
        for a in range(3):
            put_vector(cell, a, vector_at(vectors, triples[o, a]))
        reduce_selling(cell, base, lengths)
        total = 0.0
        for i in range(7):
            total += lengths[i] ** 4
        sizes[o] = total


@kernel
def fit_lattices(
    spots: Any,
    n: int,
    vectors: Any,
    triples: Any,
    cell: Any,
    base: Any,
    lengths: Any,
    cells: Any,
    scores: Any,
    all_lengths: Any,
) -> None:
    """Fit the lattices of triples of vectors to the spots that they explain.

    Parameters
    ----------
    triples : (C, 3) int64
        Rows of the vectors (M, 3).
    cell : (3, 3);  base : (4, 3);  lengths : (7,)
        Scratch arrays, float64.
    cells : (C, 3, 3);  scores : (C,);  all_lengths : (C, 7)
        Arrays that receive the fitted cells, their scores and their Voronoi lengths, float64.
    """
    for o in range(triples.shape[0]):
        for a in range(3):
            put_vector(cell, a, vector_at(vectors, triples[o, a]))
        reduce_selling(cell, base, lengths)
        for a in range(3):
            put_vector(cell, a, vector_at(base, a))
        solid = True
        for factor in JOINT_WIDTHS:
            solid = solid and fit_once(spots, n, cell, factor)
        scores[o] = score_of(spots, n, cell) if solid else -1e300
        reduce_selling(cell, base, lengths)
        for a in range(3):
            put_vector(cells[o], a, vector_at(base, a))
        for i in range(7):
            all_lengths[o, i] = lengths[i]


@part_of_kernel
def fit_once(spots: Any, n: int, cell: Any, factor: float) -> Any:
    """Move the rows of a cell by one step, with errors of the spots times a factor; False if the cell is flat."""
    volume, inverse = volume_and_inverse(cell)
    if volume <= SMALLEST:
        return False
    peak = NORMAL**3 / (ACROSS * ACROSS * ALONG * factor**3 * volume)
    a, b, c = vector_at(cell, 0), vector_at(cell, 1), vector_at(cell, 2)
    first, second, third = NO_SUMS, NO_SUMS, NO_SUMS
    for j in range(n):
        phases = phase_of(spots, j, a), phase_of(spots, j, b), phase_of(spots, j, c)
        true = TRUE * peak * math.exp(-0.5 * misfit(phases, inverse) / (factor * factor))
        weight = true / (true + 1 - TRUE)
        first = add_equation(first, spots, j, phases[0], weight)
        second = add_equation(second, spots, j, phases[1], weight)
        third = add_equation(third, spots, j, phases[2], weight)
    put_vector(cell, 0, stepped_freely(a, first))
    put_vector(cell, 1, stepped_freely(b, second))
    put_vector(cell, 2, stepped_freely(c, third))
    return True


@part_of_kernel
def score_of(spots: Any, n: int, cell: Any) -> Any:
    """The log-likelihood of a cell minus three times the logarithm of its volume; -1e300 if it is flat."""
    volume, inverse = volume_and_inverse(cell)
    if volume <= SMALLEST:
        return -1e300
    peak = NORMAL**3 / (ACROSS * ACROSS * ALONG * volume)
    a, b, c = vector_at(cell, 0), vector_at(cell, 1), vector_at(cell, 2)
    total = -3 * math.log(volume)
    for j in range(n):
        phases = phase_of(spots, j, a), phase_of(spots, j, b), phase_of(spots, j, c)
        total += math.log(1 - TRUE + TRUE * peak * math.exp(-0.5 * misfit(phases, inverse)))
    return total


@formula
def volume_and_inverse(cell: Any) -> Any:
    """The volume of a cell, and its inverse as a matrix of three rows."""
    rows = tuple(tuple(cell[a, r] for r in range(3)) for a in range(3))
    parts = cofactors(rows)
    volume = dot(rows[0], parts[0])
    inverse = 1 / where(abs(volume) > 0, volume, 1.0)
    return abs(volume), transposed(tuple(scaled(inverse, part) for part in parts))


@formula
def misfit(phases: Any, inverse: Any) -> Any:
    """The square of the distance of a spot from the lattice, in standard errors of its position."""
    apart = multiplied(inverse, tuple((phase,) for phase in phases))
    x, y, z = (row[0] for row in apart)
    return (x * x + y * y) * (1 / ACROSS**2) + z * z * (1 / ALONG**2)
