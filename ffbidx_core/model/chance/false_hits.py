"""Expected number of false crystals as good as a given one: its chance level times the number of orientations tried.

The constants belong to the search of the presets; `tests/bench/calibration.py` measures how well they hold.
docs/algorithm.md derives the formula.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from ..xp import XpArray
from . import level as chance

RESOLUTION_RANK = 0.75
"""Quantile of the spots' |s| that is taken as the frame's resolution, which sets how far a rotation moves a spot."""
DENSITY = 10**-3.3
"""Hits per narrowness^3 (see `log10_expected`) and per volume of orientation space, if the search misses none."""
FINEST = 2500.0
"""Narrowness above which the fit cannot resolve hits that lie closer together."""
SHARPNESS = 3.7
"""Rise of log10 of the fraction of hits that is found, for a rise of the evidence by 1."""
NEEDED, NEEDED_GROWTH = 0.72, 0.14
"""Evidence at which half of the hits are found among 1000 distinct orientations, and its growth per factor of ten."""
SLOPE = 0.73
"""Power of the formula's number with which the measured number of false crystals falls."""
FEWEST_OVER = 0.02
"""Lower limit of the fraction of a hit's spots in excess of the expected number, which keeps the logarithm finite."""


def log10_expected(
    counts: XpArray,
    n: XpArray,
    radius: XpArray,
    volume: XpArray,
    order: XpArray,
    resolution: XpArray,
    max_spots: int,
    n_kept: int,
    xp: ModuleType = np,
) -> XpArray:
    """log10 of the expected number of cells in a whole search that explain k or more of n random spots.

    The arrays must broadcast to one shape, which is the shape of the result.

    Parameters
    ----------
    counts
        Number k of spots within `radius` of the cell's lattice points; numbers below 1 count as 1.
    n
        Number of spots on the frame.
    radius
        Distance between a spot and a lattice point, 1/angstrom.
    volume
        Volume of the primitive unit cell, cubic angstrom.
    order
        Number of proper rotations in the symmetry of the lattice.
    resolution
        Distance from the origin within which the fraction `RESOLUTION_RANK` of the spots lies, 1/angstrom.
    max_spots
        Most spots that the search uses; the fits and counts use all.
    n_kept
        Number of cells that the search returns, which is the least number of cells tried.
    xp
        Module that computes, NumPy or CuPy.
    """
    k, n = xp.maximum(counts, 1), xp.maximum(n, 1)
    p = chance.probability(radius, volume, xp)
    over = xp.maximum(1 - n * p / k, FEWEST_OVER)
    narrowness = k * over * resolution / radius
    orientations = 8 * math.pi**2 / order * DENSITY / (narrowness**-3 + FINEST**-3)
    needed = NEEDED + NEEDED_GROWTH * xp.log10(volume * resolution**3 / order / 1000)
    missing = SHARPNESS * (needed - _evidence(k * over**2, n, max_spots, xp))
    found = -xp.log10(1 + 10 ** xp.minimum(missing, 300.0))
    tail = chance.log10_exact_tail(xp.minimum(k, n), n, p, xp)
    return xp.maximum(SLOPE * (tail + xp.log10(orientations) + found), tail + math.log10(n_kept))


def _evidence(spots: XpArray, n: XpArray, max_spots: int, xp: ModuleType) -> XpArray:
    """Number of a hit's spots in the search, over the noise, which is the square root of the spots that it uses.

    Of more than `max_spots` spots the search uses a random part, and it finds hits that happen to have many spots in
    that part more often. The second term accounts for this: it follows from the mean of 10^(SHARPNESS x) over a normal
    distribution of x.
    """
    seen = xp.minimum(n, max_spots)
    return spots / n * (xp.sqrt(1.0 * seen) + math.log(10) / 2 * SHARPNESS * (1 - seen / n))
