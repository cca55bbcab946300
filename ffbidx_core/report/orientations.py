"""The test whether crystals prefer an orientation: the directions of their axes are compared with random ones.

A direction and its opposite count as the same. The directions of the half sphere around the beam (+z) are mapped to a
disc by Lambert's equal-area projection, r = sqrt(1 - z). Ring i of R has 6i - 3 sectors, so all 3 R^2 bins have the
same area, and random directions fill them evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.basis import ConventionalCells
from ..model.cell import Array

MOST_CRYSTALS = 10_000
"""Largest number of crystals that are used, taken evenly from the run."""
FEWEST_CRYSTALS = 20
POLES_PER_BIN = 12
MOST_RINGS = 12
RANDOM_SETS = 50
"""Number of sets of random orientations for comparison."""
DEVIATIONS = 5
"""Standard deviations by which preferred directions are more uneven than random ones; at most one in some thousand
random runs is taken as preferred."""


@dataclass(frozen=True)
class PoleFigure:
    """The density of the directions of an axis.

    Attributes
    ----------
    axis : str
        Name such as `a, b`: axes that are equal by the symmetry of the lattice are counted together.
    n_crystals : int
        Number of crystals.
    rings : int
        Number of rings of bins.
    density : (3 rings^2,) float64
        Density relative to random orientations, in the order of `wedges`.
    random_strongest : float
        Highest density of random orientations of the same number of crystals.
    preferred : bool
        Whether the density is more uneven than expected by chance.
    """

    axis: str
    n_crystals: int
    rings: int
    density: Array
    random_strongest: float
    preferred: bool

    @property
    def strongest(self) -> float:
        """The highest density."""
        return float(self.density.max())


def pole_figures(cells: Array, input_cell: ConventionalCells, operators: NDArray[np.int64]) -> list[PoleFigure]:
    """The pole figures of the axes of a cell that differ by symmetry; none for very few crystals.

    Parameters
    ----------
    cells : (k, 3, 3)
        Oriented cells of the crystals, rows a, b, c, angstrom.
    input_cell : (3, 3)
        The input cell of the crystals, rows a, b, c, angstrom.
    operators : (n, 3, 3) int
        Symmetry operators of its lattice, as returned by `symmetry_operators`.
    """
    if len(cells) < FEWEST_CRYSTALS:
        return []
    cells = cells[:: -(-len(cells) // MOST_CRYSTALS)].astype(np.float64)
    rng = np.random.default_rng(0)
    return [
        _pole_figure(name, _unit(directions @ cells), _unit(directions @ input_cell), rng)
        for name, directions in equal_axes(operators)
    ]


def equal_axes(operators: NDArray[np.int64]) -> list[tuple[str, NDArray[np.int64]]]:
    """The axes in groups that are equal by symmetry, each with all its directions (m, 3) in terms of a, b, c.

    Only one of a direction and its opposite is kept.
    """
    groups: dict[bytes, tuple[str, NDArray[np.int64]]] = {}
    for i, name in enumerate("abc"):
        rows = operators[:, i]
        leading = np.take_along_axis(rows, np.argmax(rows != 0, axis=1)[:, None], axis=1)
        directions = np.unique(rows * np.sign(leading), axis=0)
        before = groups.get(directions.tobytes())
        groups[directions.tobytes()] = (f"{before[0]}, {name}" if before else name, directions)
    return list(groups.values())


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _pole_figure(axis: str, poles: Array, directions: Array, rng: np.random.Generator) -> PoleFigure:
    """The pole figure of directions (k, m, 3), compared with randomly rotated copies of (m, 3)."""
    rings = int(np.clip(np.sqrt(poles.shape[0] * poles.shape[1] / (3 * POLES_PER_BIN)), 2, MOST_RINGS))
    density = _density(poles, rings)
    random = np.stack([_density(directions @ random_rotations(len(poles), rng), rings) for _ in range(RANDOM_SETS)])
    unevenness = (random**2).mean(axis=1)
    preferred = bool((density**2).mean() > unevenness.mean() + DEVIATIONS * unevenness.std())
    return PoleFigure(axis, len(poles), rings, density, float(random.max()), preferred)


def random_rotations(n: int, rng: np.random.Generator) -> Array:
    """Uniformly distributed rotations (n, 3, 3), from quaternions."""
    w, x, y, z = _unit(rng.normal(size=(n, 4))).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _density(poles: Array, rings: int) -> Array:
    n_bins = 3 * rings**2
    counts = np.bincount(bins_of(poles.reshape(-1, 3), rings), minlength=n_bins)
    return np.asarray(counts * (n_bins / counts.sum()))


def bins_of(poles: Array, rings: int) -> NDArray[np.int64]:
    """The bin of each direction (n, 3), given as unit vectors."""
    x, y, z = (poles * np.where(poles[:, 2:] < 0, -1, 1)).T
    ring = np.minimum((np.sqrt(np.maximum(1 - z, 0)) * rings).astype(np.int64), rings - 1)
    sectors = 6 * ring + 3
    turn = np.arctan2(y, x) / (2 * np.pi) % 1
    return np.asarray(3 * ring**2 + np.minimum((turn * sectors).astype(np.int64), sectors - 1))


def wedges(rings: int) -> Array:
    """The bins (3 rings^2, 4) on a disc of radius 1: inner and outer radius, first and last angle in degrees."""
    rows = []
    for ring in range(rings):
        turns = np.linspace(0, 360, 6 * ring + 4)
        radii = np.broadcast_to([[ring / rings, (ring + 1) / rings]], (len(turns) - 1, 2))
        rows.append(np.column_stack([radii, turns[:-1], turns[1:]]))
    return np.concatenate(rows)
