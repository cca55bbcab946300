"""The likelihood of a lattice vector, and the Gauss-Newton steps that increase it."""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import LONGEST_STEP, SCALES, TRUE, WIDTH_ACROSS, WIDTH_ALONG, WIDTH_FLOOR
from ..algebra import added, dot, products, scaled, solution, symmetric
from ..formula import double, formula, nearest, root, where
from ..jit import part_of_kernel

NORMAL = 0.3989422804014327
"""The factor 1 / sqrt(2 pi) of the normal density."""
NO_SUMS = (0.0,) * 9
ALONE = 0.055
"""Width, in turns, below which the density of the neighbouring turns is lost in the rounding of the likelihood: at half
a turn it is less than exp(-0.5 (0.5 / 0.055)^2) / 0.055 = 2e-17."""


@formula
def width_of(v: Any) -> Any:
    """Standard deviation, in turns, of the phase of a spot that belongs to the lattice."""
    return root(WIDTH_FLOOR**2 + WIDTH_ACROSS**2 * dot(v, v) + WIDTH_ALONG**2 * v[2] * v[2])


@formula
def length_of(v: Any) -> Any:
    """Length of a vector, angstrom."""
    return root(dot(v, v))


@formula
def phase_of(spots: Any, j: int, v: Any) -> Any:
    """Phase of spot j in turns: s . v minus the nearest integer."""
    turns = dot(_spot(spots, j), v)
    return turns - nearest(turns)


@formula
def add_equation(sums: Any, spots: Any, j: int, phase: float, weight: float) -> Any:
    """Add spot j to the normal matrix (6) and the right side (3)."""
    s = _spot(spots, j)
    return added(sums, (*scaled(weight, products(s)), *scaled(-weight * phase, s)))


@formula
def moved(v: Any, sums: Any, ridge: float) -> Any:
    """The vector after a Gauss-Newton step of at most `LONGEST_STEP` in length."""
    xx, xy, xz, yy, yz, zz = sums[:6]
    _, step = solution(symmetric((xx + ridge, xy, xz, yy + ridge, yz, zz + ridge)), sums[6:], 0.0)
    size = root(dot(step, step))
    factor = LONGEST_STEP / where(size > LONGEST_STEP, size, LONGEST_STEP)
    return added(v, scaled(factor, step))


@formula
def vector_at(table: Any, i: int) -> Any:
    """Row i of a table as a vector in float64."""
    return tuple(double(table[i, r]) for r in range(3))


@formula
def put_vector(table: Any, i: int, v: Any) -> None:
    """Store a vector as row i of a table."""
    for r in range(3):
        table[i, r] = v[r]


def _spot(spots: Any, j: Any) -> Any:
    """Spot j in float64."""
    return tuple(double(spots[r, j]) for r in range(3))


@part_of_kernel
def density_of(phase: float, width: float) -> Any:
    """Density, at a phase, of the phases of spots that belong to the lattice; 1 on average for a random spot."""
    a = phase / width
    total = math.exp(-0.5 * a * a)
    if width > ALONE:
        b, c = (phase - 1) / width, (phase + 1) / width
        total += math.exp(-0.5 * b * b) + math.exp(-0.5 * c * c)
    return total * NORMAL / width


@part_of_kernel
def log_likelihood(spots: Any, n: int, v: Any, width: float) -> Any:
    """Log-likelihood of a vector, for a width of the phases, relative to random spots."""
    total, product = 0.0, 1.0
    for j in range(n):
        product *= 1 - TRUE + TRUE * density_of(phase_of(spots, j, v), width)
        if j % 8 == 7:
            total += math.log(product)
            product = 1.0
    return total + math.log(product)


@part_of_kernel
def best_scale(spots: Any, n: int, v: Any) -> Any:
    """The factor of `SCALES` on the width with which a vector is most likely, and the log-likelihood with it."""
    width, scale, highest = width_of(v), 1.0, -1e300
    for factor in SCALES:
        value = log_likelihood(spots, n, v, factor * width)
        if value > highest:
            scale, highest = factor, value
    return scale, highest
