"""Residuals of indexed spots with their derivatives, for programs that fit the positions of panels themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array


@dataclass(frozen=True)
class Measurements:
    """The n measurements that the spots of one crystal provide.

    Attributes
    ----------
    values, errors : (n,) float64
        Observed minus predicted value of each measurement, and its standard error.
    own : (n, k) float64
        Derivatives of the predicted values with respect to the k parameters of the crystal.
    panel : (n,) int64
        Number of the panel of each measurement.
    by_panel : (n, 6) float64
        Derivatives of the predicted values with respect to the motion of the panel; zeros where there is no dependence.
    """

    values: Array
    errors: Array
    own: Array
    panel: NDArray[np.int64]
    by_panel: Array
