"""Constants and small formulas of the fits, shared by all backends."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .cell import Array

VECTOR_THRESHOLDS = (0.1, 0.05, 0.025, 0.01)
"""Falling thresholds of the candidate vectors' fit, fractions of a lattice plane's spacing."""
RIGID_START, RIGID_LARGEST, RIGID_END = 0.48, 0.010, 0.002
"""Cut-offs of the rigid fit: first (times 1 / longest vector), at most, last; 1/angstrom."""
UNDETERMINED = 1e-12
"""Determinant (or sum of its 2 x 2 minors) of a normal matrix of trace 1 at which a direction is left undetermined."""

CONSTRAINED_ROUNDS = 2
"""Rounds of the constrained fit in which the cut-off is taken from the residuals; one more follows."""
CONSTRAINED_STEPS = 2
"""Gauss-Newton steps in each round."""
CONSTRAINED_SMALLEST_START = 0.0012
"""The first cut-off is 1.3 times the radius that explains the spots, or this if larger; 1/angstrom."""
CONSTRAINED_CUTOFF = 3.1
"""Cut-off over sigma, the standard deviation of one component of the residuals."""
CONSTRAINED_LIMITS = (0.0006, 0.0045)
"""Smallest and largest cut-off, 1/angstrom."""
TYPICAL_SIGMA, TYPICAL_WEIGHT = 0.00065, 8.0
"""Sigma of a typical frame, 1/angstrom, and the number of spots that it stands for in the estimate."""

WEIGHED_STEPS = 3
"""Gauss-Newton steps of the fit with weighed residuals."""
WEIGHED_FEWEST = 3.0
"""Sum of weights below which it leaves a cell as it is."""


def rigid_cutoffs(longest: ArrayLike, steps: int) -> Array:
    """Cut-offs of the rigid fit's steps, (..., steps) 1/angstrom: geometric, for cells of these longest vectors."""
    start = np.maximum(np.minimum(RIGID_START / np.asarray(longest, dtype=np.float64), RIGID_LARGEST), RIGID_END)
    return np.geomspace(start, RIGID_END, steps, axis=-1)
