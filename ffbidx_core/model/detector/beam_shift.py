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


SHIFT_ALONE = "; beam shift in mrad:"
"""Start of the text of a `ShiftAlone`."""


@dataclass(frozen=True)
class ShiftAlone:
    """A beam shift in place of a geometry: each input keeps its own geometry, or its spots without pixels.

    Attributes
    ----------
    beam_shift : BeamShift
        By how much the beam of every input is shifted.
    """

    beam_shift: BeamShift

    @property
    def text(self) -> str:
        """The shift as results record it; a comment, as a CrystFEL geometry file."""
        x, y = self.beam_shift.mrad
        return f"{SHIFT_ALONE} {x!r} {y!r}\n"

    @classmethod
    def of_text(cls, text: str) -> ShiftAlone | None:
        """The shift that a text records, or None where the text is a geometry."""
        if not text.startswith(SHIFT_ALONE):
            return None
        x, y = map(float, text.removeprefix(SHIFT_ALONE).split())
        return cls(BeamShift(mrad=(x, y)))
