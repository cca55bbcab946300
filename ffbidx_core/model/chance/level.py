"""The chance level: the probability that random spots lie as close to a cell's lattice points as the observed ones."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..cell import Array
from ..xp import XpArray

RADII = (0.0005, 0.0008, 0.0012, 0.0018, 0.0026)
"""Radii of acceptance about a lattice point that are tried, 1/angstrom; the most significant one counts."""
LARGEST_SHARE = 0.3
"""Upper limit of a radius over the shortest reciprocal lattice vector, so that the spheres do not fill space."""
LARGEST_PROBABILITY = 0.7
"""Upper limit of the probability that a random spot lies within a radius of a lattice point."""
PLANE_DISTANCES = (0.03, 0.06, 0.12)
"""Distances from the lattice planes of a vector that are tried likewise, as fractions of the planes' spacing."""
LOG10_ORIENTATIONS = 7.0
"""log10 of the number of distinct orientations of a cell; with so many, about one random frame in ten stands out."""
TERMS = 6
"""Number of terms of the binomial tail that are summed; a geometric series stands for the remaining ones."""


def radii(shortest_reciprocal: Array) -> Array:
    """Radii of acceptance that are tried for cells.

    Parameters
    ----------
    shortest_reciprocal : (...,)
        Length of the shortest reciprocal lattice vector of each cell, 1/angstrom.

    Returns
    -------
    (..., T)
        The T radii of each cell, 1/angstrom.
    """
    return np.asarray(np.minimum(RADII, LARGEST_SHARE * shortest_reciprocal[..., None]))


def log10_tail(counts: XpArray, n: XpArray, radius: XpArray, volume: XpArray, xp: ModuleType = np) -> XpArray:
    """log10 of Chernoff's bound on the probability that k or more of n random spots lie within a radius.

    A random spot lies within the radius of a lattice point with the probability p = 4/3 pi radius^3 volume. The arrays
    must broadcast to one shape, which is the shape of the result.

    Parameters
    ----------
    counts
        Number k of spots within the radius of a lattice point.
    n
        Number of spots on the frame.
    radius
        Radius of acceptance, 1/angstrom.
    volume
        Volume of the primitive unit cell, cubic angstrom.
    xp
        Module that computes, NumPy or CuPy.
    """
    return log10_bound(counts, n, probability(radius, volume, xp), xp)


def probability(radius: XpArray, volume: XpArray, xp: ModuleType = np) -> XpArray:
    """Probability that a random spot lies within a radius (1/angstrom) of a lattice point; volume in cubic angstrom."""
    return xp.minimum(4 / 3 * np.pi * radius**3 * volume, LARGEST_PROBABILITY)


def log10_exact_tail(counts: XpArray, n: XpArray, p: XpArray, xp: ModuleType = np) -> XpArray:
    """log10 of the tail of the binomial distribution: the probability of k or more of n spots; 0 for k <= n p.

    The first term of the tail is Chernoff's bound times a factor in which Stirling's series replaces the factorials
    (C. Loader, Fast and Accurate Computation of Binomial Probabilities, 2000); the further terms follow by their
    ratios. The result is within 0.01 of the exact one for probabilities below 0.1, and closer for smaller ones. The
    arrays must broadcast to one shape, which is the shape of the result.

    Parameters
    ----------
    counts
        Number k of spots, at least 1.
    n
        Number of all spots, at least k.
    p
        Probability of each spot to be counted, below 1.
    xp
        Module that computes, NumPy or CuPy.
    """
    # Mixed types would be converted in every single operation.
    counts, n = xp.asarray(counts, dtype=xp.float64), xp.asarray(n, dtype=xp.float64)
    rest = n - counts
    width = xp.where(rest > 0, n / (2 * np.pi * counts * xp.maximum(rest, 1)), 1.0)
    first = xp.where(rest > 0, _stirling_error(n, xp) - _stirling_error(counts, xp) - _stirling_error(rest, xp), 0.0)
    first = first + xp.log(width) / 2
    odds = p / (1 - p)
    term = total = xp.ones_like(odds * counts)
    for i in range(TERMS):
        term = term * odds * xp.maximum(rest - i, 0) / (counts + (1 + i))
        total = total + term
    ratio = xp.minimum(odds * xp.maximum(rest - TERMS, 0) / (counts + (1 + TERMS)), 0.99)
    total = total + term * ratio / (1 - ratio)
    tail = log10_bound(counts, n, p, xp) + (first + xp.log(total)) / np.log(10)
    return xp.where(counts > n * p, xp.minimum(tail, 0.0), 0.0)


def log10_bound(counts: XpArray, n: XpArray, p: XpArray, xp: ModuleType = np) -> XpArray:
    """log10 of Chernoff's bound on the probability that k = `counts` or more of n spots count, each with probability p.

    The bound is -n KL(k/n || p) / ln 10 with the Kullback-Leibler divergence KL, and 0 for k <= n p. The arrays must
    broadcast to one shape, which is the shape of the result.
    """
    n = xp.maximum(n, 1)
    share = counts / n
    inside = xp.where(share > 0, share, 1.0)
    outside = xp.where(share < 1, 1 - share, 1.0)
    divergence = share * xp.log(inside / p) + (1 - share) * xp.log(outside / (1 - p))
    return xp.where(share > p, -n * divergence / np.log(10), 0.0)


def _stirling_error(n: XpArray, xp: ModuleType) -> XpArray:
    """The error ln n! - ln(Stirling's formula for n!), by its asymptotic series, for n of at least 1."""
    m = xp.maximum(n, 1)
    return (1 / 12 - (1 / 360 - 1 / (1260 * m**2)) / m**2) / m
