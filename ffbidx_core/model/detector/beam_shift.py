"""The beam shift: the offset of the beam from its assumed position on the detector, in radian and in mrad."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import NewType

import numpy as np

from ..cell import Array
from .distortion import NO_DISTORTION, Distortion

Radian = NewType("Radian", Array)
"""A beam shift (..., 2) along x and y in radian, the unit of all formulas.

The angle is small enough to equal the offset on the detector divided by the detector distance.
"""


@dataclass(frozen=True, kw_only=True)
class BeamShift:
    """The offset of the beam on the detector, along x and y, from its assumed position.

    Options, messages and files give the shift in mrad and formulas use radian; only this class converts between the
    two. It keeps the numbers in mrad as they are written, so that a run and a later run that reads its results use the
    same shift to the last bit.

    Attributes
    ----------
    mrad : (2,) float
        Shift along x and y, mrad.
    """

    mrad: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def from_radian(cls, shift: Radian) -> BeamShift:
        """The beam shift from an array (2,) in radian."""
        x, y = (1e3 * shift).tolist()
        return cls(mrad=(x, y))

    @property
    def radian(self) -> Radian:
        """The beam shift as an array (2,) in radian."""
        return Radian(1e-3 * np.array(self.mrad))

    def __add__(self, other: BeamShift) -> BeamShift:
        return BeamShift(mrad=(self.mrad[0] + other.mrad[0], self.mrad[1] + other.mrad[1]))

    def __bool__(self) -> bool:
        """Whether the shift differs from zero."""
        return any(self.mrad)


NO_SHIFT = BeamShift()


SHIFT_ALONE, DISTORTED = "; beam shift in mrad:", " distortion: "
"""Beginning of the text that records a `ShiftAlone`, and of the part of it that records its distortion."""


@dataclass(frozen=True)
class ShiftAlone:
    """A beam shift that is given in place of a geometry: each input keeps its own geometry, or its spots without one.

    Attributes
    ----------
    beam_shift : BeamShift
        Shift that is applied to the beam of every input.
    distortion : Distortion
        Distortion of the detector that is then corrected in every input.
    """

    beam_shift: BeamShift
    distortion: Distortion = NO_DISTORTION

    @property
    def text(self) -> str:
        """The text by which results record the shift; a CrystFEL geometry file would read it as a comment."""
        x, y = self.beam_shift.mrad
        distorted = DISTORTED + " ".join(map(repr, astuple(self.distortion))) if self.distortion else ""
        return f"{SHIFT_ALONE} {x!r} {y!r}{distorted}\n"

    @classmethod
    def of_text(cls, text: str) -> ShiftAlone | None:
        """The shift that a text records, or None if the text is a geometry instead."""
        if not text.startswith(SHIFT_ALONE):
            return None
        shift, _, distortion = text.removeprefix(SHIFT_ALONE).partition(DISTORTED)
        x, y = map(float, shift.split())
        return cls(BeamShift(mrad=(x, y)), Distortion(*map(float, distortion.split())))
