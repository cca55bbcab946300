"""Joint likelihood of triples of a frame's vectors, and the joint fit of the best triples."""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import FLATTEST, JOINT_RIDGE, JOINT_WIDTHS, PAIRED, SAME_LATTICE, SAME_TRIPLE, TRUE
from ....model.unknown.selling import MOST_STEPS, OBTUSE
from ..algebra import cross, dot, scaled
from ..formula import formula, root
from ..jit import kernel, part_of_kernel
from .likelihood import (
    NO_SUMS,
    add_equation,
    best_scale,
    density_of,
    length_of,
    moved,
    phase_of,
    put_vector,
    vector_at,
    width_of,
)


@kernel
def score_pairs(spots: Any, n: int, vectors: Any, n_vectors: int, density: Any, scores: Any, codes: Any) -> Any:
    """Compute the densities of all vectors, score all pairs of the first ones, and return the number of pairs.

    Parameters
    ----------
    vectors : (M, 3) float64
        Vectors of the frame, the best first; the first `n_vectors` are filled.
    density : (M, n) float64
        Array that receives the density at the phase of each spot, for each vector.
    scores : (K (K - 1) / 2,) float32;  codes : (K (K - 1) / 2,) int32
        Arrays that receive the score and the code i M + j of each pair of rows i < j < `PAIRED` that is not flat.
    """
    for i in range(n_vectors):
        put_densities(spots, n, vector_at(vectors, i), 1.0, density, i)
    found, size = 0, vectors.shape[0]
    for i in range(min(n_vectors, PAIRED)):
        for j in range(i + 1, min(n_vectors, PAIRED)):
            flat, product = flatness_of_pair(vectors, i, j)
            if flat:
                continue
            total, factor = 0.0, 1.0
            for s in range(n):
                factor *= 1 - TRUE + TRUE * density[i, s] * density[j, s]
                if s % 8 == 7:
                    total += math.log(factor)
                    factor = 1.0
            scores[found] = total + math.log(factor) - 3 * math.log(product)
            codes[found] = i * size + j
            found += 1
    return found


@kernel
def score_thirds(
    n: int, vectors: Any, n_vectors: int, pairs: Any, density: Any, pair: Any, rank: Any, scores: Any, codes: Any
) -> Any:
    """Score the triples of some pairs with each third vector that are not flat, and return their number.

    Parameters
    ----------
    pairs : (P,) int32
        Codes of the pairs, the best first; see `score_pairs`.
    density : (M, n) float64
        Densities of the vectors.
    pair : (n,) float64;  rank : (M, M) int32
        Scratch arrays; `rank` is filled with P.
    scores : (P M,) float32;  codes : (P M,) int32
        Arrays that receive the score and the code of each triple of rows i < j and k, which is (i M + j) M + k. A
        triple is scored once, with the best of its pairs.
    """
    found, size, most = 0, vectors.shape[0], pairs.shape[0]
    for p in range(most):
        i, j = pairs[p] // size, pairs[p] % size
        rank[i, j] = rank[j, i] = p
    for p in range(most):
        i, j = pairs[p] // size, pairs[p] % size
        for s in range(n):
            pair[s] = TRUE * density[i, s] * density[j, s]
        for k in range(n_vectors):
            if k in (i, j) or rank[i, k] < p or rank[j, k] < p:
                continue
            flat, product = flatness(vectors, i, j, k)
            if flat:
                continue
            total, factor = 0.0, 1.0
            for s in range(n):
                factor *= 1 - TRUE + pair[s] * density[k, s]
                if s % 8 == 7:
                    total += math.log(factor)
                    factor = 1.0
            scores[found] = total + math.log(factor) - 3 * math.log(product)
            codes[found] = (i * size + j) * size + k
            found += 1
    return found


@formula
def flatness_of_pair(vectors: Any, i: int, j: int) -> Any:
    """Whether two vectors are nearly parallel, and the product of their lengths."""
    a, b = (tuple(vectors[row, r] for r in range(3)) for row in (i, j))
    normal, square = cross(a, b), dot(a, a) * dot(b, b)
    return dot(normal, normal) < FLATTEST * FLATTEST * square, root(square)


@formula
def flatness(vectors: Any, i: int, j: int, k: int) -> Any:
    """Whether three vectors are nearly coplanar, and the product of their lengths."""
    a, b, c = (tuple(vectors[row, r] for r in range(3)) for row in (i, j, k))
    product = root(dot(a, a) * dot(b, b) * dot(c, c))
    return abs(dot(cross(a, b), c)) < FLATTEST * product, product


@part_of_kernel
def joint_fit(spots: Any, n: int, cell: Any, density: Any) -> Any:
    """Fit the rows of a cell, in place, to the spots that all three explain, and return the joint score."""
    for factor in JOINT_WIDTHS:
        joint_densities(spots, n, cell, factor, density)
        for a in range(3):
            v, sums = vector_at(cell, a), NO_SUMS
            for j in range(n):
                true = TRUE * density[0, j] * density[1, j] * density[2, j]
                sums = add_equation(sums, spots, j, phase_of(spots, j, v), true / (true + 1 - TRUE))
            put_vector(cell, a, moved(v, sums, JOINT_RIDGE))
    joint_densities(spots, n, cell, 1.0, density)
    total = 0.0
    for j in range(n):
        total += math.log(1 - TRUE + TRUE * density[0, j] * density[1, j] * density[2, j])
    for a in range(3):
        total -= 3 * math.log(length_of(vector_at(cell, a)))
    return total


@part_of_kernel
def joint_densities(spots: Any, n: int, cell: Any, factor: float, density: Any) -> None:
    """Densities (3, n) at the phases of the spots for the three rows of a cell, with widths times a factor."""
    for a in range(3):
        put_densities(spots, n, vector_at(cell, a), factor, density, a)


@part_of_kernel
def put_densities(spots: Any, n: int, v: Any, factor: float, density: Any, row: int) -> None:
    """Store the densities at the phases of the spots for a vector, with the width at its scale times a factor."""
    scale, _ = best_scale(spots, n, v)
    width = factor * scale * width_of(v)
    for j in range(n):
        density[row, j] = density_of(phase_of(spots, j, v), width)


@part_of_kernel
def reduce_selling(cell: Any, base: Any, lengths: Any) -> None:
    """Selling-reduce a cell (3, 3) to the four vectors `base` (4, 3), and store its Voronoi lengths, ascending."""
    put_superbase(cell, base)
    for _ in range(MOST_STEPS):
        done = True
        for i in range(3):
            for j in range(i + 1, 4):
                v = vector_at(base, i)
                if dot_of(v, vector_at(base, j)) > OBTUSE * dot_of(v, v):
                    for k in range(4):
                        if k not in (i, j):
                            put_vector(base, k, sum_of(vector_at(base, k), v))
                    put_vector(base, i, negative(v))
                    done = False
        if done:
            break
    for i in range(4):
        lengths[i] = length_of(vector_at(base, i))
    for i in range(1, 4):
        lengths[3 + i] = length_of(sum_of(vector_at(base, 0), vector_at(base, i)))
    for i in range(1, 7):
        value, k = lengths[i], i
        while k > 0 and lengths[k - 1] > value:
            lengths[k] = lengths[k - 1]
            k -= 1
        lengths[k] = value


@formula
def put_superbase(cell: Any, base: Any) -> None:
    """Store the rows of a cell and the negative of their sum as `base`."""
    for r in range(3):
        for i in range(3):
            base[i, r] = cell[i, r]
        base[3, r] = -(cell[0, r] + cell[1, r] + cell[2, r])


@formula
def dot_of(a: Any, b: Any) -> Any:
    """The scalar product of two vectors."""
    return dot(a, b)


@formula
def sum_of(a: Any, b: Any) -> Any:
    """The sum of two vectors."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


@formula
def negative(v: Any) -> Any:
    """The negative of a vector."""
    return scaled(-1.0, v)


@part_of_kernel
def alike(lengths: Any, table: Any, n: int, tolerance: float) -> Any:
    """The first of n rows of seven lengths that agrees with `lengths` within a relative tolerance, or -1."""
    for e in range(n):
        same = True
        for i in range(7):
            if abs(lengths[i] - table[e, i]) >= tolerance * lengths[i]:
                same = False
                break
        if same:
            return e
    return -1


@part_of_kernel
def copy_row(source: Any, table: Any, row: int) -> None:
    """Copy numbers to a row of a table."""
    for i in range(source.shape[0]):
        table[row, i] = source[i]


@kernel
def fit_triples(
    spots: Any,
    n: int,
    vectors: Any,
    codes: Any,
    cell: Any,
    base: Any,
    lengths: Any,
    density: Any,
    seen: Any,
    kept_lengths: Any,
    cells: Any,
    scores: Any,
) -> None:
    """Fit the triples that span distinct lattices, in the order of `codes`, and keep the best lattices after the fit.

    Parameters
    ----------
    codes : (n_tried,) int32
        Codes of the triples, the best first; see `score_thirds`.
    cell : (3, 3);  base : (4, 3);  lengths : (7,);  density : (3, n);  seen : (n_tried, 7);  kept_lengths : (T, 7)
        Scratch arrays, float64.
    cells : (T, 3, 3);  scores : (T,)
        Arrays that receive the lattices and their scores; empty slots are unchanged.
    """
    size, n_seen, kept = vectors.shape[0], 0, 0
    for o in range(codes.shape[0]):
        code = codes[o]
        put_vector(cell, 0, vector_at(vectors, code // (size * size)))
        put_vector(cell, 1, vector_at(vectors, code // size % size))
        put_vector(cell, 2, vector_at(vectors, code % size))
        reduce_selling(cell, base, lengths)
        if alike(lengths, seen, n_seen, SAME_TRIPLE) >= 0:
            continue
        copy_row(lengths, seen, n_seen)
        n_seen += 1
        score = joint_fit(spots, n, cell, density)
        reduce_selling(cell, base, lengths)
        known = alike(lengths, kept_lengths, kept, SAME_LATTICE)
        if known >= 0 and score <= scores[known]:
            continue
        row = known if known >= 0 else kept
        copy_row(lengths, kept_lengths, row)
        for a in range(3):
            put_vector(cells[row], a, vector_at(base, a))
        scores[row] = score
        if known < 0:
            kept += 1
            if kept == cells.shape[0]:
                break
