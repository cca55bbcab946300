"""How many crystals as good as one are expected where there is none: its chance, times the orientations tried.

The constants belong to the search of the presets; `tests/bench/calibration.py` measures what they are worth. The
formula is derived in docs/algorithm.md.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from ..xp import XpArray
from . import level as chance

RESOLUTION_RANK = 0.75
"""Share of a frame's spots that lie inside the resolution which says how far a turn moves a spot."""
DENSITY = 10**-3.3
"""Hits per unit of narrowness^3 (see `log10_expected`) and of the volume of orientations, where none is missed."""
FINEST = 2500.0
"""Narrowness at which a hit is as narrow as the fit that must end in it can resolve."""
SHARPNESS = 3.7
"""Powers of ten of hits that are found, for a change of the evidence by 1."""
NEEDED, NEEDED_GROWTH = 0.72, 0.14
"""Evidence at which half of the hits are found where 1000 orientations are apart; its growth for ten times as many."""
SLOPE = 0.73
"""The measured numbers fall with this power of the formula's."""
FEWEST_OVER = 0.02
"""Share of the spots above what is expected that a hit has at least, so that its logarithm is finite."""


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
    """log10 of the number of cells that explain k or more of n random spots, expected over a whole search.

    Parameters
    ----------
    counts : k
        Spots within `radius` of the cell's lattice points; fewer than 1 count as 1.
    n : spots of the frame;  radius : 1/angstrom;  volume : of the unit cell, cubic angstrom
    order
        Number of rotations that the lattice's symmetry makes equal.
    resolution
        |s| inside which `RESOLUTION_RANK` of the spots lie, 1/angstrom.
    max_spots
        Spots that the search uses; fits and counts use all.
    n_kept
        Cells that the search hands over: so many are tried at least, however little it sees.
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
    """How far a hit of so many spots stands out of those that the search uses, in their noise, which is sqrt(n).

    Of more than `max_spots` spots the search sees a random part: of the hits those are found that have the luck to be
    seen well. The mean of 10^(SHARPNESS luck) over a normal distribution is the second term.
    """
    seen = xp.minimum(n, max_spots)
    return spots / n * (xp.sqrt(1.0 * seen) + math.log(10) / 2 * SHARPNESS * (1 - seen / n))
