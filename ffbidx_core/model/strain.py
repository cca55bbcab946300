"""Strain: the difference in shape between an oriented cell and a reference cell.

An oriented cell is reference (I + E) R, with a symmetric strain E on the Cartesian axes of the reference and a rotation
R. Where equations are solved, E is represented by its six components e00, e11, e22, e01, e02, e12.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .cell import Array
from .xp import XpArray

COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Row and column of each of the six strain components."""
MULTIPLICITY = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
"""Number of elements of the strain matrix that equal each component."""
MATRICES = np.zeros((6, 3, 3))
"""Six strain matrices, in each of which one component is 1 and the others are 0."""
for _number, (_i, _j) in enumerate(COMPONENTS):
    MATRICES[_number, _i, _j] = MATRICES[_number, _j, _i] = 1


def strains(cells: Array, references: Array) -> Array:
    """Strains (n, 3, 3), dimensionless, of oriented cells (n, 3, 3) relative to references (3, 3) or (n, 3, 3)."""
    return strains_and_rotations(cells, references)[0]


def strains_and_rotations(cells: Array, references: Array) -> tuple[Array, Array]:
    """Strains and rotations, both (n, 3, 3), of oriented cells relative to references, by polar decomposition."""
    u, s, vt = np.linalg.svd(np.linalg.inv(references) @ cells)
    return np.asarray((u * s[..., None, :]) @ np.swapaxes(u, -1, -2) - np.eye(3)), np.asarray(u @ vt)


def symmetric(strain: XpArray, cell: XpArray, operators: XpArray, xp: ModuleType = np) -> XpArray:
    """The part of strains that keeps the symmetry of the lattice: their mean over its symmetry operators.

    Parameters
    ----------
    strain : (..., 3, 3)
        Strains on the Cartesian axes of the reference cell.
    cell : (3, 3)
        Reference cell, rows a, b, c, angstrom.
    operators : (n, 3, 3)
        Symmetry operators of the lattice, as `symmetry_operators` gives them.

    Returns
    -------
    (..., 3, 3)
    """
    rotations = xp.linalg.inv(cell) @ operators @ cell
    turned = rotations @ strain[..., None, :, :] @ xp.swapaxes(rotations, -1, -2)
    return turned.mean(axis=-3)


def symmetric_basis(cell: Array, operators: NDArray[np.int64]) -> Array:
    """Basis of the strains that keep the symmetry of the lattice, orthonormal as matrices.

    Returns
    -------
    (k, 6) float64
        The six components of k strains, from 1 for a cubic to 6 for a triclinic cell.
    """
    scale = np.sqrt(MULTIPLICITY)
    projection = scale[:, None] * components(symmetric(MATRICES, cell, operators)).T / scale
    values, vectors = np.linalg.eigh((projection + projection.T) / 2)
    return np.asarray(vectors[:, values > 0.5].T / scale)


def components(strain: Array) -> Array:
    """The six components (..., 6) of strain matrices (..., 3, 3)."""
    return np.stack([strain[..., i, j] for i, j in COMPONENTS], axis=-1)


def matrices(numbers: Array) -> Array:
    """The strain matrices (..., 3, 3) with the given six components (..., 6)."""
    return np.asarray(np.einsum("...p,pij->...ij", numbers, MATRICES))
