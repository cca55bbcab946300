"""The detector distance that frames have in common, and the distance that would be right if a number is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ranges import NEAREST_DETECTOR
from ..cell import Array
from .beam import offset_along_beam
from .panels import Detector

SAME_DISTANCE = 1e-3
"""Relative difference of the distances of frames up to which one distance stands for all."""


@dataclass(frozen=True)
class FirstDistance:
    """The distance that the first frames have in common; distances that it returns are such as `--distance` takes.

    Attributes
    ----------
    value : float
        Distance as defined in the geometry, mm, from which the offsets of the panels are measured.
    detector : Detector
        The panels.
    """

    value: float
    detector: Detector

    @classmethod
    def common(cls, distances: Array, detector: Detector) -> FirstDistance | None:
        """The one that frames with these distances, mm, have in common; None if they differ or are not known."""
        known = distances[np.isfinite(distances)]
        if len(known) == 0 or np.ptp(known) > SAME_DISTANCE * abs(float(np.median(known))):
            return None
        return cls(float(np.median(known)), detector)

    def divided(self, by: float, *, unit_is_wrong: bool) -> float:
        """The distance with which panels are at 1 / by of their mean distance; offsets of panels are in another unit.

        Parameters
        ----------
        by
            Number by which the distance is divided.
        unit_is_wrong
            Whether only the number in the geometry is divided, and not the offsets of the panels.
        """
        mean = 0.0 if unit_is_wrong else self.detector.mean_offset
        return (self.value + mean) / by - mean + offset_along_beam(self.detector)

    @property
    def in_metres(self) -> float | None:
        """The distance if its number is in m and was taken for mm; None if it is not so small."""
        if not 0 < self.value < NEAREST_DETECTOR:
            return None
        return self.divided(1e-3, unit_is_wrong=True)
