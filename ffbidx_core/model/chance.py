"""How likely chance explains a cell's spots."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

RADII = (0.0005, 0.0008, 0.0012, 0.0018, 0.0026)
"""Distances between a spot and its predicted one that are tried, 1/angstrom; the most significant counts."""
LARGEST_SHARE = 0.3
"""No radius is larger than this share of the shortest reciprocal lattice vector: spheres must not fill space."""
LARGEST_PROBABILITY = 0.7
PLANE_DISTANCES = (0.03, 0.06, 0.12)
"""Distances of a spot from the lattice planes of a vector, in units of theirs, that are tried in the same way."""
LOG10_ORIENTATIONS = 7.0
"""log10 of the number of orientations of a cell that differ. So many make one of ten random frames stand out."""


def radii(shortest_reciprocal: Any, xp: ModuleType = np) -> Any:
    """Radii tried for cells of these shortest reciprocal lattice vectors (...), (..., T) 1/angstrom."""
    return xp.minimum(xp.asarray(RADII), LARGEST_SHARE * shortest_reciprocal[..., None])


def log10_tail(counts: Any, n: Any, radius: Any, volume: Any, xp: ModuleType = np) -> Any:
    """log10 of Chernoff's bound on the probability that k or more of n random spots lie within a radius.

    A random spot is that near to a lattice point with p = 4/3 pi radius^3 volume.

    Parameters
    ----------
    counts : k;  n : spots of the frame;  radius : 1/angstrom;  volume : of the unit cell, cubic angstrom
        Arrays that broadcast.
    """
    return log10_bound(counts, n, xp.minimum(4 / 3 * np.pi * radius**3 * volume, LARGEST_PROBABILITY), xp)


def log10_bound(counts: Any, n: Any, p: Any, xp: ModuleType = np) -> Any:
    """log10 of Chernoff's bound on the probability of counts k or more of n that have p each: -n KL(k/n || p) / ln 10.

    0 where no more than n p are expected anyway.
    """
    n = xp.maximum(n, 1)
    share = counts / n
    inside = xp.where(share > 0, share, 1.0)
    outside = xp.where(share < 1, 1 - share, 1.0)
    divergence = share * xp.log(inside / p) + (1 - share) * xp.log(outside / (1 - p))
    return xp.where(share > p, -n * divergence / np.log(10), 0.0)
