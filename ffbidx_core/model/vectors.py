"""Vectors in three dimensions: the matrix of the vector product, rotation matrices, and axes across a ray."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from .cell import Array
from .xp import XpArray

ACROSS = 0.6
"""Component along x of a ray's unit vector below which the ray's first axis is the vector product with x."""


def cross_matrix(vectors: XpArray, xp: ModuleType = np) -> XpArray:
    """The matrices M (..., 3, 3) of vectors v (..., 3) such that M w is the vector product v x w."""
    x, y, z = xp.moveaxis(xp.asarray(vectors), -1, 0)
    o = xp.zeros_like(x)
    rows = ((o, -z, y), (z, o, -x), (-y, x, o))
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def axes_of_rays(x: XpArray, y: XpArray, z: XpArray, xp: ModuleType = np) -> list[list[XpArray]]:
    """Three perpendicular unit vectors for each ray: two across the ray, then one along the ray.

    The first vector is the vector product of the ray with x, or with y if the ray is close to x; the second is the
    vector product of the ray with the first. The last fit weights residuals along these axes, which must therefore be
    the same in all backends.

    Parameters
    ----------
    x, y, z : (...) float64
        Components of the rays, whose length must not be 0.

    Returns
    -------
    list
        Components x, y and z, (...) float64, of the three unit vectors.
    """
    length = xp.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    across_x = xp.abs(x) < ACROSS
    length = xp.sqrt(z * z + xp.where(across_x, y * y, x * x))
    a = xp.where(across_x, 0.0, -z) / length
    b = xp.where(across_x, z, 0.0) / length
    c = xp.where(across_x, -y, x) / length
    return [[a, b, c], [y * c - z * b, z * a - x * c, x * b - y * a], [x, y, z]]


def rotations(vectors: Array) -> Array:
    """Rotation matrices (..., 3, 3) for rotation vectors (..., 3) in radian, by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    m = cross_matrix(vectors)
    # The factors are sin(x) / x and (1 - cos(x)) / x^2, in forms that are defined at x = 0.
    return np.asarray(np.eye(3) + np.sinc(angle / np.pi) * m + np.sinc(angle / (2 * np.pi)) ** 2 / 2 * (m @ m))
