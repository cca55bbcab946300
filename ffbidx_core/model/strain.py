"""Strain: the difference in shape between an oriented cell and a reference cell.

An oriented cell is reference (I + E) R with a symmetric strain E, in the axes of the reference, and a rotation R.
Six numbers stand for E where equations are solved: e00, e11, e22, e01, e02, e12.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .cell import Array
from .xp import XpArray

COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Row and column of each of the six numbers."""
MULTIPLICITY = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
"""How often each stands in the matrix."""
MATRICES = np.zeros((6, 3, 3))
"""The strain of which one number is 1 and the others are 0."""
for _number, (_i, _j) in enumerate(COMPONENTS):
    MATRICES[_number, _i, _j] = MATRICES[_number, _j, _i] = 1


def strains(cells: XpArray, references: XpArray, xp: ModuleType = np) -> XpArray:
    """Strains (n, 3, 3) of oriented cells (n, 3, 3), whose references are (3, 3) or (n, 3, 3)."""
    return _decomposed(cells, references, xp)[0]


def strains_and_rotations(cells: Array, references: Array) -> tuple[Array, Array]:
    """Strains and rotations, both (n, 3, 3), of oriented cells."""
    strain, rotation = _decomposed(cells, references, np)
    return np.asarray(strain), np.asarray(rotation)


def _decomposed(cells: XpArray, references: XpArray, xp: ModuleType) -> tuple[XpArray, XpArray]:
    u, s, vt = xp.linalg.svd(xp.linalg.inv(references) @ cells)
    return (u * s[..., None, :]) @ xp.swapaxes(u, -1, -2) - xp.eye(3), u @ vt


def symmetric(strain: XpArray, cell: XpArray, operators: XpArray, xp: ModuleType = np) -> XpArray:
    """The part of strains (..., 3, 3) that keeps the symmetry of the lattice: their mean over its operators.

    Parameters
    ----------
    cell : (3, 3)
        The reference.
    operators : (n, 3, 3)
        Symmetry operators of the lattice, as `symmetry_operators` gives them.
    """
    rotations = xp.linalg.inv(cell) @ operators @ cell
    turned = rotations @ strain[..., None, :, :] @ xp.swapaxes(rotations, -1, -2)
    return turned.mean(axis=-3)


def symmetric_basis(cell: Array, operators: NDArray[np.int64]) -> Array:
    """The strains that keep the symmetry of the lattice, (k, 6): 1 of them for a cubic, 6 for a triclinic cell.

    They are orthonormal as matrices.
    """
    scale = np.sqrt(MULTIPLICITY)
    projection = scale[:, None] * components(symmetric(MATRICES, cell, operators)).T / scale
    values, vectors = np.linalg.eigh((projection + projection.T) / 2)
    return np.asarray(vectors[:, values > 0.5].T / scale)


def components(strain: Array) -> Array:
    """The six numbers (..., 6) of strains (..., 3, 3)."""
    return np.stack([strain[..., i, j] for i, j in COMPONENTS], axis=-1)


def matrices(numbers: Array) -> Array:
    """The strains (..., 3, 3) of six numbers (..., 6)."""
    return np.asarray(np.einsum("...p,pij->...ij", numbers, MATRICES))
