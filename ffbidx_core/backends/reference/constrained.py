"""The last fit of one cell to the spots of one frame: rotation and a small strain with a prior.

A cell is (3, 3) with rows a, b, c, angstrom; spots are (n, 3), 1/angstrom.
"""

from __future__ import annotations

import numpy as np

from ...model.cell import Array
from ...model.fits import (
    CONSTRAINED_CUTOFF,
    CONSTRAINED_LIMITS,
    CONSTRAINED_ROUNDS,
    CONSTRAINED_SMALLEST_START,
    CONSTRAINED_STEPS,
    TYPICAL_SIGMA,
    TYPICAL_WEIGHT,
)
from ...model.vectors import cross_matrix
from .fits import biweight, predicted

STRAINS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Row and column of each of the six strain components."""


def fit_constrained(spots: Array, cell: Array, reference: Array, radius: float, prior: float) -> tuple[Array, float]:
    """The fitted cell (3, 3), and the last cut-off in 1/angstrom; see `Backend.fit_constrained`."""
    cutoff = 1.3 * max(radius, CONSTRAINED_SMALLEST_START)
    if not cell.any():
        return cell, cutoff
    for _ in range(CONSTRAINED_ROUNDS):
        cell = _steps(spots, cell, reference, cutoff, prior)
        squares = np.sum((spots - predicted(spots, cell)) ** 2, axis=1)
        squares = squares[squares < cutoff**2]
        if len(squares) < 5:
            break
        cutoff = CONSTRAINED_CUTOFF * _sigma(squares)
        cutoff = min(max(cutoff, CONSTRAINED_LIMITS[0]), CONSTRAINED_LIMITS[1])
    return _steps(spots, cell, reference, cutoff, prior), cutoff


def _sigma(squares: Array) -> float:
    """Standard deviation of a component of the residuals, from their squared lengths (k,) and the typical value."""
    w = TYPICAL_WEIGHT / (len(squares) + TYPICAL_WEIGHT)
    return float(np.sqrt((1 - w) * np.mean(squares) / 3 + w * TYPICAL_SIGMA**2))


def _steps(spots: Array, cell: Array, reference: Array, cutoff: float, prior: float) -> Array:
    """The cell after the Gauss-Newton steps of one round."""
    for _ in range(CONSTRAINED_STEPS):
        cell = _step(spots, cell, reference, cutoff, prior)
    return cell


def _step(spots: Array, cell: Array, reference: Array, cutoff: float, prior: float) -> Array:
    """The cell after one Gauss-Newton step."""
    q = predicted(spots, cell)
    e = spots - q
    weights = biweight(e, cutoff)
    if weights.sum() < 3:
        return cell
    weights *= 9 / cutoff**2
    jacobian = _jacobian(q)
    normal = np.einsum("j,jip,jiq->pq", weights, jacobian, jacobian)
    right = np.einsum("j,jip,ji->p", weights, jacobian, e)
    normal[np.diag_indices(9)] = normal.diagonal() * 1.00001 + 1e-9
    strain = _strain(cell, reference)
    for p, (i, k) in enumerate(STRAINS, start=3):
        stiffness = (1 if i == k else 2) / prior**2
        normal[p, p] += stiffness
        right[p] -= stiffness * strain[i, k]
    change = np.eye(3) + _deformation(np.linalg.solve(normal, right))
    # The reciprocal cell becomes K change^T, and the cell is its inverse transpose.
    return np.asarray(cell @ np.linalg.inv(change))


def _jacobian(q: Array) -> Array:
    """Derivatives (n, 3, 9) of predicted spots (n, 3) with respect to three rotations and six strain components."""
    columns = []
    for i, k in STRAINS:
        unit = np.zeros((3, 3))
        unit[i, k] = unit[k, i] = 1
        columns.append(q @ unit)
    return np.concatenate([-cross_matrix(q), np.stack(columns, axis=2)], axis=2)


def _deformation(x: Array) -> Array:
    """The matrix (3, 3) of [omega]_x + E, for the rotation vector omega and strain E in the parameters (9,)."""
    matrix: Array = cross_matrix(x[:3])
    for value, (i, k) in zip(x[3:], STRAINS, strict=True):
        matrix[i, k] += value
        if i != k:
            matrix[k, i] += value
    return matrix


def _strain(cell: Array, reference: Array) -> Array:
    """Strain (3, 3) of the reciprocal lattice of a cell relative to that of the reference, without the rotation."""
    # K = K_ref F^T with K = B^-T gives F = B^-1 B_ref; F F^T is free of the rotation.
    f = np.linalg.inv(cell) @ reference
    x = f @ f.T - np.eye(3)
    return np.asarray(x / 2 - x @ x / 8 + x @ x @ x / 16)
