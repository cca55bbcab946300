"""Invariants of a lattice, independent of its basis: Selling reduction and the seven Voronoi lengths.

The lengths of the seven vectors that define the Voronoi cell are continuous functions of the metric tensor. The angles
of a reduced cell are not: near a symmetry they jump between settings (E. Selling, J. reine angew. Math. 77, 143, 1874;
B. Delone).
"""

from __future__ import annotations

import itertools

import numpy as np

from ...errors import CellError
from ..basis import PrimitiveCells, as_primitive
from ..cell import Array

MOST_STEPS = 200
"""Upper limit of the passes of the Selling reduction."""
OBTUSE = 1e-9
"""Scalar product of two vectors over a squared length, above which their angle counts as acute and is reduced."""
COPLANAR = 1e-3
"""Sine of an angle of three vectors below which they count as coplanar."""
SMALL = np.array([h for h in itertools.product(range(-2, 3), repeat=3) if any(h)], dtype=np.float64)
"""Integer combinations of a reduced cell's vectors among which the vectors of another setting are sought."""


def selling_bases(cells: Array) -> Array:
    """Selling-reduced bases of lattices: four vectors of sum zero with no acute angle between any two.

    Parameters
    ----------
    cells : (n, 3, 3)
        Primitive cells, rows a, b, c, angstrom.

    Returns
    -------
    (n, 4, 3) float64
        Vectors, angstrom.
    """
    from .kernels import reduce

    v = np.concatenate([cells, -cells.sum(axis=1, keepdims=True)], axis=1).astype(np.float64)
    reduce(v, MOST_STEPS, OBTUSE)
    return v


def voronoi_lengths(cells: Array) -> Array:
    """The seven Voronoi lengths (n, 7), ascending, angstrom, of the lattices of primitive cells (n, 3, 3)."""
    from .kernels import measure

    v = selling_bases(cells)
    lengths = np.empty((len(v), 7))
    measure(v, lengths)
    return lengths


def reduced_cell(cell: Array) -> PrimitiveCells:
    """The three shortest independent vectors (3, 3) of a primitive cell's lattice, right-handed, shortest first.

    Raises
    ------
    CellError
        If the vectors of the cell are coplanar.
    """
    from .kernels import choose_shortest

    v = selling_bases(cell[None])[0]
    vectors = np.concatenate([v, v[:1] + v[1:]])
    found = np.zeros((3, 3))
    order = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")
    if not choose_shortest(vectors[order], COPLANAR, found):
        raise CellError("the cell's vectors lie in a plane: the cell is singular")
    return as_primitive(found)


def nearest_setting(cell: Array, metric: Array, tolerance: float = 0.03) -> tuple[Array, float] | None:
    """The basis of a lattice whose metric tensor is closest to a given one.

    Parameters
    ----------
    cell : (3, 3)
        Primitive cell of the lattice, rows a, b, c, angstrom.
    metric : (3, 3)
        Metric tensor that is sought, angstrom^2.
    tolerance
        Largest relative difference of a vector's length.

    Returns
    -------
    basis : (3, 3) float64
        Rows a, b, c, angstrom.
    deviation : float
        Largest deviation of an element of the metric tensor, relative to the product of its two lengths.

    The result is None, not a pair, if no basis comes close enough.
    """
    from .kernels import find_nearest

    basis = np.zeros((3, 3))
    deviation = find_nearest(SMALL @ reduced_cell(cell), metric, tolerance, np.zeros((3, 3)), basis)
    return None if deviation < 0 else (basis, deviation)


def same_lattice(cell: Array, other: Array, tolerance: float) -> bool:
    """Whether the seven Voronoi lengths of two primitive cells (3, 3) agree within a relative tolerance."""
    a, b = voronoi_lengths(np.stack([cell, other]))
    return bool(np.max(np.abs(a / b - 1)) < tolerance)
