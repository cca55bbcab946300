"""How likely chance explains a cell's spots."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..xp import XpArray

RADII = (0.0005, 0.0008, 0.0012, 0.0018, 0.0026)
"""Distances between a spot and its predicted one that are tried, 1/angstrom; the most significant counts."""
LARGEST_SHARE = 0.3
"""No radius is larger than this share of the shortest reciprocal lattice vector: spheres must not fill space."""
LARGEST_PROBABILITY = 0.7
PLANE_DISTANCES = (0.03, 0.06, 0.12)
"""Distances of a spot from the lattice planes of a vector, in units of theirs, that are tried in the same way."""
LOG10_ORIENTATIONS = 7.0
"""log10 of the number of orientations of a cell that differ. So many make one of ten random frames stand out."""
TERMS = 6
"""Terms of the binomial tail that are summed; the rest is taken for a geometric series."""


def radii(shortest_reciprocal: XpArray, xp: ModuleType = np) -> XpArray:
    """Radii tried for cells of these shortest reciprocal lattice vectors (...), (..., T) 1/angstrom."""
    return xp.minimum(xp.asarray(RADII), LARGEST_SHARE * shortest_reciprocal[..., None])


def log10_tail(counts: XpArray, n: XpArray, radius: XpArray, volume: XpArray, xp: ModuleType = np) -> XpArray:
    """log10 of Chernoff's bound on the probability that k or more of n random spots lie within a radius.

    A random spot is that near to a lattice point with p = 4/3 pi radius^3 volume.

    Parameters
    ----------
    counts : k;  n : spots of the frame;  radius : 1/angstrom;  volume : of the unit cell, cubic angstrom
        Arrays that broadcast.
    """
    return log10_bound(counts, n, probability(radius, volume, xp), xp)


def probability(radius: XpArray, volume: XpArray, xp: ModuleType = np) -> XpArray:
    """Probability that a random spot lies within a radius (1/angstrom) of a lattice point; volume in cubic angstrom."""
    return xp.minimum(4 / 3 * np.pi * radius**3 * volume, LARGEST_PROBABILITY)


def log10_exact_tail(counts: XpArray, n: XpArray, p: XpArray, xp: ModuleType = np) -> XpArray:
    """log10 of the probability itself that k or more of n spots lie where each lies with probability p; 0 for k <= n p.

    The tail of the binomial distribution: its first term is Chernoff's bound times a factor in which Stirling's series
    stands for the factorials (Loader, 2000), the further ones follow from it by their ratios. Good to 0.01 below a
    probability of 0.1, and better the lower it is.

    Parameters
    ----------
    counts : k, at least 1;  n : at least k;  p : below 1
        Arrays that broadcast.
    """
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
    """log10 of Chernoff's bound on the probability of counts k or more of n that have p each: -n KL(k/n || p) / ln 10.

    0 where no more than n p are expected anyway.
    """
    n = xp.maximum(n, 1)
    share = counts / n
    inside = xp.where(share > 0, share, 1.0)
    outside = xp.where(share < 1, 1 - share, 1.0)
    divergence = share * xp.log(inside / p) + (1 - share) * xp.log(outside / (1 - p))
    return xp.where(share > p, -n * divergence / np.log(10), 0.0)


def _stirling_error(n: XpArray, xp: ModuleType) -> XpArray:
    """ln n! less Stirling's formula for it, n at least 1."""
    m = xp.maximum(n, 1)
    return (1 / 12 - (1 / 360 - 1 / (1260 * m**2)) / m**2) / m
