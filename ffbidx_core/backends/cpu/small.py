"""Small linear algebra for kernels: symmetric 3 x 3 systems, inverses, rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.fits import UNDETERMINED
from .jit import exact


@exact
def solve3(normal: Any, right: Any, smallest: float, x: Any) -> bool:
    """Solve the symmetric system (xx, xy, xz, yy, yz, zz) x = right by cofactors.

    False, and x untouched, where the determinant of the matrix over its trace is below `smallest`.
    """
    a, b, c, d, e, f = normal[0], normal[1], normal[2], normal[3], normal[4], normal[5]
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    c11, c12, c22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * c00 + b * c01 + c * c02
    trace = a + d + f
    if not determinant > smallest * trace * trace * trace:
        return False
    x[0] = (c00 * right[0] + c01 * right[1] + c02 * right[2]) / determinant
    x[1] = (c01 * right[0] + c11 * right[1] + c12 * right[2]) / determinant
    x[2] = (c02 * right[0] + c12 * right[1] + c22 * right[2]) / determinant
    return True


@exact
def pseudo_inverse3(normal: Any, out: Any) -> None:
    """Pseudo-inverse (3, 3) of the symmetric matrix (xx, xy, xz, yy, yz, zz); see `Backend.refine_cells`."""
    trace = normal[0] + normal[3] + normal[5]
    if not trace > 0.0:
        for r in range(3):
            for q in range(3):
                out[r, q] = 0.0
        return
    a, b, c = normal[0] / trace, normal[1] / trace, normal[2] / trace
    d, e, f = normal[3] / trace, normal[4] / trace, normal[5] / trace
    # The adjugate, the matrix of trace 1 and the identity, each as (xx, xy, xz, yy, yz, zz).
    adjugate = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    matrix, identity = (a, b, c, d, e, f), (1.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    determinant = a * adjugate[0] + b * adjugate[1] + c * adjugate[2]
    minors = adjugate[0] + adjugate[3] + adjugate[5]
    k = 0
    for r in range(3):
        for q in range(r, 3):
            if determinant > UNDETERMINED:
                value = adjugate[k] / determinant
            elif minors > UNDETERMINED:
                value = (identity[k] - adjugate[k] / minors - matrix[k]) / minors
            else:
                value = matrix[k]
            out[r, q] = value / trace
            out[q, r] = value / trace
            k += 1


@exact
def reciprocal3(cell: Any, out: Any) -> bool:
    """Rows a*, b*, c* of a cell (3, 3); False for a singular one."""
    for r in range(3):
        s, t = (r + 1) % 3, (r + 2) % 3
        for q in range(3):
            u, v = (q + 1) % 3, (q + 2) % 3
            out[r, q] = cell[s, u] * cell[t, v] - cell[s, v] * cell[t, u]
    determinant = cell[0, 0] * out[0, 0] + cell[0, 1] * out[0, 1] + cell[0, 2] * out[0, 2]
    if determinant == 0.0:
        return False
    for r in range(3):
        for q in range(3):
            out[r, q] /= determinant
    return True


@exact
def rotate_rows(rows: Any, x: Any) -> None:
    """Turn the rows of (3, 3) by the rotation vector x (radians), in place."""
    angle = np.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])
    if angle < 1e-12:
        return
    u, v, w = x[0] / angle, x[1] / angle, x[2] / angle
    cosine, sine = np.cos(angle), np.sin(angle)
    for r in range(3):
        a, b, c = rows[r, 0], rows[r, 1], rows[r, 2]
        along = (u * a + v * b + w * c) * (1.0 - cosine)
        rows[r, 0] = a * cosine + (v * c - w * b) * sine + u * along
        rows[r, 1] = b * cosine + (w * a - u * c) * sine + v * along
        rows[r, 2] = c * cosine + (u * b - v * a) * sine + w * along


@exact
def solve_positive(matrix: Any, right: Any, n: int) -> bool:
    """Solve the symmetric positive system in place by Cholesky's factors; the solution replaces `right`."""
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                if total <= 0.0:
                    return False
                matrix[i, i] = np.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]
    return True
