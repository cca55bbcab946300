"""Lattice types, centrings, and the primitive cell of a centred lattice."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CellError
from .cell import Array, cell_parameters

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
KINDS = {
    "triclinic": "a",
    "monoclinic": "m",
    "orthorhombic": "o",
    "tetragonal": "t",
    "rhombohedral": "r",
    "hexagonal": "h",
    "cubic": "c",
}
"""Lattice types, and the letter of each in CrystFEL's short form."""
WITH_UNIQUE_AXIS = ("monoclinic", "tetragonal", "hexagonal")

_LENGTHS_EQUAL = 1e-4
"""Largest relative difference of two lengths that count as equal."""
_ANGLES_EQUAL = 0.01
"""Largest difference of two angles that count as equal, degrees."""
_LENGTHS_NEAR, _ANGLES_NEAR = 0.02, 2.0
"""Wider tolerances (relative length, degrees) by which the axes of a measured rhombohedral lattice are recognised."""


@dataclass(frozen=True)
class Lattice:
    """The lattice type of a cell, its centring, and its unique axis if the type has one.

    Attributes
    ----------
    kind : str
        Lattice type, one of `KINDS`.
    centring : str
        Centring letter, one of `CENTRINGS`.
    unique_axis : str
        Unique axis a, b or c; empty for a lattice type without one.
    """

    kind: str = "triclinic"
    centring: str = "P"
    unique_axis: str = ""

    @property
    def code(self) -> str:
        """The lattice in CrystFEL's short form, such as aP, mCb, tPc, cI."""
        return KINDS[self.kind] + self.centring + self.unique_axis

    @classmethod
    def of_code(cls, code: str) -> Lattice:
        """The lattice with CrystFEL's short form `code`.

        Raises
        ------
        ValueError
            If no lattice has this short form.
        """
        kinds = {letter: kind for kind, letter in KINDS.items()}
        kind, centring, axis = code[:1], code[1:2], code[2:]
        if kind not in kinds or centring not in CENTRINGS or axis not in ("", "a", "b", "c"):
            raise ValueError(f"{code!r} is not a lattice")
        return cls(kinds[kind], centring, axis)

    @classmethod
    def of_cell(cls, cell: Array, centring: str = "P") -> Lattice:
        """The lattice of the highest symmetry compatible with a cell (rows a, b, c, angstrom) and its centring."""
        parameters = cell_parameters(cell)
        kind, axis = _kind_of(parameters[:3], parameters[3:])
        if kind == "rhombohedral" and centring != "P":
            kind = "triclinic"
        if centring in "RH":
            kind = {"R": "rhombohedral", "H": "hexagonal"}[centring]
            axis = "c" if centring == "H" else ""
        return cls(kind, "R" if kind == "rhombohedral" else centring, axis)


def _kind_of(lengths: Array, angles: Array) -> tuple[str, str]:
    """Lattice type and unique axis of a cell with three lengths in angstrom and three angles in degrees."""

    def equal(i: int, j: int) -> bool:
        return bool(abs(lengths[i] / lengths[j] - 1) < _LENGTHS_EQUAL)

    def are(i: int, degrees: float) -> bool:
        return bool(abs(angles[i] - degrees) < _ANGLES_EQUAL)

    square = [are(i, 90) for i in range(3)]
    if all(square):
        if equal(0, 1) and equal(1, 2):
            return "cubic", ""
        pair = next(((i, j) for i, j in ((0, 1), (0, 2), (1, 2)) if equal(i, j)), None)
        return ("orthorhombic", "") if pair is None else ("tetragonal", "abc"[3 - sum(pair)])
    if sum(square) == 2:
        odd = square.index(False)
        others = [i for i in range(3) if i != odd]
        return ("hexagonal" if equal(*others) and are(odd, 120) else "monoclinic"), "abc"[odd]
    if equal(0, 1) and equal(1, 2) and are(1, angles[0]) and are(2, angles[0]):
        return "rhombohedral", ""
    return "triclinic", ""


def check_axes(cell: Array, centring: str) -> None:
    """Check that the axes of a rhombohedral lattice are those that its centring letter, R or H, implies.

    Raises
    ------
    CellError
        If a cell with centring R does not have three equal axes and angles, or one with H is not hexagonal.
    """
    parameters = cell_parameters(cell)
    lengths, angles = parameters[:3] / parameters[0], parameters[3:]
    n_equal, wanted = {"R": (3, angles[:1].repeat(3)), "H": (2, np.array([90, 90, 120]))}.get(centring, (0, angles))
    if (np.abs(lengths[:n_equal] - 1) > _LENGTHS_NEAR).any() or (np.abs(angles - wanted) > _ANGLES_NEAR).any():
        what = {
            "R": "R means a rhombohedral lattice on its own axes, a = b = c and three equal angles",
            "H": "H means a rhombohedral lattice on hexagonal axes, a = b and angles of 90, 90 and 120 degrees",
        }
        raise CellError(f"{what[centring]}; the other setting of such a lattice is {'RH'[centring == 'R']}")


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


@dataclass(frozen=True)
class InputCell:
    """An input cell as the user gave it.

    Attributes
    ----------
    cell : (3, 3) float64
        Conventional cell, rows a, b, c, angstrom.
    lattice : Lattice
        Lattice type, centring and unique axis of the cell.
    """

    cell: Array
    lattice: Lattice


def cell_option(parameters: Array, centring: str) -> str:
    """Cell parameters (6,), in angstrom and degrees, and a centring letter as text for the option `--cell`."""
    numbers = [f"{value:.3f}".rstrip("0").rstrip(".") for value in parameters]
    return ",".join([*numbers, *([centring] if centring != "P" else [])])
