"""Spots as a detector saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array


@dataclass
class DetectorPeaks:
    """Peaks of F frames, N in all, parallel to their spots.

    Attributes
    ----------
    pixels : (N, 3) float64
        fs and ss in the data, from panels' corners, and the panel's number.
    wavelength : (F,) float64
        Wavelength of each frame, angstrom.
    distance : (F,) float64
        Distance of the detector from the sample, mm.
    intensity : (N,) float64 or None
    shift : (F, 2) float64 or None
        How far the detector is moved along x and y on each frame, mm; None: it is not.
    """

    pixels: Array
    wavelength: Array
    distance: Array
    intensity: Array | None = None
    shift: Array | None = None

    def __getitem__(self, frames: tuple[NDArray[np.bool_] | slice, NDArray[np.bool_] | slice]) -> DetectorPeaks:
        """The peaks of some rows, of some frames: peaks[rows, frames]."""
        rows, of = frames
        intensity = None if self.intensity is None else self.intensity[rows]
        shift = None if self.shift is None else self.shift[of]
        return DetectorPeaks(self.pixels[rows], self.wavelength[of], self.distance[of], intensity, shift)
