"""Centre and spread of numbers, robust against a few outliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cell import Array

CENTRAL = (15.865, 50.0, 84.135)
"""Percentiles of a normal distribution at -1, 0 and +1 standard deviations from its mean."""


def median_and_spread(values: NDArray[np.floating]) -> tuple[Array, Array]:
    """Median and spread of each column of a table.

    The spread is half the width of the central 68 %, which is the standard deviation of normally distributed values.

    Parameters
    ----------
    values : (n, k)
        At least one row.

    Returns
    -------
    median, spread : (k,) float64
        In the unit of the values.
    """
    low, median, high = np.percentile(values, CENTRAL, axis=0)
    return median, (high - low) / 2
