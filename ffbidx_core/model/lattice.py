"""Lattice types, centring, and the primitive cell of a centred one."""

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
"""H is a rhombohedral lattice on hexagonal axes, obverse; R is one on its own axes, which are primitive."""
KINDS = {
    "triclinic": "a",
    "monoclinic": "m",
    "orthorhombic": "o",
    "tetragonal": "t",
    "rhombohedral": "r",
    "hexagonal": "h",
    "cubic": "c",
}
"""Lattice types, with the letter of each in a code."""
WITH_UNIQUE_AXIS = ("monoclinic", "tetragonal", "hexagonal")

_LENGTHS_EQUAL = 1e-4
"""Share of a length by which two that are meant to be equal may differ."""
_ANGLES_EQUAL = 0.01
"""Degrees by which two angles that are meant to be equal may differ."""
_LENGTHS_NEAR, _ANGLES_NEAR = 0.02, 2.0
"""The tolerances for a measured cell, which is only to be distinguished from one on other axes."""


@dataclass(frozen=True)
class Lattice:
    """The lattice type of a cell, its centring, and its unique axis where the type has one.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    centring : str
        One of `CENTRINGS`.
    unique_axis : str
        a, b, c, or empty.
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
        """The lattice of a short form; a ValueError when there is none."""
        kinds = {letter: kind for kind, letter in KINDS.items()}
        kind, centring, axis = code[:1], code[1:2], code[2:]
        if kind not in kinds or centring not in CENTRINGS or axis not in ("", "a", "b", "c"):
            raise ValueError(f"{code!r} is no lattice")
        return cls(kinds[kind], centring, axis)

    @classmethod
    def of_cell(cls, cell: Array, centring: str = "P") -> Lattice:
        """The lattice type with as much symmetry as a cell (rows a, b, c) shows."""
        parameters = cell_parameters(cell)
        kind, axis = _kind_of(parameters[:3], parameters[3:])
        if kind == "rhombohedral" and centring != "P":
            kind = "triclinic"
        if centring in "RH":
            kind = {"R": "rhombohedral", "H": "hexagonal"}[centring]
            axis = "c" if centring == "H" else ""
        return cls(kind, "R" if kind == "rhombohedral" else centring, axis)


def _kind_of(lengths: Array, angles: Array) -> tuple[str, str]:
    """Lattice type and unique axis of three lengths and three angles."""

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
    """Refuse a rhombohedral lattice on axes that are not those of its centring.

    Raises
    ------
    CellError
        For R without three equal axes, and H on axes that are not hexagonal.
    """
    parameters = cell_parameters(cell)
    lengths, angles = parameters[:3] / parameters[0], parameters[3:]
    n_equal, wanted = {"R": (3, angles[:1].repeat(3)), "H": (2, np.array([90, 90, 120]))}.get(centring, (0, angles))
    if (np.abs(lengths[:n_equal] - 1) > _LENGTHS_NEAR).any() or (np.abs(angles - wanted) > _ANGLES_NEAR).any():
        what = {
            "R": "R means a rhombohedral lattice on its own axes, a = b = c and three equal angles",
            "H": "H means a rhombohedral lattice on hexagonal axes, a = b and angles of 90, 90 and 120 degrees",
        }
        raise CellError(f"{what[centring]}; the other way to write such a lattice is {'RH'[centring == 'R']}")


def centring_basis(centring: str) -> Array:
    """Rows: primitive vectors in terms of the conventional a, b, c, so that the basis @ cell is a primitive cell."""
    return np.array(_SIXTHS[centring]) / 6


def is_allowed(indices: NDArray[np.int64], centring: str) -> NDArray[np.bool_]:
    """Whether a centring leaves reflections (n, 3): those whose indices on the primitive basis are integers."""
    allowed: NDArray[np.bool_] = (indices @ np.array(_SIXTHS[centring]).T % 6 == 0).all(axis=1)
    return allowed


def primitive_basis(cell: ArrayLike, centring: str) -> Array:
    """The basis P of a cell (rows a, b, c) whose P @ cell is its shortest primitive cell; the identity for P and R.

    Returns
    -------
    (3, 3) float64
    """
    basis = centring_basis(centring)
    if centring in "PR":
        return basis
    return shortest_basis(basis @ np.asarray(cell, dtype=np.float64)) @ basis


def shortest_basis(cell: Array) -> Array:
    """The integer change of basis, determinant 1, that makes the vectors of a cell as short as they can be."""
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=np.float64)
    change = np.eye(3)
    while True:
        vectors = change @ cell
        shorter = False
        for i in np.argsort(-np.linalg.norm(vectors, axis=1)):
            others = steps[steps[:, i] == 1] @ change
            lengths = np.linalg.norm(others @ cell, axis=1)
            best = int(np.argmin(lengths))
            # By more than rounding, else two that are equally short take turns for ever.
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
        Rows a, b, c, angstrom, of the conventional cell.
    lattice : Lattice
    """

    cell: Array
    lattice: Lattice


def cell_option(parameters: Array, centring: str) -> str:
    """A cell (6,) as the option `--cell` takes it."""
    numbers = [f"{value:.3f}".rstrip("0").rstrip(".") for value in parameters]
    return ",".join([*numbers, *([centring] if centring != "P" else [])])
