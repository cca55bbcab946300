"""Peaks: the positions of spots on the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...nouns import counted
from ..cell import Array

MANY_OFF_PANELS = 0.5
"""Share of the peaks on no panel above which a note asks whether the geometry belongs to other data."""
OTHER_LAYOUT = (
    "the layout of the data in the geometry (min_fs, max_fs, min_ss, max_ss) is not that of these files. Is it the "
    "geometry of another detector, or of images with another arrangement of panels?"
)


@dataclass
class DetectorPeaks:
    """The N peaks of F frames, in the order of their spots.

    Attributes
    ----------
    pixels : (N, 3) float64
        fs and ss in the data, measured from the outer corner of the first pixel, and the number of the panel.
    wavelength : (F,) float64
        Wavelength of the beam on each frame, angstrom.
    distance : (F,) float64
        Detector distance on each frame, mm.
    intensity : (N,) float64 or None
        Intensity of each peak in units of its file; None if the file has none.
    shift : (F, 2) float64 or None
        Displacement of the detector along x and y on each frame, mm; None if it is not displaced.
    """

    pixels: Array
    wavelength: Array
    distance: Array
    intensity: Array | None = None
    shift: Array | None = None

    def __getitem__(self, frames: tuple[NDArray[np.bool_] | slice, NDArray[np.bool_] | slice]) -> DetectorPeaks:
        """A selection of peaks, `peaks[rows, frames]`: the rows of the peaks to keep, and the frames to keep."""
        rows, of = frames
        intensity = None if self.intensity is None else self.intensity[rows]
        shift = None if self.shift is None else self.shift[of]
        return DetectorPeaks(self.pixels[rows], self.wavelength[of], self.distance[of], intensity, shift)


def note_of_panels(n_off_panels: int, n_spots: int) -> str:
    """A note with the share of the peaks that lie on no panel, beside those that are spots; empty if there are none."""
    share = n_off_panels / max(1, n_off_panels + n_spots)
    if share == 0:
        return ""
    verbs = ("lies", "is") if n_off_panels == 1 else ("lie", "are")
    peaks = f"{counted(n_off_panels, 'peak')} ({share:.1%})"
    note = "{} {} on no panel of the geometry, and {} left out".format(peaks, *verbs)
    return f"{note}: {OTHER_LAYOUT}" if share > MANY_OFF_PANELS else note
