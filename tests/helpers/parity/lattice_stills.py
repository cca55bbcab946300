"""Stills for the parity tests: lattice points near the Ewald sphere, with noise and false spots.

They are made by independent code, so the tests do not rely on the project's simulation.
"""

import numpy as np

from ffbidx_core.model.cell import cell_from_parameters
from tests.helpers.frames import rotation

PARAMETERS = {
    "triclinic": (31, 42, 53, 75, 83, 68),
    "monoclinic": (31, 62, 43, 90, 103, 90),
    "orthorhombic": (41, 52, 73, 90, 90, 90),
    "tetragonal": (79, 79, 38, 90, 90, 90),
    "trigonal": (61, 61, 61, 78, 78, 78),
    "hexagonal": (70, 70, 55, 90, 90, 120),
    "cubic": (68, 68, 68, 90, 90, 90),
}
CELLS = {system: cell_from_parameters(values) for system, values in PARAMETERS.items()}


def random_rotation(rng):
    """A uniformly distributed rotation matrix (3, 3)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def small_rotation(rng, degrees):
    """A rotation by an angle in degrees about a random axis."""
    return rotation(rng.normal(size=3), degrees).T


def lattice_spots(cell, *, d_min=2.0, wavelength=1.0, width=0.0015):
    """Reciprocal-lattice points (n, 3) within `width` (1/angstrom) of the Ewald sphere, without the origin."""
    largest = np.ceil(np.linalg.norm(cell, axis=1) / d_min).astype(int)
    indices = np.indices(2 * largest + 1).reshape(3, -1).T - largest
    points = indices @ np.linalg.inv(cell).T
    resolution = np.sqrt((points**2).sum(axis=1))
    from_sphere = np.sqrt(resolution**2 + 2 / wavelength * points[:, 2] + wavelength**-2) - 1 / wavelength
    return points[(np.abs(from_sphere) < width) & (resolution > 1e-3) & (resolution < 1 / d_min)]


def random_spots(rng, n, d_min=2.0):
    """Spots (n, 3) that belong to no lattice, uniformly distributed in a sphere."""
    directions = rng.normal(size=(n, 3))
    radius = rng.uniform(0.02**3, d_min**-3, size=(n, 1)) ** (1 / 3)
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def still(rng, cell, n, *, false=0.2, noise=3e-4, d_min=2.0, width=0.0015):
    """Spots (n, 3) float32 of a crystal in a random orientation, and its oriented cell (3, 3)."""
    oriented = cell @ random_rotation(rng)
    true = rng.permutation(lattice_spots(oriented, d_min=d_min, width=width))[: n - round(false * n)]
    true = true + rng.normal(scale=noise, size=true.shape)
    spots = np.concatenate([true, random_spots(rng, n - len(true), d_min)])
    return rng.permutation(spots).astype(np.float32), oriented


def small_strain(rng, size):
    """A random symmetric matrix whose largest eigenvalue is `size`."""
    strain = rng.normal(size=(3, 3))
    strain = strain + strain.T
    return size * strain / np.linalg.norm(strain, 2)


def one_frame(backend, spots):
    """A batch of one frame."""
    return backend.load(spots, np.array([0, len(spots)]))
