"""The triples of vectors that are whole at three spots: their joint likelihood, and the distinct lattices they span."""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import TRUE
from ....model.unknown.threes import FLATTEST, VECTORS
from ..algebra import cross, dot
from ..formula import formula, nearest, where, whole
from ..jit import kernel, part_of_kernel
from .elementary import logarithm
from .selling import selling_reduced, sum_of_fourth_powers
from .threes import column

TOGETHER = 4
"""Number of spots whose factors are multiplied at once; arrays of spots have room for a multiple of this number."""
WITHOUT_LOGARITHM = 32
"""Number of spots whose factors are multiplied before the logarithm is taken: each is below 1e9 for a reach of 20 A."""
PLACES = VECTORS**3
"""Number of places (i VECTORS + j) VECTORS + k of triples, a power of two."""
STEP = 2.0**-24
"""Step of the scores in keys of triples."""
BINS = 1 << 13
"""Number of bins of keys, of which those of the best 6000 of 40,000 triples hold a few each."""


@kernel
def score_triples(vectors: Any, n_vectors: int, n: int, density: Any, pair: Any, work: Any, keys: Any) -> Any:
    """Score all triples of vectors that are not flat, and return their number.

    Parameters
    ----------
    vectors : (3, M) float64
        Fitted vectors; the first `n_vectors` are filled.
    density : (n, M) float64
        Densities at the phases of the spots; n is rounded up to a multiple of `TOGETHER`, with any numbers in the rows
        that are added.
    pair : (n,) float64;  work : (2, M) float64
        Scratch arrays.
    keys : (C,) int64
        Array that receives the key of each triple: the lower, the better; its remainder by `PLACES` is the place.
    """
    found, padded = 0, -(-n // TOGETHER) * TOGETHER
    for s in range(n, padded):
        # A factor of 1.
        pair[s] = TRUE
        for k in range(n_vectors):
            density[s, k] = 1.0
    for i in range(n_vectors):
        for j in range(i + 1, n_vectors):
            for s in range(n):
                pair[s] = TRUE * density[s, i] * density[s, j]
            normal, square = span_of(vectors, i, j)
            for k in range(j + 1, n_vectors):
                begin_triple(vectors, k, normal, square, work)
            for s in range(0, padded, TOGETHER):
                for k in range(j + 1, n_vectors):
                    multiply_triple(density, pair, s, k, work)
                if (s + TOGETHER) % WITHOUT_LOGARITHM == 0 and s + TOGETHER < padded:
                    for k in range(j + 1, n_vectors):
                        take_logarithm(work, k)
            for k in range(j + 1, n_vectors):
                take_logarithm(work, k)
            for k in range(j + 1, n_vectors):
                if work[1, k] > -1e299:
                    keys[found] = key_of(work[1, k], (i * VECTORS + j) * VECTORS + k)
                    found += 1
    return found


@formula
def span_of(vectors: Any, i: int, j: int) -> Any:
    """The vector product of two vectors, and the product of the squares of their lengths."""
    a, b = column(vectors, i), column(vectors, j)
    return cross(a, b), dot(a, a) * dot(b, b)


@formula
def begin_triple(vectors: Any, k: int, normal: Any, square: float, work: Any) -> None:
    """Set a triple's score to that of its volume, -1e300 if it is flat, and its product to 1."""
    c = column(vectors, k)
    volume = dot(normal, c)
    volume = volume * volume
    flat = volume < FLATTEST**2 * square * dot(c, c)
    work[0, k] = 1.0
    work[1, k] = where(flat, -1e300, -1.5 * logarithm(where(flat, 1.0, volume)))


@formula
def multiply_triple(density: Any, pair: Any, s: int, k: int, work: Any) -> None:
    """Multiply a triple's product by the likelihood ratios of `TOGETHER` spots."""
    product = work[0, k]
    for t in range(TOGETHER):
        product = product * (1 - TRUE + pair[s + t] * density[s + t, k])
    work[0, k] = product


@formula
def take_logarithm(work: Any, k: int) -> None:
    """Add the logarithm of a triple's product to its score."""
    work[1, k] = work[1, k] + logarithm(work[0, k])
    work[0, k] = 1.0


@formula
def key_of(score: float, place: int) -> Any:
    """The key of a triple."""
    return whole(score * (-1 / STEP)) * PLACES + place


@kernel
def lowest_keys(keys: Any, n: int, most: int, counts: Any, lowest: Any) -> Any:
    """Sort the lowest of n keys, and return their number, at most `most`.

    Keys are put in the order of bins of equal width, in which few are out of place.

    Parameters
    ----------
    counts : (BINS,) int64
        Scratch array.
    lowest : (n,) int64
        Array that receives the keys, ascending.
    """
    if n == 0:
        return 0
    low, high, shift = keys[0], keys[0], 0
    for i in range(n):
        low, high = min(low, keys[i]), max(high, keys[i])
    while (high - low) >> shift >= BINS:
        shift += 1
    for b in range(BINS):
        counts[b] = 0
    for i in range(n):
        counts[(keys[i] - low) >> shift] += 1
    total, last = 0, 0
    while True:
        # The number of keys in a bin becomes the place of the first of them.
        total, counts[last] = total + counts[last], total
        if total >= min(n, most):
            break
        last += 1
    for i in range(n):
        b = (keys[i] - low) >> shift
        if b <= last:
            lowest[counts[b]] = keys[i]
            counts[b] += 1
    for i in range(1, total):
        key, place = lowest[i], i
        while place > 0 and lowest[place - 1] > key:
            lowest[place] = lowest[place - 1]
            place -= 1
        lowest[place] = key
    return min(n, most)


@kernel
def distinct_triples(vectors: Any, keys: Any, table: Any, chosen: Any) -> Any:
    """Choose the first triples that span different lattices, and return their number.

    Parameters
    ----------
    vectors : (3, M) float64
        Vectors before the fit: triples that span one lattice do so exactly, so that one number distinguishes lattices.
    keys : (C,) int64
        Keys of triples, the best first.
    table : (H,) int64
        Scratch array; H is a power of two above the number of triples to choose.
    chosen : (T, 3) int64
        Array that receives the rows of the vectors of the triples.
    """
    found, last = 0, table.shape[0] - 1
    for slot in range(last + 1):
        table[slot] = -1
    for o in range(keys.shape[0]):
        place = keys[o] % PLACES
        i, j, k = place // (VECTORS * VECTORS), place // VECTORS % VECTORS, place % VECTORS
        size = number_of(size_of_lattice(vectors, i, j, k))
        slot = size & last
        while table[slot] >= 0 and table[slot] != size:
            slot = (slot + 1) & last
        if table[slot] == size:
            continue
        table[slot] = size
        chosen[found, 0], chosen[found, 1], chosen[found, 2] = i, j, k
        found += 1
        if found == chosen.shape[0]:
            break
    return found


@part_of_kernel
def number_of(size: float) -> Any:
    """The whole number that stands for a lattice."""
    return rounded(math.log(size) * 1e7)


@formula
def rounded(x: float) -> Any:
    """The nearest integer."""
    return whole(nearest(x))


@part_of_kernel
def size_of_lattice(vectors: Any, i: int, j: int, k: int) -> Any:
    """The sum of the fourth powers of the Voronoi lengths of the lattice that three vectors span."""
    _, products = selling_reduced(vector_of(vectors, i), vector_of(vectors, j), vector_of(vectors, k))
    return sum_of_fourth_powers(products)


@formula
def vector_of(vectors: Any, i: int) -> Any:
    """Column i of a table as a vector."""
    return column(vectors, i)
