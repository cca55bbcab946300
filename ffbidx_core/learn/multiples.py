"""Is the cell a multiple of the true one, or a part of it? The half-integer test, and the same with thirds.

If the indices of nearly all indexed spots have an even sum f.h (f of zeros and ones), the lattice has the vector
f.(a, b, c) / 2 too: the cell is twice too large. If spots that are not indexed gather at f / 2 between the lattice
points, the lattice lacks vectors: the cell is half the true one, or its centring forbids what is there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array, cell_parameters, reciprocal, shortest_reciprocal
from ..model.crystal import Crystals
from ..model.lattice import CENTRINGS, primitive_basis, shortest_basis
from ..model.misfit.equations import LARGEST_SHARE, RADIUS

FEWEST_SPOTS = 100
"""Indexed spots from which on their indices say something."""
RARE = 0.2
"""Indices that should be as frequent as others and are rarer than this share of that are none of the lattice."""
CLEARLY = 8.0
"""Standard deviations above chance from which on spots between the lattice points are no accident."""
SHARE = 0.05
"""Spots between the lattice points, over the indexed ones, from which on they matter."""
N_CONTROLS = 40


@dataclass(frozen=True)
class Multiple:
    """A cell that is too large or too small.

    Attributes
    ----------
    too_large : bool
    vector : (3,) int64;  order : int
        f, and 2 or 3, on the primitive cell.
    n_spots : int
        Indexed spots whose sum f.h is no multiple of the order, or unindexed ones at f / order.
    expected : float
        How many there would be: of a right cell, or by chance.
    of : int
        Of so many indexed, or unindexed, spots.
    significance : float
        Standard deviations between the two.
    cell : (3, 3) float64
        The primitive cell that would be right.
    """

    too_large: bool
    vector: NDArray[np.int64]
    order: int
    n_spots: int
    expected: float
    of: int
    significance: float
    cell: Array

    def place(self, basis: Array) -> Array:
        """f / order (3,) in terms of the conventional cell, or of its indices; `basis` makes it the primitive one."""
        return np.asarray(self.vector @ basis if self.too_large else np.linalg.solve(basis, self.vector)) / self.order


def functionals() -> list[tuple[NDArray[np.int64], int]]:
    """The 7 vectors of zeros and ones, and the 13 with thirds, one of each pair f, -f; each with its order."""
    found = []
    for order in (2, 3):
        for f in itertools.product(range(order), repeat=3):
            first = next((value for value in f if value), 0)
            if first == 1:
                found.append((np.array(f), order))
    return found


def find_multiple(crystals: Crystals, reference: int) -> Multiple | None:
    """The clearest sign that a reference is a multiple or a part of the true cell, by its crystals."""
    rows, crystal, indices, distance = _nearest(crystals)
    radius = min(RADIUS, LARGEST_SHARE * shortest_reciprocal(crystals.references[reference]))
    near = distance < radius
    mine = crystals.input_cell[crystal] == reference
    indexed = np.bincount(rows[near], minlength=len(crystals.spots))
    hkl = np.rint(indices[near & mine & (indexed[rows] == 1)]).astype(np.int64)
    found = _too_large(hkl[(hkl != 0).any(axis=1)], crystals.references[reference])
    if found is not None:
        return found
    left = mine & (indexed[rows] == 0)
    stars = reciprocal(crystals.cells)[crystal[left]]
    return _too_small(indices[left], stars, radius / 2, len(hkl), crystals.references[reference])


def _nearest(crystals: Crystals) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]:
    """Each crystal with each spot of its frame: the rows of both, the indices (n, 3), not rounded, and how far off."""
    rows, crystal = crystals.pairs()
    indices = np.einsum("nij,nj->ni", crystals.cells[crystal], crystals.spots[rows])
    off = np.einsum("ni,nij->nj", indices - np.rint(indices), reciprocal(crystals.cells)[crystal])
    return rows, crystal, indices, np.linalg.norm(off, axis=1)


def _too_large(hkl: NDArray[np.int64], cell: Array) -> Multiple | None:
    """The functional by which fewest of the indices (n, 3) are no multiples, where those are too few."""
    if len(hkl) < FEWEST_SPOTS:
        return None
    best: Multiple | None = None
    for f, order in functionals():
        odd = int((hkl @ f % order != 0).sum())
        expected = len(hkl) * (1 - 1 / order)
        significance = (expected - odd) / np.sqrt(expected / order)
        if odd < RARE * expected and (best is None or odd / expected < best.n_spots / best.expected):
            best = Multiple(True, f, order, odd, expected, len(hkl), float(significance), with_vector(cell, f, order))
    return best


def without_multiples(hkl: NDArray[np.int64], cell: Array) -> tuple[Array, int]:
    """The cell that is left when everything is taken out of a primitive one (3, 3) that makes it too large.

    Parameters
    ----------
    hkl : (n, 3)
        Indices of indexed spots.

    Returns
    -------
    cell : (3, 3) float64
        A primitive cell.
    times : int
        By how much the volume of `cell` is too large; 1 where it is not.
    """
    times = 1
    while (found := _too_large(hkl, cell)) is not None:
        hkl = np.rint(hkl @ (found.cell @ np.linalg.inv(cell)).T).astype(np.int64)
        cell, times = found.cell, times * found.order
    return cell, times


def _too_small(indices: Array, stars: Array, radius: float, n_indexed: int, cell: Array) -> Multiple | None:
    """The place between the lattice points where most of the unindexed spots (n, 3) gather."""

    def count(place: Array) -> int:
        """Spots at a place or at its opposite."""
        near = np.zeros(len(indices), dtype=bool)
        for sign in (1, -1):
            off = indices - sign * place
            off = np.einsum("ni,nij->nj", off - np.rint(off), stars)
            near |= (off * off).sum(axis=1) < radius**2
        return int(near.sum())

    # As many places where no cell has spots say what chance does; the opposite of a half is the half itself.
    chance = np.mean([count(place) for place in _controls()])
    best: Multiple | None = None
    for f, order in functionals():
        n, expected = count(f / order), float(chance) / (2 if order == 2 else 1)
        significance = (n - expected) / np.sqrt(expected + 1)
        enough = significance > CLEARLY and n - expected > SHARE * n_indexed
        if enough and (best is None or significance > best.significance):
            best = Multiple(
                False, f, order, n, expected, len(indices), float(significance), without_vectors(cell, f, order)
            )
    return best


def _controls() -> Array:
    """Places spread evenly, none of them near a lattice point, a half or a third."""
    steps = np.arange(1, 400)[:, None] * np.array([0.8191725134, 0.6710436067, 0.5497004779]) % 1
    special = np.array([0, 1 / 3, 1 / 2, 2 / 3, 1])
    far = np.abs(steps[:, :, None] - special).min(axis=2).max(axis=1) > 0.07
    return np.asarray(steps[far][:N_CONTROLS])


def with_vector(cell: Array, f: NDArray[np.int64], order: int) -> Array:
    """The primitive cell of the lattice that has f.cell / order besides the vectors of a cell."""
    basis = np.eye(3)
    basis[int(np.flatnonzero(f == 1)[0])] = f / order
    return np.asarray(shortest_basis(basis @ cell) @ basis @ cell)


def without_vectors(cell: Array, f: NDArray[np.int64], order: int) -> Array:
    """The primitive cell of the vectors n.cell of a lattice for which f.n is a multiple of the order."""
    i = int(np.flatnonzero(f == 1)[0])
    basis = np.eye(3)
    basis[:, i] = -f
    basis[i] = 0
    basis[i, i] = order
    return np.asarray(shortest_basis(basis @ cell) @ basis @ cell)


def as_conventional(primitive: Array, given: Array, order: int) -> tuple[Array, str]:
    """A primitive cell as a conventional one like a given cell: its vectors times or through the order, and a centring.

    Returns
    -------
    parameters : (6,) float64
    centring : str
        P with the primitive cell's own parameters where no conventional one is alike.
    """
    factors = sorted(
        itertools.product((1.0, float(order), 1 / order), repeat=3), key=lambda row: sum(factor != 1 for factor in row)
    )
    for factor in factors:
        cell = np.array(factor)[:, None] * given
        for centring in [centring for centring in CENTRINGS if centring != "R"]:
            change = primitive_basis(cell, centring) @ cell @ np.linalg.inv(primitive)
            whole = np.abs(change - np.rint(change)).max() < 1e-6
            if whole and abs(abs(np.linalg.det(change)) - 1) < 1e-6:
                return cell_parameters(cell), centring
    return cell_parameters(primitive), "P"
