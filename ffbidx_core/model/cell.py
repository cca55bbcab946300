"""Unit cells: cell parameters, real-space vectors (rows a, b, c, in angstrom) and the symmetry of the lattice.

Vectors are rows throughout: the cell A turned by the rotation R is A R, and its basis changed by the integer matrix U
is U A.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CellError, RadianError

Array = NDArray[np.float64]
PARAMETER_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")
"""Names of the six cell parameters in their order: three lengths in angstrom, three angles in degrees."""

SHORTEST, LONGEST = 0.1, 1e5
"""Shortest and longest cell vector that is accepted, angstrom."""


def cell_from_parameters(parameters: ArrayLike) -> Array:
    """Real-space cell with the given cell parameters, a along x and b in the x-y plane.

    Parameters
    ----------
    parameters : (6,)
        a, b, c in angstrom, alpha, beta, gamma in degrees.

    Returns
    -------
    (3, 3) float64
        Rows a, b, c.

    Raises
    ------
    CellError
        If no cell has these lengths and angles, or if the angles seem to be in radians.
    """
    values = np.asarray(parameters, dtype=np.float64)
    if ((values[3:] > 0) & (values[3:] <= np.pi)).any():
        raise _in_radians(values)
    lengths, (ca, cb, cg) = values[:3], np.cos(np.radians(values[3:]))
    squared = 1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg
    if not (
        np.isfinite(values).all()
        and (lengths > 0).all()
        and ((values[3:] > 0) & (values[3:] < 180)).all()
        and squared > 0
    ):
        raise CellError(f"no cell has the parameters {' '.join(f'{v:g}' for v in values)}")
    sg = np.sqrt(1 - cg * cg)
    a, b, c = lengths
    return check_cell([[a, 0, 0], [b * cg, b * sg, 0], [c * cb, c * (ca - cb * cg) / sg, c * np.sqrt(squared) / sg]])


def _in_radians(parameters: Array) -> RadianError:
    """The error of a cell (6,) with angles from 0 to pi, which names these and their values in degrees."""
    mended, given, right = parameters.copy(), [], []
    for row, name in enumerate(("alpha", "beta", "gamma"), start=3):
        if 0 < parameters[row] <= np.pi:
            mended[row] = round(float(np.degrees(parameters[row])), 2)
            given.append(f"{name} {parameters[row]:g}")
            right.append(f"{name} {mended[row]:g}")
    look = "look" if len(given) > 1 else "looks"
    message = f"{', '.join(given)} {look} like radians: a cell has its angles in degrees ({', '.join(right)})"
    return RadianError(message, tuple(mended.tolist()))


def cell_parameters(cells: ArrayLike) -> Array:
    """Cell parameters of real-space cells.

    Parameters
    ----------
    cells : (..., 3, 3)
        Rows a, b, c, angstrom.

    Returns
    -------
    (..., 6) float64
        Lengths a, b, c in angstrom, angles alpha, beta, gamma in degrees.
    """
    cells = np.asarray(cells, dtype=np.float64)
    lengths = np.linalg.norm(cells, axis=-1)
    unit = cells / np.maximum(lengths, 1e-300)[..., None]
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = np.stack([np.sum(unit[..., i, :] * unit[..., j, :], axis=-1) for i, j in pairs], axis=-1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))], axis=-1)


def check_cell(cell: ArrayLike) -> Array:
    """Convert a cell to an array of rows a, b, c, and check that it spans a lattice.

    Parameters
    ----------
    cell : (3, 3)
        Rows a, b, c, angstrom.

    Returns
    -------
    (3, 3) float64

    Raises
    ------
    CellError
        If the shape is wrong, a number is not finite, a vector is too short or too long, or the vectors are coplanar.
    """
    array = np.asarray(cell, dtype=np.float64)
    if array.shape != (3, 3):
        raise CellError(f"a cell has three vectors of three numbers, not the shape {array.shape}")
    if not np.isfinite(array).all():
        raise CellError("the cell has numbers that are not finite")
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(array, axis=1)
    if lengths.min() < SHORTEST or lengths.max() > LONGEST:
        found = f"{lengths.min():g} to {lengths.max():g}"
        raise CellError(f"the cell's vectors are {found} A long, not {SHORTEST:g} to {LONGEST:g}")
    if abs(np.linalg.det(array / lengths[:, None])) < 1e-4:
        raise CellError("the cell's vectors lie in a plane: the cell is singular")
    return array


def is_left_handed(cell: ArrayLike) -> bool:
    """Whether the triple product a . (b x c) of a cell (rows a, b, c) is negative."""
    return bool(np.linalg.det(np.asarray(cell, dtype=np.float64)) < 0)


def reciprocal(cells: Array) -> Array:
    """Reciprocal cells (..., 3, 3), rows a*, b*, c* in 1/angstrom without the factor 2 pi, of cells (..., 3, 3)."""
    return np.swapaxes(np.linalg.inv(cells), -1, -2)


def shortest_reciprocal(cell: Array) -> float:
    """Length in 1/angstrom of the shortest vector of the reciprocal lattice of a cell (3, 3), rows a, b, c."""
    indices = np.array([m for m in itertools.product((-2, -1, 0, 1, 2), repeat=3) if any(m)])
    return float(np.linalg.norm(indices @ reciprocal(cell), axis=1).min())


def _metric_mismatch(basis: Array, cell: Array) -> Array:
    """Largest difference (n,) between the metric tensors of bases (n, 3, 3) and of a cell, relative to its lengths."""
    metric = cell @ cell.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    return np.asarray(np.abs((basis @ np.swapaxes(basis, -1, -2) - metric) / scale).max(axis=(-1, -2)))


@functools.cache
def _small_changes_of_basis() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All rows (27, 3) of entries -1, 0 and 1, and the triples (n, 3) of these that are matrices of determinant 1."""
    entries = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    rows = np.indices((len(entries),) * 3).reshape(3, -1).T
    return entries, rows[np.rint(np.linalg.det(entries[rows])) == 1]


def symmetry_operators(cell: Array, tolerance: float) -> NDArray[np.int64]:
    """Proper rotations of the lattice, as the integer matrices U for which the basis U A has the metric tensor of A.

    Only entries -1, 0 and 1 are tried, which is complete for reduced cells and the usual conventional ones.

    Parameters
    ----------
    cell : (3, 3)
        Rows a, b, c of the cell A, angstrom.
    tolerance
        Largest difference of the metric tensors' elements, relative to the lengths of the vectors.

    Returns
    -------
    (n, 3, 3) int64
        The n operators, 1 (triclinic) to 24 (cubic), the identity first.
    """
    tolerance = max(tolerance, 1e-9)
    entries, rows = _small_changes_of_basis()
    squares = np.einsum("ij,ij->i", entries @ cell, entries @ cell)
    # Few of the vectors are as long as one of the cell, so that few of the many bases are left to be compared.
    close = np.abs(squares[:, None] / np.einsum("ij,ij->i", cell, cell) - 1) < 1.01 * tolerance
    candidates = entries[rows[close[rows[:, 0], 0] & close[rows[:, 1], 1] & close[rows[:, 2], 2]]]
    found = candidates[_metric_mismatch(candidates @ cell, cell) < tolerance]
    is_identity = (found == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    return np.concatenate([found[is_identity], found[~is_identity]])


def other_settings(cell: Array, tolerance: float, symmetry: float = 0.012) -> NDArray[np.int64]:
    """Bases of the lattice that resemble the cell within `tolerance` but are not equivalent to it by symmetry.

    A crystal that is indexed in such a setting has wrong Miller indices.

    Parameters
    ----------
    cell : (3, 3)
        Rows a, b, c, angstrom.
    tolerance
        Largest relative difference of a length, and largest difference of an angle's cosine.
    symmetry
        The same differences up to which a basis counts as equivalent to the cell.

    Returns
    -------
    (n, 3, 3) int64
        Integer matrices with entries -2 to 2 and determinant 1, the closest to the cell first; of bases that are
        equivalent to one another only the closest.
    """
    entries = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)), dtype=np.int64)
    vectors, lengths = entries @ cell, np.linalg.norm(cell, axis=1)
    norms = np.linalg.norm(vectors, axis=1)
    rows = [entries[np.abs(norms / length - 1) < tolerance] for length in lengths]
    bases = np.array(list(itertools.product(*rows)), dtype=np.int64).reshape(-1, 3, 3)
    bases = bases[np.rint(np.linalg.det(bases)) == 1]
    mismatch = _cell_mismatch(bases @ cell, cell)
    bases, mismatch = bases[mismatch < tolerance], mismatch[mismatch < tolerance]
    group = bases[mismatch < symmetry]
    kept: list[NDArray[np.int64]] = []
    seen: set[bytes] = set()
    for i in np.argsort(mismatch, kind="stable"):
        if mismatch[i] < symmetry or bases[i].tobytes() in seen:
            continue
        kept.append(bases[i])
        seen.update((operator @ bases[i]).tobytes() for operator in group)
    return np.array(kept, dtype=np.int64).reshape(-1, 3, 3)


def _cell_mismatch(basis: Array, cell: Array) -> Array:
    """Largest relative difference of a length, or difference of an angle's cosine, of bases (n, 3, 3) to a cell."""
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (basis, cell)]
    cosines = np.abs(unit[0] @ np.swapaxes(unit[0], -1, -2) - unit[1] @ unit[1].T).max(axis=(-1, -2))
    lengths = np.abs(np.linalg.norm(basis, axis=-1) / np.linalg.norm(cell, axis=-1) - 1).max(axis=-1)
    return np.asarray(np.maximum(cosines, lengths))
