"""Lattice types, and the lattice type of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CellError
from .basis import CENTRINGS, ChangeOfBasis, ConventionalCells, PrimitiveCells
from .cell import Array, cell_parameters
from .cell_numbers import CellNumbers

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


def lattices_by_cell(
    cells: ConventionalCells, known: ConventionalCells | None, lattices: Sequence[Lattice]
) -> tuple[Lattice, ...]:
    """The lattice of each of some input cells, in whatever order they are.

    Parameters
    ----------
    cells : (m, 3, 3)
        The cells, rows a, b, c, angstrom.
    known : (n, 3, 3) or None
        Cells whose lattices are known; of those that are equal (see `CellNumbers`) the last one counts.
    lattices
        The lattice of each of the known cells; empty: none is known.

    Returns
    -------
    tuple of Lattice, m
        The lattice of an unknown cell follows from its axes and angles.
    """
    numbers = CellNumbers()
    by_number = dict(zip([] if known is None else numbers.of(known).tolist(), lattices, strict=False))
    return tuple(
        by_number.get(number) or Lattice.of_cell(cell)
        for number, cell in zip(numbers.of(cells).tolist(), cells, strict=True)
    )


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

    cell: ConventionalCells
    lattice: Lattice

    @property
    def primitive(self) -> PrimitiveCells:
        """The primitive cell (3, 3) of the same lattice that has the shortest vectors."""
        return ChangeOfBasis.of(self.cell, self.lattice.centring).primitive(self.cell)


def cell_option(parameters: Array, centring: str) -> str:
    """Cell parameters (6,), in angstrom and degrees, and a centring letter as text for the option `--cell`."""
    numbers = [f"{value:.3f}".rstrip("0").rstrip(".") for value in parameters]
    return ",".join([*numbers, *([centring] if centring != "P" else [])])
