"""The middle and the scatter of numbers, robust against a few that are far off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cell import Array

CENTRAL = (15.865, 50.0, 84.135)
"""Percentiles one standard deviation below the median of normal numbers, at it, and one above it."""


def median_and_spread(values: NDArray[np.floating]) -> tuple[Array, Array]:
    """Median (k,) and spread (k,) of the columns of values (n, k), n at least 1, in the unit of the values.

    The spread is half the width of the central 68 %, which is one standard deviation of normal numbers.
    """
    low, median, high = np.percentile(values, CENTRAL, axis=0)
    return median, (high - low) / 2
