"""Step 4 on the CPU: the published refinement methods, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.fits import UNDETERMINED
from .algebra import (
    IDENTITY,
    added,
    cofactors,
    dot,
    multiplied,
    pair_of,
    products,
    put_cell,
    reciprocal,
    scaled,
    spot,
    symmetric,
    trace,
    transposed,
)
from .formula import double, formula, nearest, root, where
from .jit import kernel

IFSS, IFSE, IFSSR = 1, 2, 3
CODES = {"ifss": IFSS, "ifse": IFSE, "ifssr": IFSSR}
FARTHEST = 1e300
"""A number above every finite distance and score, since kernels do not compute with infinity."""
NO_SUMS = (0.0,) * 16


@kernel
def refine_cells(
    xyz: Any,
    offsets: Any,
    first: int,
    last: int,
    method: int,
    contraction: float,
    max_dist: float,
    min_spots: int,
    n_iter: int,
    distances: Any,
    cells: Any,
    scores: Any,
) -> None:
    """Refine cells[first:last] (F, Q, 3, 3) and their raw scores (F, Q) in place; see `Backend.refine_cells`.

    `distances` (n,) is a scratch array.
    """
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        for q in range(cells.shape[1]):
            if scores[f, q] > FARTHEST:
                continue
            if n < min_spots:
                scores[f, q] = 1.0
                continue
            _, pair = pair_of(cells, f, q)
            start, threshold = pair[0], scores[f, q] - np.floor(scores[f, q])
            if method == IFSSR:
                threshold /= shortest(start)
            for _ in range(n_iter):
                if not threshold > max_dist:
                    break
                sums = NO_SUMS
                for j in range(begin, begin + n):
                    sums = add_selected(sums, xyz, j, pair, start, method == IFSSR, threshold)
                if sums[0] < min_spots:
                    break
                pair = corrected(pair, sums)
                threshold *= contraction
                if method != IFSS:
                    start = pair[0]
            put_cell(cells, f, q, pair[0])
            for j in range(n):
                distances[j] = distance_of(xyz, begin + j, pair, start, method == IFSSR)
            for _ in range(min_spots):
                least = 0
                for j in range(n):
                    if distances[j] < distances[least]:
                        least = j
                scores[f, q] = distances[least]
                distances[least] = FARTHEST


@formula
def shortest(cell: Any) -> Any:
    """Length of the shortest vector of a cell."""
    a, b, c = (dot(row, row) for row in cell)
    least = where(a < b, a, b)
    return root(where(least < c, least, c))


def _off_and_distance(s: Any, pair: Any, start: Any, reciprocal_space: Any) -> Any:
    """Deviation of a spot from the indices that `start` assigns to it, and its distance in the method's measure."""
    off = tuple(dot(row, s) - nearest(dot(first, s)) for row, first in zip(pair[0], start, strict=True))
    residual = tuple(dot(column, off) for column in transposed(pair[1]))
    return off, root(where(reciprocal_space, dot(residual, residual), dot(off, off)))


@formula
def add_selected(sums: Any, xyz: Any, j: int, pair: Any, start: Any, reciprocal_space: bool, threshold: float) -> Any:
    """Add a spot closer than the threshold to the sums: count, normal matrix (6), right sides (9)."""
    s = double(spot(xyz, j))
    off, distance = _off_and_distance(s, pair, start, reciprocal_space)
    w = double(distance < threshold)
    return added(sums, (w, *scaled(w, products(s)), *(w * x * y for x in off for y in s)))


@formula
def distance_of(xyz: Any, j: int, pair: Any, start: Any, reciprocal_space: bool) -> Any:
    """Distance of a spot in the measure of the method: 1/angstrom for `ifssr`, else in fractional indices."""
    return _off_and_distance(double(spot(xyz, j)), pair, start, reciprocal_space)[1]


@formula
def corrected(pair: Any, sums: Any) -> Any:
    """The pair of cells after the least-squares fit to the deviations of the selected spots."""
    normal = symmetric(sums[1:7])
    right = sums[7:10], sums[10:13], sums[13:16]
    change = multiplied(right, _pseudo_inverse(normal))
    cell = tuple(tuple(a - b for a, b in zip(*rows, strict=True)) for rows in zip(pair[0], change, strict=True))
    return cell, reciprocal(cell)[1]


def _pseudo_inverse(normal: Any) -> Any:
    """Pseudo-inverse of a symmetric positive semidefinite matrix; see `Backend.refine_cells`."""
    size = trace(normal)
    present = size > 0
    inverse = 1 / where(present, size, 1.0)
    d = tuple(scaled(inverse, row) for row in normal)
    adjugate = cofactors(d)
    determinant, minors = dot(d[0], adjugate[0]), trace(adjugate)
    full, flat = determinant > UNDETERMINED, minors > UNDETERMINED
    by_determinant, by_minors = 1 / where(full, determinant, 1.0), 1 / where(flat, minors, 1.0)

    def entry(r: int, q: int) -> Any:
        in_plane = (IDENTITY[r][q] - adjugate[r][q] * by_minors - d[r][q]) * by_minors
        value = where(full, adjugate[r][q] * by_determinant, where(flat, in_plane, d[r][q]))
        return where(present, value * inverse, 0.0)

    return tuple(tuple(entry(r, q) for q in range(3)) for r in range(3))
