"""The last fit on the CPU: rotation and a small strain with a prior."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model import fits as constants
from .jit import exact
from .small import reciprocal3, solve_positive

ROUNDS, STEPS = constants.CONSTRAINED_ROUNDS, constants.CONSTRAINED_STEPS
SMALLEST_START, CUTOFF = constants.CONSTRAINED_SMALLEST_START, constants.CONSTRAINED_CUTOFF
LOWEST, HIGHEST = constants.CONSTRAINED_LIMITS
SIGMA, WEIGHT = constants.TYPICAL_SIGMA, constants.TYPICAL_WEIGHT


@exact
def fit_constrained(
    xyz: Any, offsets: Any, first: int, last: int, reference: Any, radius: Any, prior: float, cells: Any, cutoff: Any
) -> None:
    """Fit rotation and strain to cells[first:last] (F, 3, 3) in place; fill cutoff (F,)."""
    recip, inverse = np.empty((3, 3)), np.empty((3, 3))
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        t = 1.3 * max(radius[f], SMALLEST_START)
        cutoff[f] = t
        cell = cells[f]
        if not reciprocal3(cell, recip):
            continue
        # Transposed real cell of no strain: the inverse of its reciprocal cell.
        for r in range(3):
            for q in range(3):
                inverse[r, q] = reference[f, q, r]
        settled = False
        for round_ in range(ROUNDS + 1):
            for _ in range(STEPS):
                if not _constrained_step(xyz, begin, n, cell, recip, inverse, t, prior):
                    break
                # The rows of the real cell are reciprocal to those of the reciprocal one.
                reciprocal3(recip, cell)
            if settled:
                break
            count, total = _residuals(xyz, begin, n, cell, recip, t)
            settled = count < 5 or round_ == ROUNDS - 1
            if count >= 5:
                w = WEIGHT / (count + WEIGHT)
                sigma = np.sqrt((1.0 - w) * total / count / 3.0 + w * SIGMA * SIGMA)
                t = min(max(CUTOFF * sigma, LOWEST), HIGHEST)
        cutoff[f] = t


@exact
def _residuals(xyz: Any, begin: int, n: int, cell: Any, recip: Any, t: float) -> tuple[int, float]:
    """Number of spots within t of their predicted ones, and the sum of their squared distances."""
    count, total = 0, 0.0
    for j in range(begin, begin + n):
        x, y, z, _, _, _ = _residual(xyz, j, cell, recip)
        squared = x * x + y * y + z * z
        if squared < t * t:
            count += 1
            total += squared
    return count, total


@exact
def _residual(xyz: Any, j: int, cell: Any, recip: Any) -> Any:
    """What is left of spot j, and its predicted spot."""
    s0, s1, s2 = np.float64(xyz[0, j]), np.float64(xyz[1, j]), np.float64(xyz[2, j])
    h = cell[0, 0] * s0 + cell[0, 1] * s1 + cell[0, 2] * s2
    k = cell[1, 0] * s0 + cell[1, 1] * s1 + cell[1, 2] * s2
    m = cell[2, 0] * s0 + cell[2, 1] * s1 + cell[2, 2] * s2
    h -= np.rint(h)
    k -= np.rint(k)
    m -= np.rint(m)
    x = recip[0, 0] * h + recip[1, 0] * k + recip[2, 0] * m
    y = recip[0, 1] * h + recip[1, 1] * k + recip[2, 1] * m
    z = recip[0, 2] * h + recip[1, 2] * k + recip[2, 2] * m
    return x, y, z, s0 - x, s1 - y, s2 - z


@exact
def _product(a: Any, b: Any, out: Any) -> None:
    """out = a b for (3, 3)."""
    for r in range(3):
        for q in range(3):
            out[r, q] = a[r, 0] * b[0, q] + a[r, 1] * b[1, q] + a[r, 2] * b[2, q]


@exact
def _strain(recip: Any, inverse: Any, strain: Any) -> None:
    """Strain so far: E = X/2 - X^2/8 + X^3/16 with X = F F^T - I, where recip = (reciprocal cell of no strain) F^T."""
    f, x, square, cube = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    _product(inverse, recip, f)
    for r in range(3):
        for q in range(3):
            x[r, q] = f[0, r] * f[0, q] + f[1, r] * f[1, q] + f[2, r] * f[2, q]
        x[r, r] -= 1.0
    _product(x, x, square)
    _product(square, x, cube)
    for r in range(3):
        for q in range(3):
            strain[r, q] = x[r, q] / 2.0 - square[r, q] / 8.0 + cube[r, q] / 16.0


@exact
def _constrained_step(
    xyz: Any, begin: int, n: int, cell: Any, recip: Any, inverse: Any, t: float, prior: float
) -> bool:
    """One Gauss-Newton step; moves recip. False where too few spots are near."""
    matrix, right = np.zeros((9, 9)), np.zeros(9)
    jacobian, strain = np.zeros((9, 3)), np.empty((3, 3))
    total, a = 0.0, 9.0 / (t * t)
    for j in range(begin, begin + n):
        x, y, z, q0, q1, q2 = _residual(xyz, j, cell, recip)
        w = 1.0 - (x * x + y * y + z * z) / (t * t)
        if w <= 0.0:
            continue
        w *= w
        total += w
        jacobian[0, 1], jacobian[0, 2] = -q2, q1
        jacobian[1, 0], jacobian[1, 2] = q2, -q0
        jacobian[2, 0], jacobian[2, 1] = -q1, q0
        jacobian[3, 0], jacobian[4, 1], jacobian[5, 2] = q0, q1, q2
        jacobian[6, 0], jacobian[6, 1] = q1, q0
        jacobian[7, 0], jacobian[7, 2] = q2, q0
        jacobian[8, 1], jacobian[8, 2] = q2, q1
        wa = w * a
        for p in range(9):
            j0, j1, j2 = wa * jacobian[p, 0], wa * jacobian[p, 1], wa * jacobian[p, 2]
            right[p] += j0 * x + j1 * y + j2 * z
            for s in range(p + 1):
                matrix[p, s] += j0 * jacobian[s, 0] + j1 * jacobian[s, 1] + j2 * jacobian[s, 2]
    if total < 3.0:
        return False
    _strain(recip, inverse, strain)
    weight = 1.0 / (prior * prior)
    for p in range(9):
        matrix[p, p] = matrix[p, p] * 1.00001 + 1e-9
    for p in range(3):
        matrix[3 + p, 3 + p] += weight
        right[3 + p] -= weight * strain[p, p]
        matrix[6 + p, 6 + p] += 2.0 * weight
    right[6] -= 2.0 * weight * strain[0, 1]
    right[7] -= 2.0 * weight * strain[0, 2]
    right[8] -= 2.0 * weight * strain[1, 2]
    if not solve_positive(matrix, right, 9):
        return False
    x = right
    d = np.empty((3, 3))
    d[0, 0], d[0, 1], d[0, 2] = 1.0 + x[3], x[6] - x[2], x[7] + x[1]
    d[1, 0], d[1, 1], d[1, 2] = x[6] + x[2], 1.0 + x[4], x[8] - x[0]
    d[2, 0], d[2, 1], d[2, 2] = x[7] - x[1], x[8] + x[0], 1.0 + x[5]
    moved = np.zeros((3, 3))
    for r in range(3):
        for q in range(3):
            for k in range(3):
                moved[r, q] += recip[r, k] * d[q, k]
    for r in range(3):
        for q in range(3):
            recip[r, q] = moved[r, q]
    return True
