"""The exponential function and the logarithm in formulas, as polynomials that vectorise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..formula import exponent_and_mantissa, where

HALVINGS, MOST = 7, 48.0
"""Number of squarings that follow the polynomial for the exponential function, and the largest negative argument."""


def _coefficients(function: Callable[[Any], Any], low: float, high: float, degree: int) -> tuple[float, ...]:
    """The coefficients of a polynomial for a function on an interval, of the lowest order first."""
    found = np.polynomial.chebyshev.Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(float(c) for c in found.convert(kind=np.polynomial.Polynomial).coef)


EXPONENTIAL = _coefficients(lambda x: np.exp(-x), 0, MOST / 2**HALVINGS, 9)
"""Polynomial for exp(-x), with a relative error below 1e-15 before the squarings."""
LOGARITHM = _coefficients(np.log, 1, 2, 11)
"""Polynomial for ln x, with an error below 1e-9."""


def exponential_of_negative(x: Any) -> Any:
    """exp(-x) for a number x in float64, 0 or more, with a relative error below 1e-12; exp(-`MOST`) if x is larger."""
    value = _polynomial(EXPONENTIAL, where(x < MOST, x, MOST) * 0.5**HALVINGS)
    for _ in range(HALVINGS):
        value = value * value
    return value


def logarithm(x: Any) -> Any:
    """ln x for a positive number x in float64, with an error below 1e-9."""
    exponent, mantissa = exponent_and_mantissa(x)
    return exponent * math.log(2) + _polynomial(LOGARITHM, mantissa)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """The value of a polynomial."""
    value = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value
