"""Oriented cells: rotations between them, equality of lattices, the canonical setting, drift from the input cell."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .cell import Array
from .xp import XpArray


def rotation_between(cells: XpArray, reference: XpArray, xp: ModuleType = np) -> XpArray:
    """Rotations that best turn a reference cell into oriented cells, by polar decomposition.

    Parameters
    ----------
    cells : (..., 3, 3)
        Oriented cells, rows a, b, c, angstrom.
    reference : (..., 3, 3)
        Reference cells.

    Returns
    -------
    (..., 3, 3)
        Rotations R with cells ~ reference R: the orthogonal factors of reference^-1 cells.
    """
    u, _, vt = xp.linalg.svd(xp.linalg.inv(reference) @ cells)
    return u @ vt


def rotation_angle(rotations: Array) -> Array:
    """Angles in degrees of rotations (..., 3, 3)."""
    skew = rotations - np.swapaxes(rotations, -1, -2)
    sine = np.sqrt(skew[..., 0, 1] ** 2 + skew[..., 0, 2] ** 2 + skew[..., 1, 2] ** 2) / 2
    cosine = (np.trace(rotations, axis1=-2, axis2=-1) - 1) / 2
    return np.asarray(np.degrees(np.arctan2(sine, cosine)))


def misorientation(cell: Array, other: Array, operators: NDArray[np.int64]) -> float:
    """Angle of the smallest rotation between two oriented cells, modulo the symmetry of the lattice.

    Parameters
    ----------
    cell, other : (3, 3)
        Oriented cells, rows a, b, c, angstrom.
    operators : (n, 3, 3) int
        Symmetry operators of the lattice, as `symmetry_operators` gives them.

    Returns
    -------
    float
        Angle in degrees.
    """
    return float(rotation_angle(rotation_between(operators @ cell, other)).min())


def equal_lattices(cells: XpArray, others: XpArray, tolerance: float, xp: ModuleType = np) -> XpArray:
    """Whether pairs of cells span the same lattice up to a change of basis and a small deformation.

    Parameters
    ----------
    cells, others : (..., 3, 3)
        Oriented primitive cells, rows a, b, c, angstrom.
    tolerance
        Largest Frobenius norm of the deformation D in cell = U other (I + D), with U an integer matrix.

    Returns
    -------
    (...,) bool
    """
    inverse = xp.linalg.inv(others)
    basis = xp.rint(cells @ inverse)
    unimodular = xp.abs(xp.abs(xp.linalg.det(basis)) - 1) < 1e-3
    safe = xp.where(unimodular[..., None, None], basis, xp.eye(3))
    deformation = inverse @ xp.linalg.inv(safe) @ cells - xp.eye(3)
    return unimodular & (xp.sqrt((deformation**2).sum(axis=(-1, -2))) < tolerance)


def canonical_setting(cells: XpArray, input_cell: XpArray, operators: XpArray, xp: ModuleType = np) -> XpArray:
    """Oriented cells in the symmetry-equivalent basis that is rotated least from the input cell.

    Of the bases U B of a cell B, those whose metric tensor matches the input cell's best (within 1e-4) compete; the
    one with the smallest rotation from the input cell is chosen, in a tie that of the first operator. The choice makes
    Miller indices reproducible.

    Parameters
    ----------
    cells : (n, 3, 3)
        Oriented cells, rows a, b, c, angstrom.
    input_cell : (3, 3)
        Input cell of which the oriented cells are copies.
    operators : (m, 3, 3)
        Symmetry operators of the input cell's lattice.

    Returns
    -------
    (n, 3, 3)
    """
    if len(cells) == 0:
        return cells
    bases = operators[None] @ cells[:, None]
    metric = input_cell @ input_cell.T
    scale = xp.sqrt(xp.outer(xp.diag(metric), xp.diag(metric)))
    mismatch = xp.abs((bases @ xp.swapaxes(bases, -1, -2) - metric) / scale).max(axis=(-1, -2))
    turned = -xp.trace(xp.linalg.inv(input_cell) @ bases, axis1=-2, axis2=-1)
    # Rounding makes equal rotations tie, whatever their last digit.
    cost = xp.where(mismatch <= mismatch.min(axis=1, keepdims=True) + 1e-4, xp.round(turned, 6), 1e9)
    return bases[xp.arange(len(cells)), xp.argmin(cost, axis=1)]


def drifted(cells: XpArray, input_cells: XpArray, limit: tuple[float, float], xp: ModuleType = np) -> XpArray:
    """Whether the shapes of cells differ too much from the shapes of their input cells.

    Parameters
    ----------
    cells, input_cells : (n, 3, 3)
        Rows a, b, c, angstrom.
    limit
        Largest relative change of a vector's length, and largest change of an angle in degrees.

    Returns
    -------
    (n,) bool
    """

    def shape(c: XpArray) -> tuple[XpArray, XpArray]:
        lengths = xp.sqrt((c * c).sum(axis=-1))
        unit = c / xp.maximum(lengths, 1e-30)[..., None]
        cosines = xp.stack([(unit[:, i] * unit[:, j]).sum(axis=-1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=-1)
        return lengths, xp.degrees(xp.arccos(xp.clip(cosines, -1, 1)))

    (lengths, angles), (wanted, wanted_angles) = shape(cells), shape(input_cells)
    stretched = (xp.abs(lengths / wanted - 1) > limit[0]).any(axis=-1)
    return stretched | (xp.abs(angles - wanted_angles) > limit[1]).any(axis=-1)
