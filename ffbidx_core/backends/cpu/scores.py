"""The score of directions and of cells turned about an axis, many at a time in the SIMD lanes.

score = gmean - count - 1 with gmean = (prod_j (trim(d_j) + delta))^(1/n) - delta. The kernels give a float32 key of the
same order: -count + (mean log2 of the factors, scaled to [0, 1)). Factors are multiplied and their exponents taken out
before they can leave float32, so that one logarithm per direction is enough.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import exact, kernel

f4, i4 = np.float32, np.int32
TILE = 512
"""Directions per pass over the spots: the three accumulators stay in the first-level cache."""
UNROLLED = 4
"""Spots per step of the inner loops; lists are padded to a multiple of it with spots at the origin."""

# log2 on [1, 2], interpolated at the Chebyshev points: absolute error below 2e-7.
L0, L1, L2, L3, L4, L5, L6, L7 = (
    f4(c)
    for c in np.polynomial.chebyshev.Chebyshev.interpolate(np.log2, 7, domain=[1, 2])
    .convert(kind=np.polynomial.Polynomial)
    .coef
)


@exact
def padded(n: int) -> int:
    """The next multiple of UNROLLED."""
    return ((n + UNROLLED - 1) // UNROLLED) * UNROLLED


@exact
def score_constants(triml: float, trimh: float, delta: float, n: int) -> Any:
    """Constants of the product of factors for n spots padded to a multiple of UNROLLED.

    Returns
    -------
    low, high : the trims; scale, shift : a factor is trim(d) * scale + shift, about 1 / sqrt(ratio) to sqrt(ratio);
    correction : log2 of what the padding adds; span : scales the mean log2 to [0, 1); every : spots between two
    takings-out of the exponent.
    """
    # A factor of zero has no logarithm; distances below 2^-60 of the range do not exist in float32.
    high = trimh + delta
    low = max(triml + delta, high * 2.0**-60)
    scale = 1.0 / np.sqrt(low * high)
    half = 0.5 * np.log2(high / low)
    every = min(64, int(120.0 / max(half, 1.0)) // UNROLLED * UNROLLED)
    correction = -(padded(n) - n) * half
    span = 0.999 / (2.0 * half) if half > 0.0 else 0.0
    return (
        f4(low - delta), f4(trimh), f4(scale), f4(delta * scale), f4(correction), f4(span), f4(half),
        max(every, UNROLLED),
    )


@kernel
def take_exponents(product: Any, exponent: Any, n: int) -> None:
    """Move the binary exponents of products to exponents."""
    bits = product.view(np.int32)
    for k in range(n):
        b = bits[k]
        exponent[k] += f4((b >> i4(23)) - i4(127))
        bits[k] = (b & i4(0x7FFFFF)) | i4(0x3F800000)


@kernel
def log2_of_mantissa(x: Any) -> Any:
    """log2 of x in [1, 2)."""
    return L0 + x * (L1 + x * (L2 + x * (L3 + x * (L4 + x * (L5 + x * (L6 + x * L7))))))


@kernel
def direction_keys(
    directions: Any, n_directions: int, spots: Any, n: int, limit: Any, constants: Any, keys: Any
) -> None:
    """Keys of directions (3, P padded to TILE) for spots (3, padded(n)) that are multiplied by the vector's length."""
    low, high, scale, shift, correction, span, half, every = constants
    product, count, exponent = np.empty(TILE, f4), np.empty(TILE, f4), np.empty(TILE, f4)
    n_padded = padded(n)
    # Spots at the origin count, unless nothing does.
    uncounted = f4(n_padded - n) if limit > f4(0) else f4(0)
    per_spot = f4(1) / f4(n)
    for first in range(0, n_directions, TILE):
        last = first + TILE
        x, y, z = directions[0, first:last], directions[1, first:last], directions[2, first:last]
        for k in range(TILE):
            product[k] = f4(1)
            count[k] = uncounted
            exponent[k] = f4(0)
        since = 0
        for j in range(0, n_padded, UNROLLED):
            x0, y0, z0 = spots[0, j], spots[1, j], spots[2, j]
            x1, y1, z1 = spots[0, j + 1], spots[1, j + 1], spots[2, j + 1]
            x2, y2, z2 = spots[0, j + 2], spots[1, j + 2], spots[2, j + 2]
            x3, y3, z3 = spots[0, j + 3], spots[1, j + 3], spots[2, j + 3]
            for k in range(TILE):
                u, v, w = x[k], y[k], z[k]
                c = count[k]
                h = u * x0 + v * y0 + w * z0
                d = abs(h - np.rint(h))
                f = min(max(d, low), high) * scale + shift
                c -= f4(1) if d < limit else f4(0)
                h = u * x1 + v * y1 + w * z1
                d = abs(h - np.rint(h))
                f *= min(max(d, low), high) * scale + shift
                c -= f4(1) if d < limit else f4(0)
                h = u * x2 + v * y2 + w * z2
                d = abs(h - np.rint(h))
                f *= min(max(d, low), high) * scale + shift
                c -= f4(1) if d < limit else f4(0)
                h = u * x3 + v * y3 + w * z3
                d = abs(h - np.rint(h))
                f *= min(max(d, low), high) * scale + shift
                c -= f4(1) if d < limit else f4(0)
                product[k] *= f
                count[k] = c
            since += UNROLLED
            if since >= every:
                since = 0
                take_exponents(product, exponent, TILE)
        take_exponents(product, exponent, TILE)
        for k in range(TILE):
            mean = (exponent[k] + log2_of_mantissa(product[k]) - correction) * per_spot
            keys[first + k] = count[k] + (mean + half) * span


@kernel
def angle_keys(
    table: Any, n_angles: int, rows: Any, n_near: int, n: int, limit: Any, constants: Any, work: Any, keys: Any
) -> None:
    """Keys of a cell at angles about its axis.

    Parameters
    ----------
    table : (4, A) float32
        For both vectors across the axis, what multiplies a spot's coordinates along u and w.
    rows : (5, padded(n_near)) float32
        Of the spots near a lattice plane of the axis: coordinates along u and w, what the axis adds to the two
        indices, the squared distance along the axis. The other n - n_near spots have the largest factor.
    work : (3, A) float32
        Scratch.
    """
    low, high, scale, shift, correction, span, half, every = constants
    product, count, exponent = work[0], work[1], work[2]
    a0, a1, b0, b1 = table[0], table[1], table[2], table[3]
    n_padded = padded(n_near)
    squared = limit * limit
    uncounted = f4(n_padded - n_near) if limit > f4(0) else f4(0)
    per_spot = f4(1) / f4(n)
    for k in range(n_angles):
        product[k] = f4(1)
        count[k] = uncounted
        exponent[k] = f4(0)
    since = 0
    for j in range(0, n_padded, UNROLLED):
        p0, q0, g0, h0, e0 = rows[0, j], rows[1, j], rows[2, j], rows[3, j], rows[4, j]
        p1, q1, g1, h1, e1 = rows[0, j + 1], rows[1, j + 1], rows[2, j + 1], rows[3, j + 1], rows[4, j + 1]
        p2, q2, g2, h2, e2 = rows[0, j + 2], rows[1, j + 2], rows[2, j + 2], rows[3, j + 2], rows[4, j + 2]
        p3, q3, g3, h3, e3 = rows[0, j + 3], rows[1, j + 3], rows[2, j + 3], rows[3, j + 3], rows[4, j + 3]
        for k in range(n_angles):
            ua, wa, ub, wb = a0[k], a1[k], b0[k], b1[k]
            c = count[k]
            x = ua * p0 + wa * q0 + g0
            y = ub * p0 + wb * q0 + h0
            x -= np.rint(x)
            y -= np.rint(y)
            d = x * x + y * y + e0
            f = min(max(np.sqrt(d), low), high) * scale + shift
            c -= f4(1) if d < squared else f4(0)
            x = ua * p1 + wa * q1 + g1
            y = ub * p1 + wb * q1 + h1
            x -= np.rint(x)
            y -= np.rint(y)
            d = x * x + y * y + e1
            f *= min(max(np.sqrt(d), low), high) * scale + shift
            c -= f4(1) if d < squared else f4(0)
            x = ua * p2 + wa * q2 + g2
            y = ub * p2 + wb * q2 + h2
            x -= np.rint(x)
            y -= np.rint(y)
            d = x * x + y * y + e2
            f *= min(max(np.sqrt(d), low), high) * scale + shift
            c -= f4(1) if d < squared else f4(0)
            x = ua * p3 + wa * q3 + g3
            y = ub * p3 + wb * q3 + h3
            x -= np.rint(x)
            y -= np.rint(y)
            d = x * x + y * y + e3
            f *= min(max(np.sqrt(d), low), high) * scale + shift
            c -= f4(1) if d < squared else f4(0)
            product[k] *= f
            count[k] = c
        since += UNROLLED
        if since >= every:
            since = 0
            take_exponents(product, exponent, n_angles)
    take_exponents(product, exponent, n_angles)
    far = f4(n - n_near) * half
    for k in range(n_angles):
        mean = (exponent[k] + log2_of_mantissa(product[k]) - correction + far) * per_spot
        keys[k] = count[k] + (mean + half) * span


@kernel
def cell_score(
    xyz: Any, first: int, n: int, cell: Any, triml: float, trimh: float, delta: float, limit: float
) -> Any:
    """The score of one cell (3, 3) over the n spots from `first` on, in float64."""
    count, logarithm, product = 0, 0.0, 1.0
    for j in range(first, first + n):
        s0, s1, s2 = np.float64(xyz[0, j]), np.float64(xyz[1, j]), np.float64(xyz[2, j])
        squared = 0.0
        for r in range(3):
            h = cell[r, 0] * s0 + cell[r, 1] * s1 + cell[r, 2] * s2
            h -= np.rint(h)
            squared += h * h
        d = np.sqrt(squared)
        if d < limit:
            count += 1
        product *= min(max(d, triml), trimh) + delta
        if product < 1e-200 or product > 1e200:
            logarithm += np.log(product)
            product = 1.0
    logarithm += np.log(product)
    return np.exp(logarithm / n) - delta - count - 1.0
