"""Residuals with their derivatives, for programs that fit panels themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array


@dataclass(frozen=True)
class Measurements:
    """The n measurements of a crystal.

    Attributes
    ----------
    values, errors : (n,) float64
        Observed less predicted, and its standard error.
    own : (n, k) float64
        Derivatives of the predictions by the k parameters of the crystal.
    panel : (n,) int64
        Panel of each.
    by_panel : (n, 6) float64
        Derivatives of the predictions by the motion of the panel, zeros where they do not depend on it.
    """

    values: Array
    errors: Array
    own: Array
    panel: NDArray[np.int64]
    by_panel: Array
