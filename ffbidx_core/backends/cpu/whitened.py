"""The last fit with weighted residuals on the CPU; `backends.generic.fit_whitened` describes the method."""

from __future__ import annotations

from typing import Any

from ...model.detector.pixels import SPHERE_ERROR
from ...model.fits import TYPICAL_WEIGHT, WEIGHED_FEWEST, WEIGHED_STEPS
from ...model.misfit.equations import BIWEIGHT
from ...model.strain import COMPONENTS
from .algebra import (
    IDENTITY,
    added,
    cholesky_solution,
    cross,
    dot,
    matrix,
    multiplied,
    pair_of,
    put_cell,
    reciprocal,
    residual,
    scaled,
    spot,
    transposed,
)
from .constrained import strain_of
from .formula import double, formula, root, where
from .jit import kernel

STEPS = WEIGHED_STEPS
N = 9
"""Number of parameters: three of the rotation, six of the strain."""
NO_SUMS = (0.0,) * (2 + N * (N + 1) // 2 + N)
NO_SPHERE, NO_NOISE = (0.0, 0.0, 0.0), (0.0, 0.0)


@kernel
def fit_whitened(
    xyz: Any,
    offsets: Any,
    first: int,
    last: int,
    reference: Any,
    cutoff: Any,
    across: float,
    along: float,
    stiffness: float,
    cells: Any,
) -> None:
    """Fit rotation and strain of cells[first:last] (F, 1, 3, 3) in place.

    Parameters
    ----------
    reference : (F, 3, 3)
        Cells without strain, rows a, b, c, angstrom.
    cutoff : (F,)
        Distance within which the initial cell explains its spots, 1/angstrom.
    across, along
        Standard deviations of the residuals across and along the ray, 1/angstrom.
    stiffness
        Weight of the prior, 1 / prior^2.
    """
    for f in range(first, last):
        regular, pair = pair_of(cells, f, 0)
        if regular:
            sphere, noise = NO_SPHERE, NO_NOISE
            for j in range(offsets[f], offsets[f + 1]):
                sphere = add_sphere(sphere, xyz, j)
            seen = sphere_of(sphere, across, along)
            for j in range(offsets[f], offsets[f + 1]):
                noise = add_noise(noise, xyz, j, pair, seen, cutoff[f])
            scale = noise_of(noise[0], noise[1])
            for _ in range(STEPS):
                sums = NO_SUMS
                for j in range(offsets[f], offsets[f + 1]):
                    sums = add_weighed(sums, xyz, j, pair, seen, scale)
                scale = noise_of(sums[0], sums[1])
                pair = moved(pair, sums, reference, f, stiffness)
            put_cell(cells, f, 0, pair[0])


@formula
def add_sphere(sums: Any, xyz: Any, j: int) -> Any:
    """Add a spot with the squared length s and the depth d to the sums of s d, d d and s s that fit an Ewald sphere."""
    s = double(spot(xyz, j))
    square, depth = dot(s, s), 0.0 - s[2]
    return added(sums, (square * depth, depth * depth, square * square))


@formula
def sphere_of(sums: Any, across: float, along: float) -> Any:
    """The wavelength, and 1 / sigma of the residuals across and along the ray, which are equal if no sphere fits."""
    mixed, depths, squares = sums
    some = depths > 0
    radius = mixed / where(some, 2 * depths, 1.0)
    off = squares - 4 * radius * mixed + 4 * radius * radius * depths
    on_sphere = some & (radius > 0) & (off < SPHERE_ERROR * SPHERE_ERROR * squares)
    return 1 / where(on_sphere, radius, 1.0), 1 / where(on_sphere, across, along), 1 / along


def _whitened(xyz: Any, j: Any, pair: Any, seen: Any) -> Any:
    """The predicted spot, its residual, three axes divided by sigma, and the components of the residual along them."""
    wavelength, across, along = seen
    s = double(spot(xyz, j))
    e = residual(s, pair)
    q = tuple(a - b for a, b in zip(s, e, strict=True))
    ray = (q[0] * wavelength, q[1] * wavelength, q[2] * wavelength + 1.0)
    ray = scaled(1 / root(dot(ray, ray)), ray)
    x, y, z = ray
    flat = abs(x) < 0.6
    first = (where(flat, 0.0, 0.0 - z), where(flat, z, 0.0), where(flat, 0.0 - y, x))
    first = scaled(1 / root(dot(first, first)), first)
    axes = scaled(across, first), scaled(across, cross(ray, first)), scaled(along, ray)
    return q, e, axes, tuple(dot(axis, e) for axis in axes)


@formula
def add_noise(sums: Any, xyz: Any, j: int, pair: Any, seen: Any, cutoff: float) -> Any:
    """Add a spot within the cut-off of its predicted spot to the sums: count, squared residual in units of sigma."""
    _, e, _, r = _whitened(xyz, j, pair, seen)
    w = double(dot(e, e) < cutoff * cutoff)
    return added(sums, (w, w * dot(r, r)))


@formula
def noise_of(weights: float, squares: float) -> Any:
    """Variance of the residuals in units of the run's, with a prior weight on the value 1."""
    return (squares / 3 + TYPICAL_WEIGHT) / (weights + TYPICAL_WEIGHT)


@formula
def add_weighed(sums: Any, xyz: Any, j: int, pair: Any, seen: Any, scale: float) -> Any:
    """Add a spot to the sums: biweight, weighted squared residual, normal matrix (45) and right side (9)."""
    q, _, axes, r = _whitened(xyz, j, pair, seen)
    square = dot(r, r)
    share = 1 - square / (BIWEIGHT * BIWEIGHT * scale)
    w = where(share > 0, share * share, 0.0)
    rows = []
    for axis in axes:
        a, b, c = axis
        x, y, z = q
        rows.append((*cross(q, axis), a * x, b * y, c * z, a * y + b * x, a * z + c * x, b * z + c * y))
    u = w / scale
    weighed = [scaled(u, row) for row in rows]
    normal = [
        sum_of(v[i] * row[k] for v, row in zip(weighed, rows, strict=True)) for i in range(N) for k in range(i, N)
    ]
    right = [sum_of(v[i] * each for v, each in zip(weighed, r, strict=True)) for i in range(N)]
    return added(sums, (w, w * square, *normal, *right))


def sum_of(terms: Any) -> Any:
    """The sum of at least one number."""
    first, *others = terms
    for other in others:
        first = first + other
    return first


@formula
def moved(pair: Any, sums: Any, reference: Any, f: int, stiffness: float) -> Any:
    """The pair of cells after one Gauss-Newton step; unchanged if there are too few spots."""
    values = iter(sums[2:])
    normal: list[list[Any]] = [[None] * N for _ in range(N)]
    for i in range(N):
        for k in range(i, N):
            normal[i][k] = normal[k][i] = next(values)
    right = list(values)
    strain = strain_of(pair[1], matrix(reference, f))
    for p in range(N):
        if p >= 3:
            i, k = COMPONENTS[p - 3]
            stiff = stiffness * (1.0 if i == k else 2.0)
            normal[p][p] = normal[p][p] + stiff
            right[p] = right[p] - stiff * strain[i][k]
        normal[p][p] = normal[p][p] * (1 + 1e-9) + 1e-6
    solved, x = cholesky_solution(normal, right)
    turn = ((0.0, 0.0 - x[2], x[1]), (x[2], 0.0, 0.0 - x[0]), (0.0 - x[1], x[0], 0.0))
    e = ((x[3], x[6], x[7]), (x[6], x[4], x[8]), (x[7], x[8], x[5]))
    step = tuple(tuple(IDENTITY[i][k] + turn[i][k] + e[i][k] for k in range(3)) for i in range(3))
    recip = multiplied(pair[1], transposed(step))
    moving = solved & (sums[0] > WEIGHED_FEWEST)
    return where(moving, (reciprocal(recip)[1], recip), pair)
