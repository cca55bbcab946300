"""Crystals and the spots that are theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .cell import Array, reciprocal
from .lattice import primitive_basis

NO_CRYSTAL = -1


def miller_indices(spots: Array, cell: Array, centring: str = "P") -> NDArray[np.int64]:
    """Indices (n, 3) of the lattice points nearest to spots (n, 3), none that the centring forbids.

    Parameters
    ----------
    cell : (3, 3)
        Conventional cell, rows a, b, c.
    """
    # The lattice points are those with whole indices on the primitive basis.
    basis = primitive_basis(cell, centring)
    on_primitive = np.rint(spots @ (basis @ cell).T)
    return np.asarray(np.rint(on_primitive @ np.linalg.inv(basis).T), dtype=np.int64)


def assign_spots(
    spots: Array, cells: Array, centrings: Sequence[str], threshold: float, *, fractional: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which crystal each spot is of: the first that covers it.

    Parameters
    ----------
    spots : (n, 3)
        1/angstrom.
    cells : (k, 3, 3)
        Conventional cells, rows a, b, c, best first.
    threshold
        A crystal covers the spots nearer to its lattice than this, in 1/angstrom, or in indices where `fractional`.

    Returns
    -------
    crystal : (n,) int64
        NO_CRYSTAL where none covers the spot.
    hkl : (n, 3) int64
        Miller indices, zeros where there is no crystal.
    """
    crystal = np.full(len(spots), NO_CRYSTAL, dtype=np.int64)
    hkl = np.zeros((len(spots), 3), dtype=np.int64)
    for number, (cell, centring) in enumerate(zip(cells, centrings, strict=True)):
        indices = miller_indices(spots, cell, centring)
        if fractional:
            off = primitive_basis(cell, centring) @ cell
            distance = np.linalg.norm(spots @ off.T - np.rint(spots @ off.T), axis=1)
        else:
            distance = np.linalg.norm(spots - indices @ reciprocal(cell), axis=1)
        mine = (crystal == NO_CRYSTAL) & (distance < threshold)
        crystal[mine], hkl[mine] = number, indices[mine]
    return crystal, hkl


def excitation_errors(hkl: NDArray[np.int64], cell: Array, wavelength: float) -> Array:
    """Distances (n,) of reflections from the Ewald sphere, 1/angstrom, positive outside; the beam runs along +z."""
    beam = np.array([0.0, 0.0, 1 / wavelength])
    return np.asarray(np.linalg.norm(hkl @ reciprocal(cell) + beam, axis=1) - 1 / wavelength)
