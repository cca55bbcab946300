"""The sums over spots of the joint fit, in machine code without the interpreter's lock; see `equations` and `scatter`.

Only functions import this module, since importing Numba takes a while. Sums are in the order of the spots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...compiled import cache_folder, called_from_python, compiled

_FOLDER = cache_folder((Path(__file__),))


def _place(
    spots: Any, rows: Any, crystal: Any, cells: Any, reciprocals: Any, radius: Any, predicted: Any, near: Any
) -> None:
    """Find the reflection nearest to each of P spots on a crystal, and whether the spot is close to it.

    Parameters
    ----------
    spots : (N, 3);  rows, crystal : (P,) int64
        All spots, 1/angstrom, and the row of the spot and the crystal of each pair.
    cells, reciprocals : (C, 3, 3);  radius : (C,)
        Cells of the crystals, rows a, b, c, angstrom; their reciprocal bases, and the distance within which a spot is
        close to a reflection, 1/angstrom.
    predicted : (P, 3);  near : (P,) bool
        Arrays that receive the place of the reflection, 1/angstrom, and whether the spot is close to it. The reflection
        000 is close to none.
    """
    for pair in range(len(rows)):
        c = crystal[pair]
        x, y, z = spots[rows[pair], 0], spots[rows[pair], 1], spots[rows[pair], 2]
        h = np.rint(cells[c, 0, 0] * x + cells[c, 0, 1] * y + cells[c, 0, 2] * z)
        k = np.rint(cells[c, 1, 0] * x + cells[c, 1, 1] * y + cells[c, 1, 2] * z)
        m = np.rint(cells[c, 2, 0] * x + cells[c, 2, 1] * y + cells[c, 2, 2] * z)
        for i in range(3):
            predicted[pair, i] = h * reciprocals[c, 0, i] + k * reciprocals[c, 1, i] + m * reciprocals[c, 2, i]
        dx, dy, dz = x - predicted[pair, 0], y - predicted[pair, 1], z - predicted[pair, 2]
        is_reflection = h != 0 or k != 0 or m != 0
        near[pair] = is_reflection and np.sqrt(dx * dx + dy * dy + dz * dz) < radius[c]


def _derive(
    spots: Any, axes: Any, crystal: Any, rotation: Any, wavelength: Any, motions: Any, across: Any, out: Any
) -> None:
    """Write the derivatives (n, 3, 9 + D) of residuals to `out`; see `equations.derivatives`.

    Parameters
    ----------
    spots : (n, 3);  axes : (n, 3, 3);  crystal : (n,) int64;  wavelength : (n,)
        The fields of `Indexed`.
    rotation : (C, 3, 3)
        Rotations of the crystals.
    motions : (D, 3, 3)
        Matrices by which a ray (X, Y, 1) moves with each common parameter.
    across : (3,)
        Scratch array.
    """
    for n in range(len(spots)):
        turn = rotation[crystal[n]]
        x, y, z = spots[n, 0], spots[n, 1], spots[n, 2]
        # The spot in the frame of the unturned reference cell.
        u = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
        v = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
        w = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
        rx, ry, rz = axes[n, 2, 0], axes[n, 2, 1], axes[n, 2, 2]
        for k in range(3):
            ax, ay, az = axes[n, k, 0], axes[n, k, 1], axes[n, k, 2]
            out[n, k, 0] = y * az - z * ay
            out[n, k, 1] = z * ax - x * az
            out[n, k, 2] = x * ay - y * ax
            a = turn[0, 0] * ax + turn[0, 1] * ay + turn[0, 2] * az
            b = turn[1, 0] * ax + turn[1, 1] * ay + turn[1, 2] * az
            c = turn[2, 0] * ax + turn[2, 1] * ay + turn[2, 2] * az
            out[n, k, 3], out[n, k, 4], out[n, k, 5] = -u * a, -v * b, -w * c
            out[n, k, 6], out[n, k, 7], out[n, k, 8] = -(u * b + v * a), -(u * c + w * a), -(v * c + w * b)
            # d(ray / |ray|) = cos(2 theta) (1 - ray ray^T) d(X, Y, 1), of which the component along the axis is taken.
            along = ax * rx + ay * ry + az * rz
            across[0], across[1], across[2] = ax - along * rx, ay - along * ry, az - along * rz
            for d in range(len(motions)):
                moved = 0.0
                for i in range(3):
                    moved += across[i] * (motions[d, i, 0] * rx + motions[d, i, 1] * ry + motions[d, i, 2] * rz)
                out[n, k, 9 + d] = -moved / wavelength[n]


def _sum_products(
    jacobian: Any, axes: Any, residuals: Any, crystal: Any, sigma: Any, cutoff: Any, rows: Any, out: Any
) -> Any:
    """Weigh spots by Tukey's biweight, add up the products of their derivatives and residuals; return the weights' sum.

    Parameters
    ----------
    jacobian : (n, 3, P);  axes : (n, 3, 3);  residuals : (n, 3);  crystal : (n,) int64
        Derivatives of each spot with components along its axes, these axes, its residual, and its crystal.
    sigma : (3,)
        Standard deviation of each component of a residual.
    cutoff : float
        Length of a whitened residual from which its weight is zero.
    rows : (3, P + 1)
        Scratch array.
    out : (2, C, P + 1, P + 1)
        Array whose lower triangles receive, for the components across the ray and for that along it, the weighted sums
        over the spots of each crystal of the products of all pairs of derivatives, of which the residual is the last;
        it is zero before.
    """
    total, n_columns = 0.0, jacobian.shape[2]
    x, y, z = rows[0], rows[1], rows[2]
    for n in range(len(jacobian)):
        squared = 0.0
        for k in range(3):
            for p in range(n_columns):
                rows[k, p] = jacobian[n, k, p]
            residual = 0.0
            for i in range(3):
                residual += axes[n, k, i] * residuals[n, i]
            rows[k, n_columns] = residual
            squared += (residual / sigma[k]) ** 2
        squared /= cutoff * cutoff
        if squared >= 1:
            continue
        weight = (1 - squared) ** 2
        total += weight
        for p in range(n_columns + 1):
            across, along = out[0, crystal[n], p], out[1, crystal[n], p]
            left_x, left_y, left_z = weight * x[p], weight * y[p], weight * z[p]
            for q in range(p + 1):
                across[q] += left_x * x[q] + left_y * y[q]
                along[q] += left_z * z[q]
    return total


place = called_from_python(compiled(_place, _FOLDER))
derive = called_from_python(compiled(_derive, _FOLDER))
sum_products = called_from_python(compiled(_sum_products, _FOLDER))
