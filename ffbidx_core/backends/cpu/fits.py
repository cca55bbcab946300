"""Distances of spots from the lattice points of cells, and the rigid fit, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from .algebra import IDENTITY, added, cross, dot, pair_of, products, put_cell, residual, scaled, solution, spot, turned
from .formula import double, formula, root, single, where
from .jit import kernel

LARGEST_TURN = 0.03
"""Upper limit of the rotation in one step of the rigid fit, radian."""
TINY = 1e-4
"""Ridge of the rigid fit's normal matrix, relative to its trace."""
NO_SUMS = (np.float32(0),) * 10


@kernel
def count_within(
    xyz: Any, offsets: Any, first: int, last: int, cells: Any, squared_radii: Any, squares: Any, out: Any
) -> None:
    """Fill out[first:last] (F, Q, T) with the number of spots within each radius; squares (n,) is a scratch array."""
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        for q in range(cells.shape[1]):
            regular, pair = pair_of(cells, f, q)
            if not regular:
                continue
            small = in_single(pair)
            for j in range(n):
                squares[j] = squared_distance(xyz, begin + j, small)
            for t in range(squared_radii.shape[2]):
                limit, count = squared_radii[f, q, t], np.int32(0)
                for j in range(n):
                    count = counted(count, squares[j], limit)
                out[f, q, t] = count


@kernel
def distances(xyz: Any, offsets: Any, first: int, last: int, cells: Any, fractional: bool, out: Any) -> None:
    """Fill out (Q, N) with the distances of the spots of frames `first` to `last`; see `Backend.distances`."""
    for f in range(first, last):
        for q in range(cells.shape[1]):
            regular, pair = pair_of(cells, f, q)
            small = in_single(of_indices(pair) if fractional else pair)
            for j in range(offsets[f], offsets[f + 1]):
                out[q, j] = distance(xyz, j, small)
            if not regular:
                for j in range(offsets[f], offsets[f + 1]):
                    out[q, j] = np.inf


@kernel
def fit_rigid(xyz: Any, offsets: Any, first: int, last: int, inverse_squares: Any, cells: Any) -> None:
    """Rotate cells[first:last] (F, Q, 3, 3) onto the spots in place; see `Backend.fit_rigid`.

    `inverse_squares` (F, Q, steps) are 1 / cut-off^2 of the steps, angstrom^2.
    """
    for f in range(first, last):
        for q in range(cells.shape[1]):
            regular, pair = pair_of(cells, f, q)
            if not regular:
                continue
            for step in range(inverse_squares.shape[2]):
                small, inverse_square, sums = in_single(pair), inverse_squares[f, q, step], NO_SUMS
                for j in range(offsets[f], offsets[f + 1]):
                    sums = add_turn(sums, xyz, j, small, inverse_square)
                moving, pair = turned_pair(pair, sums)
                if not moving:
                    break
            put_cell(cells, f, q, pair[0])


@formula
def in_single(pair: Any) -> Any:
    """The pair of a cell and its reciprocal cell in float32."""
    return single(pair)


@formula
def of_indices(pair: Any) -> Any:
    """The pair of a cell and the identity, for which residuals are in fractional indices."""
    recip = tuple(tuple(0 * pair[1][r][q] + IDENTITY[r][q] for q in range(3)) for r in range(3))
    return pair[0], recip


@formula
def squared_distance(xyz: Any, j: int, pair: Any) -> Any:
    """Squared distance of spot j from its predicted spot."""
    e = residual(spot(xyz, j), pair)
    return dot(e, e)


@formula
def distance(xyz: Any, j: int, pair: Any) -> Any:
    """Distance of spot j from its predicted spot."""
    e = residual(spot(xyz, j), pair)
    return root(dot(e, e))


@formula
def counted(count: Any, square: Any, limit: Any) -> Any:
    """The count, plus 1 if the square is below the limit."""
    return where(square < limit, count + 1, count)


@formula
def add_turn(sums: Any, xyz: Any, j: int, pair: Any, inverse_square: Any) -> Any:
    """Add a spot to the sums: its biweight, and times the biweight the products q q^T (6) and the torque q x e (3)."""
    s = spot(xyz, j)
    e = residual(s, pair)
    q = tuple(a - b for a, b in zip(s, e, strict=True))
    w = 1 - dot(e, e) * inverse_square
    w = where(w > 0, w * w, 0.0)
    return added(sums, (w, *scaled(w, products(q)), *scaled(w, cross(q, e))))


@formula
def turned_pair(pair: Any, sums: Any) -> Any:
    """Whether the spots suffice to rotate a cell, and the pair of cells after the rotation onto the spots."""
    total, xx, xy, xz, yy, yz, zz, *torque = double(sums)
    size = xx + yy + zz
    ridge = TINY * 2 * size
    normal = (yy + zz + ridge, -xy, -xz), (-xy, xx + zz + ridge, -yz), (-xz, -yz, xx + yy + ridge)
    solved, x = solution(normal, torque, 0.0)
    angle = root(dot(x, x))
    x = scaled(where(angle > LARGEST_TURN, LARGEST_TURN / where(angle > 0, angle, 1.0), 1.0), x)
    moving = solved & (total > 1.5)
    return moving, where(moving, tuple(turned(rows, x) for rows in pair), pair)
