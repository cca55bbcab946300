"""Enumeration of the lattice points near the Ewald sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cell import Array, reciprocal


def indices_near_sphere(cell: Array, wavelength: float, q_max: float, width: float) -> NDArray[np.int64]:
    """Miller indices of the lattice points within `width` of the Ewald sphere and `q_max` of the origin.

    A row of the reciprocal lattice, along which two indices are constant, meets a sphere at the roots of a quadratic
    equation. The work therefore grows with the number of rows, not with the number of lattice points.

    Parameters
    ----------
    cell : (3, 3)
        Oriented cell, rows a, b, c, angstrom. The beam runs along +z.
    wavelength : float
        Wavelength of the beam, angstrom.
    q_max : float
        Largest distance of a lattice point from the origin, 1/angstrom.
    width : float
        Largest distance of a lattice point from the Ewald sphere, 1/angstrom.

    Returns
    -------
    (n, 3) int64
        Miller indices h, k, l.
    """
    basis = reciprocal(cell)
    along = int(np.argmin(np.linalg.norm(basis, axis=1)))
    across = [i for i in range(3) if i != along]
    largest = np.floor(q_max * np.linalg.norm(cell, axis=1)).astype(np.int64)
    row_indices = np.stack(
        np.meshgrid(*(np.arange(-largest[i], largest[i] + 1) for i in across), indexing="ij"), axis=-1
    ).reshape(-1, 2)

    starts, step = row_indices @ basis[across], basis[along]
    middle, half = _chord(starts, step, q_max)
    inside = half >= 0
    row_indices, starts, middle, half = row_indices[inside], starts[inside], middle[inside], half[inside]
    beam = np.array([0.0, 0.0, 1 / wavelength])
    centre, outer = _chord(starts + beam, step, 1 / wavelength + width)
    inner = np.maximum(_chord(starts + beam, step, 1 / wavelength - width)[1], 0)

    lowest, highest = middle - half, middle + half
    near = np.ceil(np.maximum(centre - outer, lowest)), np.floor(np.minimum(centre - inner, highest))
    # A row that only grazes the shell meets it in one stretch, given here as two halves that must share no point.
    beyond = np.floor(centre - inner) + 1
    far = np.maximum(np.ceil(np.maximum(centre + inner, lowest)), beyond), np.floor(np.minimum(centre + outer, highest))
    met = outer >= 0
    first, last = (np.concatenate([a[met], b[met]]).astype(np.int64) for a, b in zip(near, far, strict=True))
    rows, values = _stretches(first, last)
    indices = np.empty((len(values), 3), dtype=np.int64)
    indices[:, across] = np.concatenate([row_indices[met]] * 2)[rows]
    indices[:, along] = values
    return indices


def _chord(starts: Array, step: Array, radius: float) -> tuple[Array, Array]:
    """Middle and half length, in steps, of each line's chord of a sphere about the origin; half length -1 if none."""
    squared = step @ step
    middle = -(starts @ step) / squared
    nearest = np.einsum("ij,ij->i", starts, starts) - middle**2 * squared
    room = (radius**2 - nearest) / squared
    return middle, np.where(room >= 0, np.sqrt(np.maximum(room, 0)), -1)


def _stretches(first: NDArray[np.int64], last: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The stretch of each integer, and the integer itself, for all integers in the stretches first..last."""
    counts = np.maximum(last - first + 1, 0)
    rows = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, first[rows] + position
