"""Testing whether a cell is a multiple or a part of the true one, by half-integer indices and by thirds.

If the indices of nearly all indexed spots have an even sum f.h (f of zeros and ones), the lattice also has the vector
f.(a, b, c) / 2: the cell is twice too large. If spots that are not indexed gather at f / 2 between the lattice points,
the lattice lacks vectors: the cell is half the true one, or its centring forbids existing reflections.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.basis import (
    CENTRINGS,
    ChangeOfBasis,
    ConventionalCells,
    PrimitiveCells,
    as_given,
    as_primitive,
    shortest_basis,
)
from ..model.cell import Array, cell_parameters, reciprocal, shortest_reciprocal
from ..model.crystal import Crystals
from ..model.misfit.equations import LARGEST_SHARE, RADIUS
from ..model.records.doubt import at_least

ENOUGH_SPOTS = 100
"""Number of indexed spots from which the share of their indices that are multiples decides."""
SURE = 1e-8
"""Probability, below which fewer spots decide, that so many of their indices are multiples in the right cell.

Zeros do not count there: few spots may all lie in one layer of the lattice.
"""
RARE = 0.2
"""Indices with less than this share of their expected frequency do not belong to the lattice."""
CLEARLY = 8.0
"""Significance, in standard deviations above chance, of spots between the lattice points."""
SHARE = 0.05
"""Smallest ratio of spots between the lattice points to indexed spots that matters."""
N_CONTROLS = 40


@dataclass(frozen=True)
class Multiple:
    """The finding that a cell is too large or too small.

    Attributes
    ----------
    too_large : bool
        Whether the cell is too large; otherwise it is too small.
    vector : (3,) int64;  order : int
        The vector f on the primitive cell, and the order 2 or 3.
    n_spots : int
        Number of indexed spots whose sum f.h is no multiple of the order, or of unindexed spots at f / order.
    expected : float
        Number expected for a correct cell, or by chance.
    of : int
        Number of indexed, or of unindexed, spots.
    significance : float
        Difference of the two numbers in standard deviations.
    cell : (3, 3) float64
        The primitive cell that would be correct, rows a, b, c, angstrom.
    """

    too_large: bool
    vector: NDArray[np.int64]
    order: int
    n_spots: int
    expected: float
    of: int
    significance: float
    cell: PrimitiveCells

    def place(self, basis: Array) -> Array:
        """f / order (3,) in terms of the conventional cell or its indices; `basis` transforms to the primitive cell."""
        return np.asarray(self.vector @ basis if self.too_large else np.linalg.solve(basis, self.vector)) / self.order


def functionals() -> list[tuple[NDArray[np.int64], int]]:
    """The 7 vectors f of zeros and ones (order 2), and the 13 for thirds (order 3), one of each pair f, -f."""
    found = []
    for order in (2, 3):
        for f in itertools.product(range(order), repeat=3):
            first = next((value for value in f if value), 0)
            if first == 1:
                found.append((np.array(f), order))
    return found


def find_multiple(crystals: Crystals, reference: int) -> Multiple | None:
    """The clearest evidence of the crystals that a reference cell is a multiple or a part of the true cell, or None."""
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
    """All pairs of a crystal and a spot of its frame: rows of both, unrounded indices (n, 3), and distances."""
    rows, crystal = crystals.pairs()
    indices = np.einsum("nij,nj->ni", crystals.cells[crystal], crystals.spots[rows])
    off = np.einsum("ni,nij->nj", indices - np.rint(indices), reciprocal(crystals.cells)[crystal])
    return rows, crystal, indices, np.linalg.norm(off, axis=1)


def _too_large(hkl: NDArray[np.int64], cell: PrimitiveCells) -> Multiple | None:
    """The vector f for which the fewest indices (n, 3) are no multiples, if these are too few; otherwise None."""
    # Spots in one plane or on one line say nothing about the cell across it.
    if len(hkl) < 3 or np.linalg.matrix_rank(hkl) < 3:
        return None
    best: Multiple | None = None
    for f, order in functionals():
        sums = hkl @ f
        if len(hkl) < ENOUGH_SPOTS:
            sums = sums[sums != 0]
        n, odd = len(sums), int((sums % order != 0).sum())
        expected = n * (1 - 1 / order)
        is_sure = len(hkl) >= ENOUGH_SPOTS or at_least(n - odd, n, 1 / order) < SURE
        if is_sure and odd < RARE * expected and (best is None or odd / expected < best.n_spots / best.expected):
            significance = (expected - odd) / np.sqrt(expected / order)
            best = Multiple(True, f, order, odd, expected, n, float(significance), with_vector(cell, f, order))
    return best


def without_multiples(hkl: NDArray[np.int64], cell: PrimitiveCells) -> tuple[PrimitiveCells, int]:
    """Divide a primitive cell (3, 3) until it is no longer too large.

    Parameters
    ----------
    hkl : (n, 3)
        Miller indices of indexed spots.

    Returns
    -------
    cell : (3, 3) float64
        The primitive cell, rows a, b, c, angstrom.
    times : int
        Factor by which the volume of `cell` is too large; 1 if it is right.
    """
    times = 1
    while (found := _too_large(hkl, cell)) is not None:
        hkl = np.rint(hkl @ (found.cell @ np.linalg.inv(cell)).T).astype(np.int64)
        cell, times = found.cell, times * found.order
    return cell, times


def _too_small(indices: Array, stars: Array, radius: float, n_indexed: int, cell: PrimitiveCells) -> Multiple | None:
    """The position between the lattice points at which most of the unindexed spots (n, 3) gather, or None."""

    def count(place: Array) -> int:
        """The number of spots at a position or at its opposite."""
        near = np.zeros(len(indices), dtype=bool)
        for sign in (1, -1):
            off = indices - sign * place
            off = np.einsum("ni,nij->nj", off - np.rint(off), stars)
            near |= (off * off).sum(axis=1) < radius**2
        return int(near.sum())

    # Positions at which no cell has spots give the number expected by chance; a half is its own opposite.
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
    """Evenly spread positions, none of them near a lattice point, a half or a third."""
    steps = np.arange(1, 400)[:, None] * np.array([0.8191725134, 0.6710436067, 0.5497004779]) % 1
    special = np.array([0, 1 / 3, 1 / 2, 2 / 3, 1])
    far = np.abs(steps[:, :, None] - special).min(axis=2).max(axis=1) > 0.07
    return np.asarray(steps[far][:N_CONTROLS])


def with_vector(cell: PrimitiveCells, f: NDArray[np.int64], order: int) -> PrimitiveCells:
    """The primitive cell of the lattice spanned by the vectors of a cell and f.cell / order."""
    basis = np.eye(3)
    basis[int(np.flatnonzero(f == 1)[0])] = f / order
    return as_primitive(shortest_basis(basis @ cell) @ basis @ cell)


def without_vectors(cell: PrimitiveCells, f: NDArray[np.int64], order: int) -> PrimitiveCells:
    """The primitive cell of the vectors n.cell of a lattice for which f.n is a multiple of the order."""
    i = int(np.flatnonzero(f == 1)[0])
    basis = np.eye(3)
    basis[:, i] = -f
    basis[i] = 0
    basis[i, i] = order
    return as_primitive(shortest_basis(basis @ cell) @ basis @ cell)


def as_conventional(primitive: PrimitiveCells, given: ConventionalCells, order: int) -> tuple[Array, str]:
    """The conventional cell of a primitive one, similar to a given cell: vectors times or over the order, and centring.

    Returns
    -------
    parameters : (6,) float64
        Cell parameters, angstrom and degrees.
    centring : str
        Letter of the centring; P with the parameters of the primitive cell if no conventional cell is similar.
    """
    factors = sorted(
        itertools.product((1.0, float(order), 1 / order), repeat=3), key=lambda row: sum(factor != 1 for factor in row)
    )
    for factor in factors:
        cell = as_given(np.array(factor)[:, None] * given)
        for centring in [centring for centring in CENTRINGS if centring != "R"]:
            change = ChangeOfBasis.of(cell, centring).primitive(cell) @ np.linalg.inv(primitive)
            whole = np.abs(change - np.rint(change)).max() < 1e-6
            if whole and abs(abs(np.linalg.det(change)) - 1) < 1e-6:
                return cell_parameters(cell), centring
    return cell_parameters(primitive), "P"
