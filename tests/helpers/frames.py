"""A small generator of stills with known crystals, independent of the project's simulator."""

import functools

import numpy as np

from ffbidx_core.model.cell import cell_from_parameters, symmetry_operators

# For each crystal system, a space group whose lattice has no higher symmetry, and a cell.
SYSTEMS = {
    "triclinic": ("P 1", (31, 42, 53, 75, 83, 68)),
    "monoclinic": ("P 1 2 1", (31, 42, 53, 90, 103, 90)),
    "orthorhombic": ("P 2 2 2", (31, 42, 53, 90, 90, 90)),
    "tetragonal": ("P 4 2 2", (79, 79, 38, 90, 90, 90)),
    "trigonal": ("R 3 2:R", (61, 61, 61, 78, 78, 78)),
    "hexagonal": ("P 6 2 2", (79, 79, 38, 90, 90, 120)),
    "cubic": ("P 4 3 2", (61, 61, 61, 90, 90, 90)),
}


def cell_of(system: str) -> np.ndarray:
    """The cell of a crystal system, rows a, b, c, angstrom."""
    return cell_from_parameters(SYSTEMS[system][1])


CELL = cell_of("monoclinic")
OPERATORS = symmetry_operators(CELL, 1e-3)
QUICK = {"num_halfsphere_points": 4096}
"""Parameters that suffice for clear frames of this cell."""


def rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    """The rotation matrix R (Rodrigues' formula) for row vectors, so that v becomes v R."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross).T


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A uniformly distributed random rotation."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.linalg.det(q)


@functools.cache
def indices(h_max: int, k_max: int, l_max: int) -> np.ndarray:
    """All Miller indices (3, n) up to these in absolute value."""
    ranges = [np.arange(-limit, limit + 1.0) for limit in (h_max, k_max, l_max)]
    return np.stack(np.meshgrid(*ranges, indexing="ij")).reshape(3, -1)


def still(
    cell: np.ndarray, rng: np.random.Generator, n_spots: int = 80, *, d_min: float = 2.0, noise: float = 2e-4
) -> np.ndarray:
    """Spots of an oriented cell (rows a, b, c) on the Ewald sphere: (n, 3) float32, 1/angstrom, in random order.

    Wavelength 1 angstrom, beam along +z; `noise` is the standard deviation of each coordinate, 1/angstrom.
    """
    reciprocal = np.linalg.inv(cell).T
    q = reciprocal.T @ indices(*np.ceil(np.linalg.norm(cell, axis=1) / d_min).astype(int).tolist())
    squared = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
    excitation = np.abs(squared / 2 + q[2])
    # The spots nearest to the sphere are taken, so every frame has the requested number.
    excitation[(squared == 0) | (squared > d_min**-2)] = np.inf
    q = rng.permutation(q[:, np.argpartition(excitation, n_spots)[:n_spots]].T)
    return (q + noise * rng.normal(size=q.shape)).astype(np.float32)


def false_spots(rng: np.random.Generator, n_spots: int, *, d_min: float = 2.0) -> np.ndarray:
    """Spots (n, 3) float32 at random positions on the Ewald sphere, 1/angstrom."""
    phi, q = rng.uniform(0, 2 * np.pi, n_spots), rng.uniform(0.05, 1 / d_min, n_spots)
    z = -q * q / 2
    radius = np.sqrt(q * q - z * z)
    return np.stack([radius * np.cos(phi), radius * np.sin(phi), z], axis=1).astype(np.float32)


def frame(seed: int = 0, n_spots: int = 60, cell: np.ndarray = CELL) -> tuple[np.ndarray, np.ndarray]:
    """The oriented cell and the spots (n, 3) of a clear frame."""
    rng = np.random.default_rng(seed)
    oriented = cell @ random_rotation(rng)
    return oriented, still(oriented, rng, n_spots)


def frames_of(n: int, n_spots: int = 40) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Spots (N, 3) and offsets of n clear frames, and the spots of each; frame i has n_spots + 5 i of them."""
    pieces = [frame(seed, n_spots + 5 * seed)[1] for seed in range(n)]
    return np.concatenate(pieces), np.cumsum([0, *(len(rows) for rows in pieces)]), pieces


def published_spots(rows: np.ndarray) -> np.ndarray:
    """Convert spots (K, 3) to the published layout (3, K)."""
    return np.ascontiguousarray(rows.T)


def published_cells(*cells: np.ndarray) -> np.ndarray:
    """Convert cells with rows a, b, c to the published layout (3, 3M)."""
    return np.ascontiguousarray(np.concatenate(cells).T)


def cells_of_published(array: np.ndarray) -> np.ndarray:
    """Convert cells from the published layout (3, 3N) to (N, 3, 3), rows a, b, c."""
    return array.T.reshape(-1, 3, 3)
