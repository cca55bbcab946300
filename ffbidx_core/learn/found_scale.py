"""A scale at which frames fit their cell, and the lengths and units that may have caused it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array

UNITS = (10.0, 0.1, 2 * np.pi, 1 / (2 * np.pi))
"""Scales of a wrong unit, and of a missing or extra factor 2 pi."""
OF_DISTANCE = {
    10.0: "a number in mm was taken for cm, or the pixels are ten times larger than in the geometry",
    0.1: "a number in cm was taken for mm, or the pixels are ten times smaller than in the geometry",
    100.0: "a number in cm was taken for m",
    0.01: "a number in m was taken for cm",
    1000.0: "a number in mm was taken for m",
}
"""Causes of the divisors of the distance that are always tried, because its unit may be wrong.

A number in m that is taken for mm puts the detector before the sample or nearly so, which its reader reports.
"""
SAME_UNIT = 0.02
"""Largest relative difference between a divisor of a length and that of a unit for which it is taken."""
STEEPEST = 0.3
"""Smallest value of the fall of ln |q| with ln distance that is used, so that no distance is absurd."""
FAR = 1.6
"""Factor or divisor beyond which a scale is not that of a length that is slightly wrong."""


def divisor_of_distance(spots: NDArray[Any], wavelengths: Array | float, scale: float) -> float:
    """The divisor of the distance that scales a spot of median angle by a factor.

    With the Bragg angle T, ln |q| falls by cos^2 T cos 2T per unit of ln distance.
    """
    sine = np.linalg.norm(spots.astype(np.float64), axis=1) * wavelengths / 2
    slope = float(np.median((1 - sine**2) * (1 - 2 * sine**2)))
    return 1 + (scale - 1) / max(slope, STEEPEST)


class Cause(Enum):
    """Lengths that may make a scale wrong, as far as the frames distinguish between them."""

    ANY = "the distance of the detector, the wavelength or the cell"
    DISTANCE = "the distance of the detector"
    NOT_DISTANCE = "the wavelength or the cell"


@dataclass(frozen=True)
class Scale:
    """A scale at which frames fit their cell.

    Attributes
    ----------
    factor : float
        Factor by which the lengths of the cell must be multiplied to fit.
    indexed, before, of : int
        Number of frames indexed at this scale, indexed at the given scale, and tried.
    cause : Cause
        Lengths that may be wrong.
    distance : float
        Number by which the detector distance must be divided to fit best.
    wavelength : float or None
        Wavelength with which the spots were computed, angstrom; None if they lie on no Ewald sphere.
    """

    factor: float
    indexed: int
    before: int
    of: int
    cause: Cause = Cause.ANY
    distance: float = 1.0
    wavelength: float | None = None

    @property
    def is_far(self) -> bool:
        """Whether the factor is that of a mistake about a unit or 2 pi, and not of a length that is slightly wrong."""
        return is_far(self.factor)

    @property
    def is_of_wavelength(self) -> bool:
        """Whether the factor is that of a mistake about the wavelength alone: none of `UNITS`."""
        return self.is_far and self.factor not in UNITS

    @property
    def unit_of_distance(self) -> str:
        """The mistake about the unit of the distance; empty if `distance` is not the factor of one."""
        return next((why for by, why in OF_DISTANCE.items() if abs(self.distance / by - 1) < SAME_UNIT), "")


def is_far(factor: float) -> bool:
    """Whether a factor is beyond those of lengths that are slightly wrong."""
    return not 1 / FAR < factor < FAR
