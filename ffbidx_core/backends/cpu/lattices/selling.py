"""The Selling reduction of single lattices, in which the scalar products of the four vectors are updated."""

from __future__ import annotations

from typing import Any

from ....model.unknown.selling import MOST_STEPS, OBTUSE
from ..algebra import added, dot, scaled
from ..formula import formula, root, where
from ..jit import part_of_kernel


@part_of_kernel
def selling_reduced(a: Any, b: Any, c: Any) -> Any:
    """The Selling-reduced vectors of the lattice of three, of which there are four, and their six scalar products.

    The products are those of the pairs 01, 02, 03, 12, 13 and 23.
    """
    d, (p01, p02, p03, p12, p13, p23) = fourth_and_products(a, b, c)
    for _ in range(MOST_STEPS):
        done = True
        if acute(p01, p02, p03):
            a, c, d, p01, p02, p03, p12, p13, p23 = flipped(a, c, d, p01, p02, p03, p12, p13, p23)
            done = False
        if acute(p02, p01, p03):
            a, b, d, p02, p01, p03, p12, p23, p13 = flipped(a, b, d, p02, p01, p03, p12, p23, p13)
            done = False
        if acute(p03, p01, p02):
            a, b, c, p03, p01, p02, p13, p23, p12 = flipped(a, b, c, p03, p01, p02, p13, p23, p12)
            done = False
        if acute(p12, p01, p13):
            b, a, d, p12, p01, p13, p02, p23, p03 = flipped(b, a, d, p12, p01, p13, p02, p23, p03)
            done = False
        if acute(p13, p01, p12):
            b, a, c, p13, p01, p12, p03, p23, p02 = flipped(b, a, c, p13, p01, p12, p03, p23, p02)
            done = False
        if acute(p23, p02, p12):
            c, a, b, p23, p02, p12, p03, p13, p01 = flipped(c, a, b, p23, p02, p12, p03, p13, p01)
            done = False
        if done:
            break
    return (a, b, c, d), (p01, p02, p03, p12, p13, p23)


@formula
def fourth_and_products(a: Any, b: Any, c: Any) -> Any:
    """The negative of the sum of three vectors, and the scalar products of all pairs of the four."""
    ab, ac, bc = dot(a, b), dot(a, c), dot(b, c)
    products = ab, ac, -(dot(a, a) + ab + ac), bc, -(dot(b, b) + ab + bc), -(dot(c, c) + ac + bc)
    return scaled(-1.0, added(added(a, b), c)), products


@formula
def acute(ij: float, ik: float, il: float) -> Any:
    """Whether the angle of vectors i and j is acute, by the scalar products of i with the three others."""
    return ij > -OBTUSE * (ij + ik + il)


@formula
def flipped(i: Any, k: Any, m: Any, ij: float, ik: float, im: float, jk: float, jm: float, km: float) -> Any:
    """The vectors i, k and m after i has been added to k and m and then reversed, and the six scalar products."""
    return scaled(-1.0, i), added(k, i), added(m, i), -ij, ij + im, ij + ik, jk + ij, jm + ij, km - ij


def voronoi_squares(products: Any) -> Any:
    """The squares of the Voronoi lengths, in no order."""
    p01, p02, p03, p12, p13, p23 = products
    return (
        -(p01 + p02 + p03),
        -(p01 + p12 + p13),
        -(p02 + p12 + p23),
        -(p03 + p13 + p23),
        -(p02 + p03 + p12 + p13),
        -(p01 + p03 + p12 + p23),
        -(p01 + p02 + p13 + p23),
    )


@formula
def sum_of_fourth_powers(products: Any) -> Any:
    """The sum of the fourth powers of the Voronoi lengths."""
    first, *others = (square * square for square in voronoi_squares(products))
    for each in others:
        first = first + each
    return first


@formula
def put_voronoi_lengths(products: Any, lengths: Any, row: int) -> None:
    """Store the Voronoi lengths, ascending, as a row of a table."""
    squares = list(voronoi_squares(products))
    for last in range(6, 0, -1):
        for i in range(last):
            swap = squares[i] > squares[i + 1]
            squares[i], squares[i + 1] = (
                where(swap, squares[i + 1], squares[i]),
                where(swap, squares[i], squares[i + 1]),
            )
    for i, square in enumerate(squares):
        lengths[row, i] = root(square)
