"""The plan of a search for given input cells: vector lengths to sample, and ways to lay each cell on a candidate."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..parameters import Parameters
from .basis import PrimitiveCells, as_primitive
from .cell import Array, check_cell, other_settings, shortest_reciprocal, symmetry_operators
from .chance import level as chance
from .misfit.equations import Spread

SYMMETRY_TOLERANCE = 1e-3
"""Relative tolerance of the symmetry that defines the canonical setting, for a search that itself uses no symmetry."""

MOST_PLANS = 256
"""Largest number of search plans that are kept; beyond it the oldest ones are dropped, and remade when needed."""


def half_sphere(n_points: int) -> Array:
    """Nearly uniform directions on the half sphere z >= 0, along a golden-angle spiral.

    Parameters
    ----------
    n_points
        Number of directions, at least 2.

    Returns
    -------
    (n_points, 3) float64
        Unit vectors; the first is +z.
    """
    p = np.arange(n_points, dtype=np.float64)
    z = 1 - p / (n_points - 1)
    radius = np.sqrt(np.maximum(0, 1 - z * z))
    phi = np.pi * np.mod(p * (3 - np.sqrt(5)), 2)
    return np.stack([radius * np.cos(phi), radius * np.sin(phi), z], axis=1)


@dataclass(frozen=True)
class SearchPlan:
    """The search for M input cells, with G groups of vector lengths and S seeds.

    A seed is one way to lay an input cell on a candidate vector v: with one of the cell's vectors along +v or -v.

    Attributes
    ----------
    cells : (M, 3, 3) float64
        Primitive input cells, rows a, b, c, angstrom.
    lengths : (G,) float64
        Distinct vector lengths that are sampled, angstrom, descending.
    input_cell : (S,) int64
        Number of the input cell of each seed.
    axis : (S,) int64
        Which vector of the input cell lies along the candidate: 0, 1 or 2 for a, b or c.
    group : (S,) int64
        Length group of the candidates on which the seed is laid.
    n_angles : (S,) int64
        Number of angles about the candidate at which the seed is tried.
    turn : (S,) float64
        Range of these angles in radians: 2 pi, divided by the order of the axis if symmetry is used.
    base : (S, 3, 3) float64
        The seed's cell at angle 0 on the axes (u, w, v/|v|) of its candidate v, rows a, b, c, angstrom.
    shortest_reciprocal : (M,) float64
        Length of the shortest vector of each input cell's reciprocal lattice, 1/angstrom.
    operators : tuple of (n, 3, 3) int64
        Proper symmetry operators of each input cell's lattice.
    settings : tuple of (n, 3, 3) int64
        Other settings of each input cell, from which a crystal's setting is to be distinguished; empty if the
        parameters do not request it.
    spread : Spread or None
        Learned scatter of residuals and strains that the last fit assumes; None if it has not been learned.
    """

    cells: PrimitiveCells
    lengths: Array
    input_cell: NDArray[np.int64]
    axis: NDArray[np.int64]
    group: NDArray[np.int64]
    n_angles: NDArray[np.int64]
    turn: Array
    base: Array
    shortest_reciprocal: Array
    operators: tuple[NDArray[np.int64], ...]
    settings: tuple[NDArray[np.int64], ...]
    spread: Spread | None = None

    @cached_property
    def volumes(self) -> Array:
        """Volumes (M,) of the input cells, cubic angstrom."""
        return np.asarray(np.abs(np.linalg.det(self.cells)))

    @cached_property
    def orders(self) -> Array:
        """Number (M,) of proper rotations in the symmetry of each input cell's lattice."""
        return np.array([float(len(operators)) for operators in self.operators])

    @cached_property
    def radii(self) -> Array:
        """Radii of acceptance (M, T) that are tried for cells of each input cell, ascending, 1/angstrom."""
        return chance.radii(self.shortest_reciprocal)

    @cached_property
    def largest_cutoffs(self) -> Array:
        """Largest distance (M,) within which a crystal of each input cell may explain its spots, 1/angstrom."""
        return chance.LARGEST_SHARE * self.shortest_reciprocal

    @property
    def origin_radius(self) -> float:
        """Distance from the origin, 1/angstrom, below which a spot is not a reflection of any input cell.

        It is the length of the shortest reciprocal lattice vector. Among several input cells the shortest of these
        vectors counts, so that no cell loses a reflection; but the distance is at least the largest radius of
        acceptance, so that no cell counts spots at the origin.
        """
        return float(max(self.shortest_reciprocal.min(), self.radii.max()))

    @cached_property
    def angle_tables(self) -> NDArray[np.float32]:
        """Components along u and w of the two cell vectors that follow each seed's axis, at every angle.

        Returns
        -------
        (S, 4, A) float32
            Components in angstrom for A angles, the largest number of any seed: those along u and w of the vector
            after the axis, then those of the next vector.
        """
        largest = int(self.n_angles.max())
        tables = np.zeros((len(self.base), 4, largest), np.float32)
        for s, axis in enumerate(self.axis):
            t = self.turn[s] * np.arange(largest) / self.n_angles[s]
            for i in range(2):
                x, y, _ = self.base[s, (axis + 1 + i) % 3]
                tables[s, 2 * i] = x * np.cos(t) - y * np.sin(t)
                tables[s, 2 * i + 1] = x * np.sin(t) + y * np.cos(t)
        return tables

    @classmethod
    def make(cls, cells: PrimitiveCells, p: Parameters, spread: Spread | None = None) -> SearchPlan:
        """Plan the search for primitive input cells.

        Parameters
        ----------
        cells : (M, 3, 3)
            Primitive input cells, rows a, b, c, angstrom.
        p
            Parameters of the method.
        spread
            Scatter of residuals and strains that the run has learned, if any.

        Raises
        ------
        CellError
            If a cell is singular or not finite.
        """
        cells = as_primitive(np.stack([check_cell(cell) for cell in cells]))
        groups, kept = _length_groups(np.linalg.norm(cells, axis=2), p)
        operators = tuple(symmetry_operators(cell, p.symmetry_tolerance or SYMMETRY_TOLERANCE) for cell in cells)
        seeds = [seed for m in range(len(cells)) for seed in _seeds(cells[m], m, groups[m], operators[m], p)]
        used = sorted({int(seed[1]) for seed in seeds})
        columns = list(zip(*seeds, strict=True))
        return cls(
            cells=cells,
            lengths=kept[used],
            input_cell=np.array(columns[0], dtype=np.int64),
            axis=np.array(columns[5], dtype=np.int64),
            group=np.searchsorted(used, np.array(columns[1])).astype(np.int64),
            n_angles=np.array(columns[2], dtype=np.int64),
            turn=np.array(columns[3]),
            base=np.stack(columns[4]),
            shortest_reciprocal=np.array([shortest_reciprocal(cell) for cell in cells]),
            operators=operators,
            settings=tuple(
                other_settings(cell, p.setting_tolerance) if p.setting_tolerance else np.zeros((0, 3, 3), np.int64)
                for cell in cells
            ),
            spread=spread,
        )


def shared_plan(
    given: PrimitiveCells, used: PrimitiveCells, p: Parameters, spread: Spread | None
) -> tuple[PrimitiveCells, SearchPlan]:
    """The given input cells, and the search plan for the cells that are used in their place.

    Both are the same objects in all calls with equal arguments, because a backend keeps what it has made of them: a
    run with the cells of an earlier one starts with the recordings of a GPU.

    Parameters
    ----------
    given, used : (M, 3, 3)
        Primitive input cells as given and as learned, rows a, b, c, angstrom.
    p, spread
        See `SearchPlan.make`.
    """
    return _plan_of(*(np.asarray(cells, np.float64).tobytes() for cells in (given, used)), p, spread)


@functools.lru_cache(MOST_PLANS)
def _plan_of(given: bytes, used: bytes, p: Parameters, spread: Spread | None) -> tuple[PrimitiveCells, SearchPlan]:
    first, second = (as_primitive(np.frombuffer(data).reshape(-1, 3, 3)) for data in (given, used))
    return first, SearchPlan.make(second, p, spread)


def _length_groups(lengths: Array, p: Parameters) -> tuple[NDArray[np.int64], Array]:
    """Length group (M, 3) of each vector, and the descending group lengths; a group spans at most the threshold."""
    groups = np.zeros(lengths.shape, dtype=np.int64)
    kept: list[float] = []
    for flat in np.argsort(-lengths, axis=None, kind="stable"):
        length = float(lengths.flat[flat])
        if not kept or kept[-1] - length > p.length_threshold:
            kept.append(length)
        groups.flat[flat] = len(kept) - 1
    return groups, np.array(kept)


Seed = tuple[int, int, int, float, Array, int]
"""Input cell, length group, number of angles, turn, base and axis of a seed; see `SearchPlan`."""


def _seeds(cell: Array, m: int, groups: NDArray[np.int64], operators: NDArray[np.int64], p: Parameters) -> list[Seed]:
    """Seeds of the input cell with number m, without those that a symmetry of its lattice maps onto an earlier seed."""
    identity = np.eye(3, dtype=np.int64)
    if not p.symmetry_tolerance:
        operators = identity[None]
    axes = range(3) if p.redundant_calculations else [int(np.argmax(np.linalg.norm(cell, axis=1)))]
    seeds: list[Seed] = []
    done: set[bytes] = set()
    for axis in axes:
        for sign in (1, -1):
            vector = sign * identity[axis]
            if vector.tobytes() in done:
                continue
            images = vector @ operators
            done.update(image.tobytes() for image in images)
            order = int((images == vector).all(axis=1).sum())
            n_angles = -(-p.angles // order)
            seeds.append((m, int(groups[axis]), n_angles, 2 * np.pi / order, _cell_on_axis(cell, axis, sign), axis))
    return seeds


def _cell_on_axis(cell: Array, axis: int, sign: int) -> Array:
    """The cell rotated so that sign times its vector `axis` points along +z and the next vector has y = 0 and x > 0."""
    z = sign * cell[axis] / np.linalg.norm(cell[axis])
    following = cell[(axis + 1) % 3]
    x = following - (following @ z) * z
    x /= np.linalg.norm(x)
    return np.asarray(cell @ np.stack([x, np.cross(z, x), z], axis=1))
