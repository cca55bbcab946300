"""Primitive and conventional cells as two types, and the changes of basis between them.

Users give and read the conventional cell of a lattice, whose axes show the symmetry; a centred cell has lattice points
between its corners. A search needs a primitive cell, for which every triple of integers is an allowed reflection. The
type checker keeps the two apart: functions that search, fit or index take `PrimitiveCells`, cells that are read,
written or reported are `ConventionalCells`, and only `ChangeOfBasis` converts between the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cell import Array

PrimitiveCells = NewType("PrimitiveCells", Array)
"""Primitive cells (..., 3, 3), rows a, b, c, angstrom."""
ConventionalCells = NewType("ConventionalCells", Array)
"""Conventional cells (..., 3, 3), rows a, b, c, angstrom; a conventional cell without a centring is also primitive."""

_SIXTHS = {
    "P": ((6, 0, 0), (0, 6, 0), (0, 0, 6)),
    "A": ((6, 0, 0), (0, 3, 3), (0, -3, 3)),
    "B": ((3, 0, 3), (0, 6, 0), (-3, 0, 3)),
    "C": ((3, 3, 0), (-3, 3, 0), (0, 0, 6)),
    "I": ((-3, 3, 3), (3, -3, 3), (3, 3, -3)),
    "F": ((0, 3, 3), (3, 0, 3), (3, 3, 0)),
    "H": ((4, 2, 2), (-2, 2, 2), (-2, -4, 2)),
    "R": ((6, 0, 0), (0, 6, 0), (0, 0, 6)),
}
CENTRINGS = tuple(_SIXTHS)
"""Centring letters. H is a rhombohedral lattice on hexagonal axes (obverse), R one on its rhombohedral axes."""


def as_given(cells: Array) -> ConventionalCells:
    """Declare cells (..., 3, 3) as conventional, as those of a user, of an input or of results are.

    The declaration is for the type checker; the numbers are unchanged.
    """
    return ConventionalCells(cells)


def as_primitive(cells: Array) -> PrimitiveCells:
    """Declare cells (..., 3, 3) as primitive, as those of crystals from a search are.

    The declaration is for the type checker; the numbers are unchanged.
    """
    return PrimitiveCells(cells)


@dataclass(frozen=True)
class ChangeOfBasis:
    """The changes of basis between conventional cells and primitive cells of the same lattices.

    Attributes
    ----------
    to_primitive : (..., 3, 3) float64
        Matrices with the primitive vectors as rows, in units of the conventional a, b, c, such that
        primitive = to_primitive @ conventional: one matrix, or one for each of M input cells.
    to_conventional : (..., 3, 3) float64
        Inverses of these matrices.
    """

    to_primitive: Array
    to_conventional: Array

    @classmethod
    def by(cls, to_primitive: Array) -> ChangeOfBasis:
        """The change of basis with given matrices to primitive cells."""
        return cls(to_primitive, np.asarray(np.linalg.inv(to_primitive), dtype=np.float64))

    @classmethod
    def of(cls, cell: ConventionalCells, centring: str) -> ChangeOfBasis:
        """The change of basis between a cell (3, 3) with a centring and its shortest primitive cell."""
        return cls.by(primitive_basis(cell, centring))

    @classmethod
    def of_each(cls, cells: ConventionalCells, centrings: Iterable[str]) -> ChangeOfBasis:
        """The changes of basis between cells (M, 3, 3), each with its centring, and their shortest primitive cells."""
        bases = [primitive_basis(cell, centring) for cell, centring in zip(cells, centrings, strict=True)]
        return cls.by(np.array(bases, dtype=np.float64).reshape(-1, 3, 3))

    def __getitem__(self, row: int) -> ChangeOfBasis:
        """The change of basis of the input cell with a number."""
        return ChangeOfBasis(self.to_primitive[row], self.to_conventional[row])

    def primitive(self, cells: ConventionalCells, rows: NDArray[np.integer] | None = None) -> PrimitiveCells:
        """Convert conventional cells to primitive cells.

        Parameters
        ----------
        cells : (..., 3, 3)
            Conventional cells, rows a, b, c, angstrom.
        rows : (n,)
            Number of the input cell from which each of n cells was found; None if the cells are the input cells.
        """
        return PrimitiveCells((self.to_primitive if rows is None else self.to_primitive[rows]) @ cells)

    def conventional(self, cells: PrimitiveCells, rows: NDArray[np.integer] | None = None) -> ConventionalCells:
        """Convert primitive cells (..., 3, 3) to conventional cells; `rows` is that of `primitive`."""
        return ConventionalCells((self.to_conventional if rows is None else self.to_conventional[rows]) @ cells)


def centring_basis(centring: str) -> Array:
    """Basis (3, 3) with primitive vectors as rows, in units of the conventional a, b, c: basis @ cell is primitive."""
    return np.array(_SIXTHS[centring]) / 6


def is_allowed(indices: NDArray[np.int64], centring: str) -> NDArray[np.bool_]:
    """Whether a centring allows reflections (n, 3), which then have integer indices on a primitive basis.

    Returns
    -------
    (n,) bool
    """
    allowed: NDArray[np.bool_] = (indices @ np.array(_SIXTHS[centring]).T % 6 == 0).all(axis=1)
    return allowed


def primitive_basis(cell: ArrayLike, centring: str) -> Array:
    """The change of basis from a conventional cell to the primitive cell with the shortest vectors.

    Parameters
    ----------
    cell : (3, 3)
        Conventional cell, rows a, b, c, angstrom.
    centring
        Centring letter of the cell.

    Returns
    -------
    (3, 3) float64
        Basis P such that P @ cell is the primitive cell; the identity for the centrings P and R.
    """
    basis = centring_basis(centring)
    if centring in "PR":
        return basis
    return shortest_basis(basis @ np.asarray(cell, dtype=np.float64)) @ basis


def shortest_basis(cell: Array) -> Array:
    """The integer change of basis (3, 3), of determinant 1, after which no step shortens a vector of the cell.

    A step adds to a vector the other two, each times -1, 0 or 1. Rows of `cell` are a, b, c, angstrom.
    """
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=np.float64)
    change = np.eye(3)
    while True:
        vectors = change @ cell
        shorter = False
        for i in np.argsort(-np.linalg.norm(vectors, axis=1)):
            others = steps[steps[:, i] == 1] @ change
            lengths = np.linalg.norm(others @ cell, axis=1)
            best = int(np.argmin(lengths))
            # Shorter by more than rounding: otherwise two equally short vectors would alternate for ever.
            if lengths[best] < np.linalg.norm(vectors[i]) * (1 - 1e-9):
                change[i] = others[best]
                shorter = True
                break
        if not shorter:
            return np.asarray(np.rint(change))
