"""The Bravais type and the conventional cell of a metric."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..model.basis import ChangeOfBasis, PrimitiveCells, as_given, as_primitive
from ..model.cell import Array, cell_from_parameters, cell_parameters, symmetry_operators
from ..model.lattice import InputCell, Lattice
from ..model.unknown.selling import reduced_cell

TYPES = ("aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF")
"""The symbols of the Bravais types."""
ORDERS = (1, 2, 4, 6, 8, 12, 24)
"""Orders of the rotation groups of lattices."""
SHRINK = 0.8
"""Factor by which the tolerance is reduced until the symmetries within it form a group."""
DIGITS = 3
"""Number of decimals of conventional parameters: finer than any error, and the same on all machines."""
RIGHT_ANGLE = 1e-6
_VECTORS = np.array([h for h in itertools.product(range(-3, 4), repeat=3) if any(h)], dtype=np.int64)
OBVERSE = np.array([2, 1, 1]) / 3
"""The centring vector of a rhombohedral lattice on hexagonal axes, obverse setting."""


@dataclass(frozen=True)
class Bravais:
    """A lattice with a symmetry imposed on it.

    Attributes
    ----------
    code : str
        Symbol of the Bravais type, such as oC: the letter of the family and the letter of the centring.
    operators : (n, 3, 3) int64
        Rotations of the lattice in the basis of `primitive`.
    basis : (3, 3) float64
        The conventional a, b, c as rows, in terms of the primitive vectors.
    primitive : (3, 3) float64
        The symmetric primitive cell, rows a, b, c, angstrom.
    deviation : float
        Largest change of a metric element, relative to the product of the lengths.
    """

    code: str
    operators: NDArray[np.int64]
    basis: Array
    primitive: PrimitiveCells
    deviation: float

    @property
    def order(self) -> int:
        """The number of rotations."""
        return len(self.operators)

    @property
    def change(self) -> ChangeOfBasis:
        """The change of basis between the conventional cell and `primitive`."""
        return ChangeOfBasis(np.asarray(np.linalg.inv(self.basis), dtype=np.float64), self.basis)

    @property
    def parameters(self) -> Array:
        """The conventional a, b, c (angstrom), alpha, beta, gamma (degrees)."""
        return cell_parameters(self.change.conventional(self.primitive))

    @property
    def input_cell(self) -> InputCell:
        """The conventional cell as an input cell; a rhombohedral lattice is on hexagonal axes."""
        cell = cell_from_parameters(exact_parameters(self.code, self.parameters))
        return InputCell(as_given(cell), Lattice.of_cell(cell, centring_of(self.code)))


def check_type(code: str) -> None:
    """Check that the value of `--symmetry` is a Bravais type.

    Raises
    ------
    UsageError
        If it is not one of `TYPES`.
    """
    if code not in TYPES:
        raise UsageError(f"--symmetry {code}: is not a Bravais type; there are {', '.join(TYPES)}")


def centring_of(code: str) -> str:
    """The centring letter of the conventional cell of a Bravais type; a rhombohedral lattice is on hexagonal axes."""
    return "H" if code == "hR" else code[1]


def exact_parameters(code: str, parameters: Array) -> Array:
    """Rounded parameters (6,), in which those that the family fixes or makes equal are exact."""
    values = np.round(parameters, DIGITS)
    family = code[0]
    if family != "a":
        fixed = {"m": (0, 2), "h": (0, 1, 2)}.get(family, (0, 1, 2))
        values[[3 + i for i in fixed]] = 90
    if family == "h":
        values[5] = 120
    if family in "thc":
        values[1] = values[0]
    if family == "c":
        values[2] = values[0]
    return values


def symmetric_metric(metric: Array, operators: NDArray[np.int64]) -> Array:
    """Metrics (..., 3, 3) averaged over the rotations (n, 3, 3) of a lattice."""
    turned = operators @ metric[..., None, :, :] @ np.swapaxes(operators, -1, -2)
    return np.asarray(turned.mean(axis=-3))


def cell_of_metric(metric: Array) -> Array:
    """Cells (..., 3, 3), rows a, b, c, with the metrics (..., 3, 3)."""
    return np.asarray(np.linalg.cholesky(metric), dtype=np.float64)


def bravais(cell: Array, tolerance: float) -> Bravais:
    """The lattice with the highest symmetry that its metric shows.

    Parameters
    ----------
    cell : (3, 3)
        Any basis of the lattice, rows a, b, c, angstrom.
    tolerance
        Largest deviation of a metric element from the symmetric one, relative to the product of the lengths; it is
        reduced until the rotations form a group.
    """
    cell = reduced_cell(cell)
    operators = symmetry_operators(cell, 2 * tolerance)
    while not _is_group(operators):
        tolerance *= SHRINK
        operators = symmetry_operators(cell, 2 * tolerance)
    metric = cell @ cell.T
    averaged = symmetric_metric(metric, operators)
    lengths = np.sqrt(np.diag(metric))
    deviation = float(np.max(np.abs(averaged - metric) / np.outer(lengths, lengths)))
    code, basis = _conventional(averaged, operators)
    return Bravais(code, operators, basis, as_primitive(cell_of_metric(averaged)), deviation)


def _is_group(operators: NDArray[np.int64]) -> bool:
    if len(operators) not in ORDERS:
        return False
    known = {operator.tobytes() for operator in operators}
    return all((a @ b).tobytes() in known for a in operators for b in operators)


@dataclass(frozen=True)
class _Axes:
    """Rotation axes of a group, keyed by their order, shortest first, and lattice vectors normal to an axis."""

    metric: Array
    by_order: dict[int, list[NDArray[np.int64]]]

    @classmethod
    def of(cls, metric: Array, operators: NDArray[np.int64]) -> _Axes:
        found: dict[int, set[tuple[int, ...]]] = {}
        for operator in operators:
            powers = [np.eye(3, dtype=np.int64)]
            while len(powers) == 1 or not np.array_equal(powers[-1], powers[0]):
                powers.append(powers[-1] @ operator)
            # The sum of the powers of a rotation is a projection on its axis.
            row = next(row for row in sum(powers[1:], np.zeros((3, 3), np.int64)) if row.any())
            row = row // np.gcd.reduce(row)
            found.setdefault(len(powers) - 1, set()).add(max(tuple(row.tolist()), tuple((-row).tolist())))
        axes = cls(metric, {})
        for order, rows in found.items():
            axes.by_order[order] = axes.sorted(np.array(sorted(rows)))
        return axes

    def dot(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
        return float(x @ self.metric @ y)

    def sorted(self, vectors: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The vectors in the order of their lengths, the shortest first."""
        squares = np.einsum("ni,ij,nj->n", vectors, self.metric, vectors)
        return list(vectors[np.argsort(squares, kind="stable")])

    def across(self, axis: NDArray[np.int64], vectors: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """The vectors that are normal to an axis."""
        return [
            v for v in vectors if abs(self.dot(axis, v)) < RIGHT_ANGLE * np.sqrt(self.dot(axis, axis) * self.dot(v, v))
        ]


def _conventional(metric: Array, operators: NDArray[np.int64]) -> tuple[str, Array]:
    """The code and the conventional basis of a symmetric metric."""
    order = len(operators)
    if order == 1:
        return "aP", np.eye(3)
    axes = _Axes.of(metric, operators)
    vectors = axes.sorted(_VECTORS)
    twofold = axes.by_order.get(2, [])
    if order == 24:
        rows, family = axes.by_order[4], "c"
    elif order in (6, 12):
        c, family = axes.by_order[3 if order == 6 else 6][0], "h"
        a = axes.across(c, twofold)[0]
        rows = [a, next(v for v in axes.across(c, vectors) if _is_at_120(axes, a, v)), c]
    elif order == 8:
        c, family = axes.by_order[4][0], "t"
        across = axes.across(c, twofold)
        rows = [across[0], axes.across(across[0], across)[0], c]
    elif order == 4:
        rows, family = twofold, "o"
    else:
        b, family = twofold[0], "m"
        flat = axes.across(b, vectors)
        c = next(v for v in flat if np.any(np.cross(v, flat[0])))
        rows = [flat[0], b, c if axes.dot(flat[0], c) <= 0 else -c]
    basis = np.array(rows, dtype=np.float64)
    centring, basis = _centred(family, basis, axes)
    return family + centring, basis if np.linalg.det(basis) > 0 else _righted(family, basis)


def _is_at_120(axes: _Axes, a: NDArray[np.int64], v: NDArray[np.int64]) -> bool:
    square = axes.dot(a, a)
    return abs(axes.dot(v, v) / square - 1) < RIGHT_ANGLE and abs(axes.dot(v, a) / square + 0.5) < RIGHT_ANGLE


def _righted(family: str, basis: Array) -> Array:
    """The basis, made right-handed with unchanged angles if it is left-handed."""
    a, b, c = basis
    return np.array({"h": [a, b, -c], "m": [a, -b, c]}.get(family, [-a, -b, -c]))


def _centred(family: str, basis: Array, axes: _Axes) -> tuple[str, Array]:
    """The letter of the centring, and the axes in the order that the centring requires."""
    halves = {tuple((np.abs(np.rint(2 * row)) % 2).astype(int).tolist()) for row in np.linalg.inv(basis)}
    size = round(abs(np.linalg.det(basis)))
    if size == 3:
        return "R", _obverse(basis)
    centring = {1: "P", 2: "C" if family in "mo" else "I", 4: "F"}[size]
    if size != 2 or family not in "mo":
        return centring, basis
    if family == "o":
        if (1, 1, 1) in halves:
            return "I", basis
        plain = next(half for half in halves if sum(half) == 2).index(0)
        return "C", basis[[i for i in range(3) if i != plain] + [plain]]
    a, b, c = basis
    if (1, 1, 0) not in halves:
        diagonal = a + c
        if (0, 1, 1) in halves:
            basis = np.array([c, b, a])
        else:
            basis = np.array([-diagonal if axes.dot(diagonal, a) >= 0 else diagonal, b, a])
    return "C", basis


def _obverse(basis: Array) -> Array:
    """Hexagonal axes of a rhombohedral lattice in the obverse setting."""
    right = basis if np.linalg.det(basis) > 0 else _righted("h", basis)
    vector = OBVERSE @ right
    return right if np.allclose(vector, np.rint(vector)) else np.array([-right[0], -right[1], right[2]])
