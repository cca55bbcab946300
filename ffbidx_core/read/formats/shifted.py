"""Correction of spots for a shift of the beam from its assumed position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...model.cell import Array
from ...model.detector.beam_shift import BeamShift
from ...model.detector.distortion import NO_DISTORTION, Distortion
from ...model.detector.panels import Detector, Geometry, Vector
from ...model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..frames import RawFrames
from ..geometry.crystfel import parse_crystfel
from ..geometry.dials import changed_geometry, is_experiments
from ..geometry.edited import text_of_changed
from .spot_file import SpotFile

FRAMES_FOR_DISTANCE = 16
"""Number of frames whose median distance is taken as the detector distance, if each frame has its own."""


def with_shifted_beam(
    geometry: Geometry, shift: BeamShift, file: SpotFile, distortion: Distortion = NO_DISTORTION
) -> Geometry:
    """A geometry whose detector is displaced so that the beam meets it at another point, and then distorted.

    Parameters
    ----------
    geometry
        The geometry.
    shift
        Offset of the beam on the detector from its position in the geometry.
    file
        An open file with this geometry, whose first frames give the detector distance; if they give none, the geometry
        is unchanged.
    distortion
        Distortion of the true detector; that of an experiment list, whose panels are rigid, is not changed.
    """
    distances = of_first(file, "distance")
    if len(distances) == 0:
        return geometry
    x, y = (-shift.radian * (np.median(distances) + geometry.detector.mean_offset)).tolist()
    if is_experiments(geometry.text):
        made = changed_geometry(geometry.text, np.array([x, y, 0.0]), None)
    else:
        detector = geometry.detector.moved((x, y, 0.0))
        moved = replace(geometry, detector=_distorted(detector, distortion) if distortion else detector)
        # The geometry is read back, so that the run uses exactly the numbers that its results record.
        made = parse_crystfel("the geometry with the beam shifted", text_of_changed(geometry, moved))
    return replace(made, half_pixel_shift=geometry.half_pixel_shift, by_hand=geometry.by_hand)


def of_first(file: SpotFile, name: str) -> Array:
    """The finite numbers in the field `name` of `DetectorPeaks` for the first frames of an open file."""
    raw = list(file.read(np.arange(min(file.n_frames, FRAMES_FOR_DISTANCE))))
    values = np.concatenate([np.zeros(0), *(getattr(each.peaks, name) for each in raw if each.peaks is not None)])
    return np.asarray(values[np.isfinite(values)])


def _distorted(detector: Detector, distortion: Distortion) -> Detector:
    """The detector with its panels mapped by the matrix of a distortion."""

    def mapped(vector: Vector) -> Vector:
        x, y, z = (distortion.matrix @ vector).tolist()
        return x, y, z

    panels = (replace(p, corner=mapped(p.corner), fast=mapped(p.fast), slow=mapped(p.slow)) for p in detector.panels)
    return replace(detector, panels=tuple(panels))


class ShiftedSpots:
    """An open file of spots without pixels, whose spots are corrected for a shift of the beam.

    Parameters
    ----------
    file
        The file with the original spots, which `close` closes.
    shift
        Offset of the beam on the detector from the position that was assumed when the spots were computed.
    distortion
        Distortion of the true detector relative to the one that was assumed.
    """

    geometry: Geometry | None = None
    half_pixel_shift: bool | None = None

    def __init__(self, file: SpotFile, shift: BeamShift, distortion: Distortion = NO_DISTORTION) -> None:
        self._file, self._shift, self._distortion = file, shift.radian, distortion
        self.path, self.format, self.n_frames = file.path, file.format, file.n_frames
        self.units_assumed, self.cells = file.units_assumed, file.cells

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers; a frame whose spots fit no Ewald sphere is unchanged."""
        for raw in self._file.read(frames):
            spots = raw.spots.astype(np.float64)
            for begin, end in zip(raw.offsets[:-1], raw.offsets[1:], strict=True):
                spots[begin:end] = self._shifted(spots[begin:end])
            raw.spots = spots
            yield raw

    def _shifted(self, spots: Array) -> Array:
        """The corrected spots (n, 3) of a frame, 1/angstrom."""
        # Padding is kept, and a frame with a spot that is not finite is unchanged, so that it remains a bad frame.
        real = np.isfinite(spots).all(axis=1) & spots.any(axis=1)
        wavelength = wavelength_of_spots(spots[real]) if real.all(where=spots.any(axis=1)) else None
        if wavelength is None:
            return spots
        moved = spots.copy()
        along = np.full(int(real.sum()), wavelength)
        moved[real] = spots_of_moved_detector(spots[real], along, self._shift, distortion=self._distortion)
        return moved

    def close(self) -> None:
        """Close the file."""
        self._file.close()
