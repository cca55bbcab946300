"""Constants and small formulas of the fits of vectors and cells, shared by all backends."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .cell import Array

VECTOR_THRESHOLDS = (0.1, 0.05, 0.025, 0.01)
"""Thresholds of the successive fits of a candidate vector, as fractions of the spacing of lattice planes."""
RIGID_START, RIGID_LARGEST, RIGID_END = 0.48, 0.010, 0.002
"""First cut-off of the rigid fit over 1 / (longest cell vector), its upper limit, and the last cut-off, 1/angstrom."""
UNDETERMINED = 1e-12
"""Determinant (or sum of 2 x 2 minors) of a normal matrix of trace 1 below which it leaves a direction undetermined."""

CONSTRAINED_ROUNDS = 2
"""Rounds of the constrained fit after which the cut-off is estimated from the residuals; one more round follows."""
CONSTRAINED_STEPS = 2
"""Gauss-Newton steps in each round of the constrained fit."""
CONSTRAINED_SMALLEST_START = 0.0012
"""Lower limit of the constrained fit's first cut-off, 1.3 times the radius that explains the spots; 1/angstrom."""
CONSTRAINED_CUTOFF = 3.1
"""Cut-off of the constrained fit over sigma, the standard deviation of one component of the residuals."""
CONSTRAINED_LIMITS = (0.0006, 0.0045)
"""Smallest and largest cut-off of the constrained fit, 1/angstrom."""
TYPICAL_SIGMA, TYPICAL_WEIGHT = 0.00065, 8.0
"""Sigma of a typical frame, 1/angstrom, and the number of spots by which it is weighted in the estimate of sigma."""

WEIGHED_STEPS = 3
"""Gauss-Newton steps of the fit with weighted residuals."""
WEIGHED_FEWEST = 3.0
"""Sum of weights below which the fit with weighted residuals leaves a cell unchanged."""

LEFT_OUT, FEWEST_LEFT_OUT = 50, 2
"""A crystal's resolution leaves out one spot in LEFT_OUT, but at least FEWEST_LEFT_OUT, as CrystFEL's estimate does."""


def rigid_cutoffs(longest: ArrayLike, steps: int) -> Array:
    """Cut-offs of the steps of the rigid fit, a geometric series.

    Parameters
    ----------
    longest : (...,)
        Length of the longest vector of each cell, angstrom.
    steps
        Number of steps.

    Returns
    -------
    (..., steps) float64
        Cut-offs, 1/angstrom.
    """
    start = np.maximum(np.minimum(RIGID_START / np.asarray(longest, dtype=np.float64), RIGID_LARGEST), RIGID_END)
    return np.geomspace(start, RIGID_END, steps, axis=-1)
