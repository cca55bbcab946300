"""The distortion of a flat detector: how far it is stretched and tilted against its description."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from ..cell import Array
from ..vectors import rotations


@dataclass(frozen=True)
class Distortion:
    """The stretch and the tilt of the true detector relative to the assumed one.

    A stretch here keeps areas: it lengthens one direction by as much as it shortens the one across, since a stretch of
    both is another distance. A rotation about the beam turns all crystals alike and cannot be seen.

    Attributes
    ----------
    stretch : float
        Relative stretch along x, which is a shrinkage along y.
    skew : float
        Relative stretch along the diagonal of x and y, which is a shrinkage along the other diagonal.
    tilt_x, tilt_y : float
        Components of the tilt, radian: the detector is turned about the point that the beam hits, by the length of the
        vector, so that it recedes from the sample in the direction of the vector.
    """

    stretch: float = 0.0
    skew: float = 0.0
    tilt_x: float = 0.0
    tilt_y: float = 0.0

    @property
    def matrix(self) -> Array:
        """The matrix (3, 3) that maps assumed positions, seen from the sample, to true ones; it keeps the beam."""
        stretched = np.diag([1 + self.stretch, 1 - self.stretch, 1.0])
        stretched[0, 1] = stretched[1, 0] = self.skew
        turned = rotations(np.array([self.tilt_y, -self.tilt_x, 0.0]))
        turned[:, 2] = (0.0, 0.0, 1.0)
        return np.asarray(turned @ stretched)

    def __add__(self, other: Distortion) -> Distortion:
        return Distortion(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        """Whether the detector is distorted."""
        return any(astuple(self))


NO_DISTORTION = Distortion()
