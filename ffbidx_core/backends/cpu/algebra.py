"""Algebra of vectors and matrices in formulas; a vector is a tuple of three numbers, a matrix a tuple of three rows."""

from __future__ import annotations

from typing import Any

from .formula import cosine_and_sine, formula, nearest, root, where

IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def dot(a: Any, b: Any) -> Any:
    """The scalar product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Any, b: Any) -> Any:
    """The vector product of two vectors."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def scaled(x: Any, v: Any) -> Any:
    """The product of a number and a vector, or any other tuple of numbers."""
    return tuple(x * each for each in v)


def added(a: Any, b: Any) -> Any:
    """The sum of two tuples of numbers."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def transposed(m: Any) -> Any:
    """The transpose of a matrix."""
    return tuple(zip(*m, strict=True))


def multiplied(a: Any, b: Any) -> Any:
    """The product of two matrices."""
    return tuple(tuple(dot(row, column) for column in transposed(b)) for row in a)


def products(v: Any) -> Any:
    """The products (xx, xy, xz, yy, yz, zz) of a vector with itself."""
    return tuple(v[r] * v[q] for r in range(3) for q in range(r, 3))


def symmetric(six: Any) -> Any:
    """The symmetric matrix with the elements (xx, xy, xz, yy, yz, zz)."""
    xx, xy, xz, yy, yz, zz = six
    return (xx, xy, xz), (xy, yy, yz), (xz, yz, zz)


def trace(m: Any) -> Any:
    """The trace of a matrix."""
    return m[0][0] + m[1][1] + m[2][2]


def cofactors(m: Any) -> Any:
    """The matrix of cofactors, which is the determinant times the transpose of the inverse."""
    return cross(m[1], m[2]), cross(m[2], m[0]), cross(m[0], m[1])


def reciprocal(m: Any) -> Any:
    """Whether a cell is regular, and its reciprocal cell with the rows a*, b*, c*."""
    rows = cofactors(m)
    determinant = dot(m[0], rows[0])
    regular = abs(determinant) > 0
    inverse = 1 / where(regular, determinant, 1.0)
    return regular, tuple(scaled(inverse, row) for row in rows)


def solution(m: Any, right: Any, smallest: float) -> Any:
    """The solution x of m x = right for a symmetric matrix m, and before it whether the equations determine x.

    They do if the determinant of m, divided by its trace, exceeds `smallest`.
    """
    rows, size = cofactors(m), trace(m)
    determinant = dot(m[0], rows[0])
    solved = determinant > smallest * size * size * size
    inverse = 1 / where(solved, determinant, 1.0)
    return solved, tuple(inverse * dot(row, right) for row in rows)


def turned(rows: Any, x: Any) -> Any:
    """Row vectors rotated by the rotation vector x (radian)."""
    angle = root(dot(x, x))
    turning = angle > 1e-12
    axis = scaled(1 / where(turning, angle, 1.0), x)
    cosine, sine = cosine_and_sine(angle)

    def one(v: Any) -> Any:
        along = dot(axis, v) * (1 - cosine)
        return where(turning, added(added(scaled(cosine, v), scaled(sine, cross(axis, v))), scaled(along, axis)), v)

    return tuple(one(row) for row in rows)


def cholesky_solution(m: Any, right: Any) -> Any:
    """Whether a symmetric matrix m with n rows is positive definite, and the solution x of m x = right."""
    n, positive = len(right), None
    lower: list[list[Any]] = [[] for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = m[i][j]
            for k in range(j):
                rest = rest - lower[i][k] * lower[j][k]
            if i == j:
                positive = rest > 0 if positive is None else positive & (rest > 0)
                rest = root(where(rest > 0, rest, 1.0))
            else:
                rest = rest / lower[j][j]
            lower[i].append(rest)
    x = list(right)
    for i in range(n):
        for k in range(i):
            x[i] = x[i] - lower[i][k] * x[k]
        x[i] = x[i] / lower[i][i]
    for i in reversed(range(n)):
        for k in range(i + 1, n):
            x[i] = x[i] - lower[k][i] * x[k]
        x[i] = x[i] / lower[i][i]
    return positive, tuple(x)


def spot(xyz: Any, j: Any) -> Any:
    """Spot j, which is column j of the spots (3, N)."""
    return xyz[0, j], xyz[1, j], xyz[2, j]


def off_indices(s: Any, cell: Any) -> Any:
    """Deviations of a spot's fractional Miller indices from the nearest integers."""
    indices = tuple(dot(row, s) for row in cell)
    return tuple(h - nearest(h) for h in indices)


def residual(s: Any, pair: Any) -> Any:
    """The spot minus its predicted spot, for the pair of a cell and its reciprocal cell (see `pair_of`)."""
    cell, recip = pair
    return tuple(dot(column, off_indices(s, cell)) for column in transposed(recip))


def matrix(table: Any, *place: Any) -> Any:
    """The matrix at a place in an array of matrices."""
    return tuple(tuple(table[(*place, r, q)] for q in range(3)) for r in range(3))


@formula
def pair_of(cells: Any, f: int, q: int) -> Any:
    """Whether cell q of frame f is regular, and the pair of the cell (rows a, b, c) and its reciprocal cell."""
    cell = matrix(cells, f, q)
    regular, recip = reciprocal(cell)
    return regular, (cell, recip)


@formula
def put_cell(cells: Any, f: int, q: int, cell: Any) -> None:
    """Store a cell as cell q of frame f."""
    for r in range(3):
        for k in range(3):
            cells[f, q, r, k] = cell[r][k]
