"""Conversion of peaks in detector pixels to spots in reciprocal space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.basis import ConventionalCells
from ...model.cell import Array
from ...model.detector.panels import NO_PANEL, Geometry
from ...model.detector.peaks import DetectorPeaks
from ...model.records.ragged import offsets_of
from ...ranges import NEAREST_DETECTOR
from ..frames import RawFrames

HALF_PIXEL = 0.5
"""Distance in pixels of a pixel's centre from its number, where positions are measured from the outer corner."""
NEEDS_GEOMETRY = "holds peaks in detector pixels: give the geometry with -g FILE"


@dataclass
class PeakLists:
    """The N peaks of F frames, as a file has them.

    Attributes
    ----------
    indices : (F,) int64
        Index of each frame in the file.
    ids : list of str, F
        Name of each frame in the file, or empty.
    fs, ss : (N,) float64
        Positions of the peaks in the data, in pixels from the outer corner of the first pixel.
    offsets : (F + 1,) int64
        Frame f owns the peaks offsets[f]:offsets[f + 1].
    wavelength, distance : (F,) float64
        Wavelength, angstrom, and detector distance, mm, of each frame.
    intensity : (N,) float64 or None
        Intensity of each peak in units of the file; None if the file has none.
    panel : (N,) int64 or None
        Number of each peak's panel; None for the panel whose area contains the peak.
    shift : (F, 2) float64 or None
        Displacement of the detector along x and y on each frame, mm; None if it is not displaced.
    """

    indices: NDArray[np.int64]
    ids: list[str]
    fs: Array
    ss: Array
    offsets: NDArray[np.int64]
    wavelength: Array
    distance: Array
    intensity: Array | None = None
    panel: NDArray[np.int64] | None = None
    shift: Array | None = None


class PeakPlacer:
    """Converts peaks to spots, and leaves out peaks that lie on no panel or in a bad region.

    Parameters
    ----------
    path
        Name of the file, for messages.
    geometry
        Geometry of the detector.
    """

    def __init__(self, path: str, geometry: Geometry) -> None:
        self._path, self._detector, self._has_noted = path, geometry.detector, False
        self._geometry = geometry
        self._notes = list(geometry.notes)

    def frames(self, peaks: PeakLists, cells: ConventionalCells | None = None) -> RawFrames:
        """Convert peaks to frames of spots; a peak that is not finite is kept, so that its frame becomes a bad one."""
        panel = self._detector.find_panels(peaks.fs, peaks.ss) if peaks.panel is None else peaks.panel
        finite = np.isfinite(peaks.fs) & np.isfinite(peaks.ss)
        kept = (panel != NO_PANEL) | ~finite
        pixels = np.column_stack([peaks.fs, peaks.ss, np.maximum(panel, 0)])
        kept &= self._detector.usable(pixels) | ~finite
        counts = np.diff(peaks.offsets)
        frame = np.repeat(np.arange(len(counts)), counts)
        # An impossible wavelength or distance gives spots of nan, and so a bad frame.
        wavelength = np.where(peaks.wavelength > 0, peaks.wavelength, np.nan)[frame[kept]]
        distance = np.where(self._is_in_front(peaks.distance), peaks.distance, np.nan)[frame[kept]]
        shift = None if peaks.shift is None else peaks.shift[frame[kept]]
        with np.errstate(invalid="ignore", over="ignore"):
            spots = self._detector.spots(pixels[kept], wavelength, distance, shift)
        offsets = offsets_of(np.bincount(frame[kept], minlength=len(counts)))
        found = DetectorPeaks(
            pixels[kept],
            peaks.wavelength,
            peaks.distance,
            None if peaks.intensity is None else peaks.intensity[kept],
            peaks.shift,
        )
        raw = RawFrames(
            self._path, peaks.indices, peaks.ids, spots, offsets, cells, peaks=found, geometry=self._geometry
        )
        raw.off_panels = np.bincount(frame[(panel == NO_PANEL) & finite], minlength=len(counts))
        raw.problems += self._notes + self._problems(peaks, bool(kept.all()))
        self._notes = []
        return raw

    def _is_in_front(self, distance: Array) -> NDArray[np.bool_]:
        """Whether distances put the detector downstream of the sample; an encoder reading may itself be below 0."""
        return np.asarray(distance + self._detector.mean_offset >= NEAREST_DETECTOR)

    def _problems(self, peaks: PeakLists, all_kept: bool) -> list[str]:
        """One line for each frame with an impossible wavelength or distance, and one if peaks were left out."""
        lines = [
            f"{self._path}, frame {peaks.indices[f]}: its {name} is {value:g} {unit}, so the frame is left out"
            for name, values, unit, is_good in (
                ("wavelength", peaks.wavelength, "A", peaks.wavelength > 0),
                ("detector distance", peaks.distance, "mm", self._is_in_front(peaks.distance)),
            )
            for f, value in enumerate(values)
            if not (np.isfinite(value) and is_good[f])
        ]
        if not all_kept and not self._has_noted:
            self._has_noted = True
            # The words are the same wherever in the file a run is resumed.
            lines.append(f"{self._path}: peaks on no panel, on several or in a bad region of the geometry are left out")
        return lines


def needed_geometry(path: str, geometry: Geometry | None) -> Geometry:
    """The geometry, or an `InputError` that names the option if there is none."""
    if geometry is None:
        raise InputError(path, NEEDS_GEOMETRY)
    return geometry
