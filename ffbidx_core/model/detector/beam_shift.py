"""How far the beam is from where it is taken to be, and the two units of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

import numpy as np

from ..cell import Array

Radian = NewType("Radian", Array)
"""A beam shift (..., 2) along x and y, radian: an angle so small that it is the same in units of the distance.

All formulas take and give this one.
"""


@dataclass(frozen=True, kw_only=True)
class BeamShift:
    """Where the beam meets the detector, along x and y, from where it is taken to be.

    Options, messages and files say it in mrad, formulas take it in radian; there is no other way from one to the other
    than this class. It holds the numbers that are written, so that a run and a run that reads its results have the same
    shift to the last bit.

    Attributes
    ----------
    mrad : (2,) float
    """

    mrad: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def from_radian(cls, shift: Radian) -> BeamShift:
        """The beam shift (2,) that a formula gave."""
        x, y = (1e3 * shift).tolist()
        return cls(mrad=(x, y))

    @property
    def radian(self) -> Radian:
        """The beam shift (2,) as formulas take it."""
        return Radian(1e-3 * np.array(self.mrad))

    def __add__(self, other: BeamShift) -> BeamShift:
        return BeamShift(mrad=(self.mrad[0] + other.mrad[0], self.mrad[1] + other.mrad[1]))

    def __bool__(self) -> bool:
        """Whether the beam is shifted at all."""
        return any(self.mrad)


NO_SHIFT = BeamShift()
