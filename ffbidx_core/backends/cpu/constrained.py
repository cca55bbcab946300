"""The last fit on the CPU: rotation and a small strain with a prior.

A small change takes a predicted spot q to q + D q, where D = [omega]_x + E has nine parameters: three of the rotation
omega and six of the strain E. Without the prior the rows of D could be fitted separately. The sums over the spots are
therefore only those of q q^T and e q^T, and the coupling of the rows is computed once a step.
"""

from __future__ import annotations

from typing import Any

from ...model import fits as constants
from .algebra import (
    IDENTITY,
    added,
    cholesky_solution,
    dot,
    matrix,
    multiplied,
    pair_of,
    products,
    put_cell,
    reciprocal,
    residual,
    scaled,
    spot,
    symmetric,
    transposed,
)
from .formula import double, formula, root, where
from .jit import kernel

ROUNDS, STEPS = constants.CONSTRAINED_ROUNDS, constants.CONSTRAINED_STEPS
CUTOFF = constants.CONSTRAINED_CUTOFF
LOWEST, HIGHEST = constants.CONSTRAINED_LIMITS
SIGMA, WEIGHT = constants.TYPICAL_SIGMA, constants.TYPICAL_WEIGHT
NO_SUMS = (0.0,) * 16
NONE_NEAR = (0.0, 0.0)

CHANGES = (
    {(1, 2): -1.0, (2, 1): 1.0},
    {(2, 0): -1.0, (0, 2): 1.0},
    {(0, 1): -1.0, (1, 0): 1.0},
    {(0, 0): 1.0},
    {(1, 1): 1.0},
    {(2, 2): 1.0},
    {(0, 1): 1.0, (1, 0): 1.0},
    {(0, 2): 1.0, (2, 0): 1.0},
    {(1, 2): 1.0, (2, 1): 1.0},
)
"""Elements of D for each parameter: three components of omega, then e00, e11, e22, e01, e02, e12."""


@kernel
def fit_constrained(
    xyz: Any, offsets: Any, first: int, last: int, reference: Any, stiffness: float, cells: Any, cutoff: Any
) -> None:
    """Fit rotation and strain of cells[first:last] (F, 1, 3, 3) in place; see `Backend.fit_constrained`.

    Parameters
    ----------
    reference : (F, 3, 3)
        Cells without strain.
    stiffness
        Weight of the prior, 1 / prior^2.
    cutoff : (F,)
        Initial cut-offs, which are replaced by the last ones, 1/angstrom.
    """
    for f in range(first, last):
        t, rounds = cutoff[f], ROUNDS
        regular, pair = pair_of(cells, f, 0)
        while regular:
            for _ in range(STEPS):
                sums = NO_SUMS
                for j in range(offsets[f], offsets[f + 1]):
                    sums = add_weighted(sums, xyz, j, pair, t)
                moved, pair = strained(pair, sums, reference, f, stiffness)
                if not moved:
                    break
            if rounds == 0:
                put_cell(cells, f, 0, pair[0])
                cutoff[f] = t
                break
            near = NONE_NEAR
            for j in range(offsets[f], offsets[f + 1]):
                near = add_near(near, xyz, j, pair, t)
            t = next_cutoff(near, t)
            rounds = rounds - 1 if near[0] >= 5.0 else 0


def _residual(xyz: Any, j: Any, pair: Any) -> Any:
    """The residual of spot j and its predicted spot, both in float64."""
    s = double(spot(xyz, j))
    e = residual(s, pair)
    return e, tuple(a - b for a, b in zip(s, e, strict=True))


@formula
def add_near(near: Any, xyz: Any, j: int, pair: Any, t: float) -> Any:
    """Add a spot within t of its predicted spot to the sums: count, squared distance."""
    e, _ = _residual(xyz, j, pair)
    square = dot(e, e)
    w = double(square < t * t)
    return added(near, (w, w * square))


@formula
def next_cutoff(near: Any, t: float) -> Any:
    """The cut-off that follows from the residuals of the spots within t; t itself if they are too few."""
    count, total = near
    enough = count > 4.5
    w = WEIGHT / (count + WEIGHT)
    sigma = root((1 - w) * total / where(enough, count, 1.0) / 3 + w * SIGMA * SIGMA)
    found = CUTOFF * sigma
    found = where(found < LOWEST, LOWEST, where(found > HIGHEST, HIGHEST, found))
    return where(enough, found, t)


@formula
def add_weighted(sums: Any, xyz: Any, j: int, pair: Any, t: float) -> Any:
    """Add a spot to the sums: its biweight, and times 9 / t^2 and the biweight the products q q^T (6) and e q^T (9)."""
    e, q = _residual(xyz, j, pair)
    inverse = 1 / (t * t)
    w = 1 - dot(e, e) * inverse
    w = where(w > 0, w * w, 0.0)
    wa = 9 * inverse * w
    return added(sums, (w, *scaled(wa, products(q)), *(wa * x * y for x in e for y in q)))


@formula
def strained(pair: Any, sums: Any, reference: Any, f: int, stiffness: float) -> Any:
    """Whether the spots suffice for a Gauss-Newton step, and the pair of cells after the step."""
    a, v = symmetric(sums[1:7]), (sums[7:10], sums[10:13], sums[13:16])
    normal = [[_normal(one, other, a) for other in CHANGES] for one in CHANGES]
    right = [_sum(c * v[i][k] for (i, k), c in change.items()) for change in CHANGES]
    strain = strain_of(pair[1], matrix(reference, f))
    for p, change in enumerate(CHANGES):
        normal[p][p] = normal[p][p] * 1.00001 + 1e-9
        if p >= 3:
            stiff = stiffness * float(len(change))
            i, k = min(change)
            normal[p][p] = normal[p][p] + stiff
            right[p] = right[p] - stiff * strain[i][k]
    solved, x = cholesky_solution(normal, right)
    step = [
        [IDENTITY[i][k] + _sum(c[i, k] * x[p] for p, c in enumerate(CHANGES) if (i, k) in c) for k in range(3)]
        for i in range(3)
    ]
    recip = multiplied(pair[1], transposed(step))
    moving = solved & (sums[0] > 3)
    # The real-space cell is the reciprocal cell of the reciprocal cell.
    return moving, where(moving, (reciprocal(recip)[1], recip), pair)


def _sum(terms: Any) -> Any:
    """The sum of at least one term."""
    first, *others = terms
    for other in others:
        first = first + other
    return first


def _normal(one: Any, other: Any, a: Any) -> Any:
    """Element of the normal matrix for two parameters: the sum over i of P[i] a Q[i], with a symmetric."""
    terms = [c * d * a[k][m] for (i, k), c in one.items() for (j, m), d in other.items() if i == j]
    return _sum(terms) if terms else 0.0


def strain_of(recip: Any, reference: Any) -> Any:
    """The present strain E = X/2 - X^2/8 + X^3/16 with X = F F^T - I, where recip = (reciprocal of reference) F^T."""
    f = multiplied(transposed(reference), recip)
    x = multiplied(transposed(f), f)
    x = tuple(tuple(a - b for a, b in zip(*rows, strict=True)) for rows in zip(x, IDENTITY, strict=True))
    square = multiplied(x, x)
    cube = multiplied(square, x)
    return tuple(tuple(x[r][q] / 2 - square[r][q] / 8 + cube[r][q] / 16 for q in range(3)) for r in range(3))
