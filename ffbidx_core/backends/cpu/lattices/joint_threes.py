"""The joint fit of lattices to the few spots of a frame."""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import TRUE
from ....model.unknown.threes import ACROSS, ALONG, JOINT_WIDTHS, SMALLEST
from ..algebra import added, cofactors, dot, matrix, multiplied, products, scaled, transposed
from ..formula import formula, nearest, where
from ..jit import kernel, part_of_kernel
from .elementary import exponential_of_negative
from .likelihood import NORMAL, vector_at
from .selling import put_voronoi_lengths, selling_reduced
from .threes import column, step_freely

NO_SUMS = (0.0,) * 15
WITHOUT_LOGARITHM = 32
"""Number of spots whose factors are multiplied before the logarithm is taken: each is below 1e7."""


@kernel
def fit_lattices(
    spots: Any,
    n: int,
    vectors: Any,
    triples: Any,
    cells: Any,
    scores: Any,
    lengths: Any,
) -> None:
    """Fit the lattices of triples of vectors to the spots that they explain.

    Parameters
    ----------
    spots : (3, N) float64
        Spots, 1/angstrom; those from n on, with which loops have even numbers of turns, are zero.
    triples : (C, 3) int64
        Rows of the vectors (M, 3).
    cells : (C, 3, 3);  scores : (C,);  lengths : (C, 7)
        Arrays that receive the fitted cells, their scores and their Voronoi lengths, float64.
    """
    for o in range(triples.shape[0]):
        cell = cells[o]
        base, _ = selling_reduced(
            vector_at(vectors, triples[o, 0]), vector_at(vectors, triples[o, 1]), vector_at(vectors, triples[o, 2])
        )
        put_cell(cell, base)
        solid = True
        for factor in JOINT_WIDTHS:
            solid = solid and fit_once(spots, cell, factor)
        scores[o] = score_of(spots, n, cell) if solid else -1e300
        base, products = selling_reduced(vector_at(cell, 0), vector_at(cell, 1), vector_at(cell, 2))
        put_cell(cell, base)
        put_voronoi_lengths(products, lengths, o)


@formula
def put_cell(cell: Any, base: Any) -> None:
    """Store the first three of four vectors as the rows of a cell."""
    for a in range(3):
        for r in range(3):
            cell[a, r] = base[a][r]


@part_of_kernel
def fit_once(spots: Any, cell: Any, factor: float) -> Any:
    """Move the rows of a cell by one step, with errors of the spots times a factor; False if the cell is flat."""
    volume, lattice = lattice_of(cell)
    if volume <= SMALLEST:
        return False
    peak = TRUE * NORMAL**3 / (ACROSS * ACROSS * ALONG * factor**3 * volume)
    sharpness = 0.5 / (factor * factor)
    sums = NO_SUMS
    # A spot at zero adds nothing.
    for j in range(spots.shape[1]):
        sums = add_joint_equation(sums, spots, j, lattice, peak, sharpness)
    move_rows(cell, sums)
    return True


@part_of_kernel
def score_of(spots: Any, n: int, cell: Any) -> Any:
    """The log-likelihood of a cell minus three times the logarithm of its volume; -1e300 if it is flat."""
    volume, lattice = lattice_of(cell)
    if volume <= SMALLEST:
        return -1e300
    peak = TRUE * NORMAL**3 / (ACROSS * ACROSS * ALONG * volume)
    total = -3 * math.log(volume)
    for start in range(0, spots.shape[1], WITHOUT_LOGARITHM):
        product = 1.0
        for k in range(min(WITHOUT_LOGARITHM, spots.shape[1] - start)):
            product *= likelihood_of(spots, start + k, lattice, peak)
        total += math.log(product)
    return total - (spots.shape[1] - n) * math.log(1 - TRUE + peak)


@formula
def lattice_of(cell: Any) -> Any:
    """The volume of a cell, and the pair of the cell and its inverse, each as a matrix of three rows."""
    rows = matrix(cell)
    parts = cofactors(rows)
    volume = dot(rows[0], parts[0])
    inverse = 1 / where(abs(volume) > 0, volume, 1.0)
    return abs(volume), (rows, transposed(tuple(scaled(inverse, part) for part in parts)))


def phases_and_misfit(spot: Any, lattice: Any) -> tuple[Any, Any]:
    """The phases of a spot, and the square of its distance from the lattice in standard errors of its position."""
    rows, inverse = lattice
    turns = tuple(dot(row, spot) for row in rows)
    phases = tuple(each - nearest(each) for each in turns)
    x, y, z = (row[0] for row in multiplied(inverse, tuple((phase,) for phase in phases)))
    return phases, (x * x + y * y) * (1 / ACROSS**2) + z * z * (1 / ALONG**2)


@formula
def add_joint_equation(sums: Any, spots: Any, j: int, lattice: Any, peak: float, sharpness: float) -> Any:
    """Add spot j to the normal matrix (6) that the three vectors share, and to their right sides (9)."""
    spot = column(spots, j)
    phases, squares = phases_and_misfit(spot, lattice)
    true = peak * exponential_of_negative(sharpness * squares)
    weight = true / (true + (1 - TRUE))
    weighted = scaled(weight, spot)
    right = tuple(-phase * each for phase in phases for each in weighted)
    return added(sums, (*scaled(weight, products(spot)), *right))


@formula
def move_rows(cell: Any, sums: Any) -> None:
    """Move the rows of a cell by a Gauss-Newton step."""
    for a, row in enumerate(matrix(cell)):
        for r, each in enumerate(step_freely(row, sums[:6], sums[6 + 3 * a : 9 + 3 * a])):
            cell[a, r] = each


@formula
def likelihood_of(spots: Any, j: int, lattice: Any, peak: float) -> Any:
    """The likelihood ratio of spot j."""
    _, squares = phases_and_misfit(column(spots, j), lattice)
    return 1 - TRUE + peak * exponential_of_negative(0.5 * squares)
