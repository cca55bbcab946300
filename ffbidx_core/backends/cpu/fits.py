"""Distances of spots to cells, and the rigid fit, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import exact, kernel
from .small import reciprocal3, rotate_rows, solve3

LARGEST_TURN = 0.03
TINY = 1e-4


@kernel
def squared_distances(xyz: Any, begin: int, n: int, cell: Any, recip: Any, out: Any) -> None:
    """Squared distances of n spots to their predicted ones, 1/angstrom^2, float32."""
    f4 = np.float32
    a0, a1, a2 = f4(cell[0, 0]), f4(cell[0, 1]), f4(cell[0, 2])
    b0, b1, b2 = f4(cell[1, 0]), f4(cell[1, 1]), f4(cell[1, 2])
    c0, c1, c2 = f4(cell[2, 0]), f4(cell[2, 1]), f4(cell[2, 2])
    p0, p1, p2 = f4(recip[0, 0]), f4(recip[0, 1]), f4(recip[0, 2])
    q0, q1, q2 = f4(recip[1, 0]), f4(recip[1, 1]), f4(recip[1, 2])
    r0, r1, r2 = f4(recip[2, 0]), f4(recip[2, 1]), f4(recip[2, 2])
    for j in range(n):
        s0, s1, s2 = xyz[0, begin + j], xyz[1, begin + j], xyz[2, begin + j]
        h = a0 * s0 + a1 * s1 + a2 * s2
        k = b0 * s0 + b1 * s1 + b2 * s2
        m = c0 * s0 + c1 * s1 + c2 * s2
        h -= np.rint(h)
        k -= np.rint(k)
        m -= np.rint(m)
        x = p0 * h + q0 * k + r0 * m
        y = p1 * h + q1 * k + r1 * m
        z = p2 * h + q2 * k + r2 * m
        out[j] = x * x + y * y + z * z


@kernel
def squared_fractions(xyz: Any, begin: int, n: int, cell: Any, out: Any) -> None:
    """Squared distances of n spots to integer indices, float32."""
    f4 = np.float32
    for j in range(n):
        out[j] = f4(0)
    for r in range(3):
        a0, a1, a2 = f4(cell[r, 0]), f4(cell[r, 1]), f4(cell[r, 2])
        for j in range(n):
            h = a0 * xyz[0, begin + j] + a1 * xyz[1, begin + j] + a2 * xyz[2, begin + j]
            h -= np.rint(h)
            out[j] += h * h


@kernel
def _count_below(values: Any, n: int, limit: Any) -> Any:
    count = np.int32(0)
    for j in range(n):
        count += np.int32(1) if values[j] < limit else np.int32(0)
    return count


@exact
def count_within(xyz: Any, offsets: Any, first: int, last: int, cells: Any, radii: Any, out: Any) -> None:
    """Fill out[first:last] (F, Q, T) with the spots within each radius."""
    recip = np.empty((3, 3))
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        squared = np.empty(n, np.float32)
        for q in range(cells.shape[1]):
            if not reciprocal3(cells[f, q], recip):
                continue
            squared_distances(xyz, begin, n, cells[f, q], recip, squared)
            for t in range(radii.shape[2]):
                out[f, q, t] = _count_below(squared, n, np.float32(radii[f, q, t] ** 2))


@exact
def distances(xyz: Any, offsets: Any, first: int, last: int, cells: Any, fractional: bool, out: Any) -> None:
    """Fill out (Q, N) for the spots of frames first to last."""
    recip = np.empty((3, 3))
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        squared = np.empty(n, np.float32)
        for q in range(cells.shape[1]):
            regular = reciprocal3(cells[f, q], recip)
            if fractional:
                squared_fractions(xyz, begin, n, cells[f, q], squared)
            else:
                squared_distances(xyz, begin, n, cells[f, q], recip, squared)
            for j in range(n):
                out[q, begin + j] = np.sqrt(squared[j]) if regular else np.float32(np.inf)


@kernel
def _rotation_sums(
    xyz: Any, begin: int, n: int, cell: Any, recip: Any, inverse_squared: float, normal: Any, right: Any
) -> Any:
    """Normal equations of a small rotation with biweights; the sum of the weights."""
    f4 = np.float32
    a0, a1, a2 = f4(cell[0, 0]), f4(cell[0, 1]), f4(cell[0, 2])
    b0, b1, b2 = f4(cell[1, 0]), f4(cell[1, 1]), f4(cell[1, 2])
    c0, c1, c2 = f4(cell[2, 0]), f4(cell[2, 1]), f4(cell[2, 2])
    p0, p1, p2 = f4(recip[0, 0]), f4(recip[0, 1]), f4(recip[0, 2])
    q0, q1, q2 = f4(recip[1, 0]), f4(recip[1, 1]), f4(recip[1, 2])
    r0, r1, r2 = f4(recip[2, 0]), f4(recip[2, 1]), f4(recip[2, 2])
    scale = f4(inverse_squared)
    total, xx, xy, xz, yy, yz, zz = f4(0), f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
    rx, ry, rz = f4(0), f4(0), f4(0)
    for j in range(begin, begin + n):
        s0, s1, s2 = xyz[0, j], xyz[1, j], xyz[2, j]
        h = a0 * s0 + a1 * s1 + a2 * s2
        k = b0 * s0 + b1 * s1 + b2 * s2
        m = c0 * s0 + c1 * s1 + c2 * s2
        h -= np.rint(h)
        k -= np.rint(k)
        m -= np.rint(m)
        x = p0 * h + q0 * k + r0 * m
        y = p1 * h + q1 * k + r1 * m
        z = p2 * h + q2 * k + r2 * m
        w = max(f4(1) - (x * x + y * y + z * z) * scale, f4(0))
        w *= w
        g0, g1, g2 = s0 - x, s1 - y, s2 - z
        square = g0 * g0 + g1 * g1 + g2 * g2
        total += w
        xx += w * (square - g0 * g0)
        xy -= w * g0 * g1
        xz -= w * g0 * g2
        yy += w * (square - g1 * g1)
        yz -= w * g1 * g2
        zz += w * (square - g2 * g2)
        rx += w * (g1 * z - g2 * y)
        ry += w * (g2 * x - g0 * z)
        rz += w * (g0 * y - g1 * x)
    normal[0], normal[1], normal[2], normal[3], normal[4], normal[5] = xx, xy, xz, yy, yz, zz
    right[0], right[1], right[2] = rx, ry, rz
    return total


@exact
def fit_rigid(xyz: Any, offsets: Any, first: int, last: int, cutoffs: Any, cells: Any) -> None:
    """Turn cells[first:last] (F, Q, 3, 3) onto the spots in place; cutoffs (F, Q, steps)."""
    recip, normal, right, x = np.empty((3, 3)), np.empty(6), np.empty(3), np.empty(3)
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        for q in range(cells.shape[1]):
            cell = cells[f, q]
            if not reciprocal3(cell, recip):
                continue
            for step in range(cutoffs.shape[2]):
                total = _rotation_sums(xyz, begin, n, cell, recip, cutoffs[f, q, step] ** -2, normal, right)
                if total < 1.5:
                    break
                ridge = TINY * (normal[0] + normal[3] + normal[5])
                normal[0] += ridge
                normal[3] += ridge
                normal[5] += ridge
                if not solve3(normal, right, 0.0, x):
                    break
                angle = np.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])
                if angle > LARGEST_TURN:
                    for r in range(3):
                        x[r] *= LARGEST_TURN / angle
                rotate_rows(cell, x)
                rotate_rows(recip, x)
