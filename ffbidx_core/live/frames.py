"""The conversion of frames in messages to blocks of frames: pixels become spots, and bad spots are left out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.detector.pixels import FlatDetector
from ..model.records.frame import FrameBlock
from ..model.records.ragged import offsets_of
from ..read.formats.peaks import HALF_PIXEL, PeakLists, PeakPlacer
from ..read.formats.per_frame import DISTANCE, WAVELENGTH
from ..read.frames import RawFrames, frame_block
from ..read.geometry.crystfel import parse_crystfel
from ..read.sift import ResolutionLimits, sift_in_one_pass
from .messages import Frame, MessageError, Start

SOURCE = "live"
"""Name of the input in messages if the frames are not kept in a file."""


class Placing:
    """The conversion of pixels in messages to spots.

    Parameters
    ----------
    geometry
        The geometry given by the user; None: the geometry of the start message is used.
    """

    def __init__(self, geometry: GivenGeometry | None) -> None:
        self._is_given = isinstance(geometry, Geometry)
        self._wavelength: float | None = None
        self._use(geometry if isinstance(geometry, Geometry) else None)

    def _use(self, geometry: Geometry | None) -> None:
        self._geometry = geometry
        self._placer = None if geometry is None else PeakPlacer(SOURCE, geometry)
        self._half_pixel = None if geometry is None else geometry.half_pixel_shift

    def start(self, start: Start) -> None:
        """Use the detector and wavelength of a start message; a geometry given by the user replaces the detector."""
        self._wavelength = start.wavelength
        if start.detector is None or self._is_given:
            return
        panel = FlatDetector(
            start.detector.distance, start.detector.pixel_size, start.detector.size, start.detector.beam_centre
        )
        self._use(parse_crystfel("the start message", panel.as_text(start.wavelength or 1.0)))

    def check(self, frame: Frame) -> None:
        """Raise an error if the pixels of a frame cannot be converted to spots.

        Raises
        ------
        MessageError
            If something is missing, which the message names.
        """
        if frame.pixels is not None:
            self._wavelength_and_distance(frame)

    def _wavelength_and_distance(self, frame: Frame) -> tuple[float, float]:
        """The wavelength (angstrom) and distance (mm) of a frame: given as options, or else from the message."""
        if self._geometry is None:
            raise MessageError("the frame has pixels: give the geometry with -g FILE, or in a start message")
        wavelength = WAVELENGTH.given(self._geometry) or frame.wavelength or self._wavelength
        distance = DISTANCE.given(self._geometry) or frame.distance
        try:
            if wavelength is None:
                wavelength = WAVELENGTH.number(WAVELENGTH.reading(SOURCE, self._geometry))
            if distance is None:
                distance = DISTANCE.number(DISTANCE.reading(SOURCE, self._geometry))
        except (InputError, TypeError):
            raise MessageError(
                "the frame has pixels, and neither it nor the geometry has wavelength and distance"
            ) from None
        if not (np.isfinite(wavelength) and np.isfinite(distance)):
            raise MessageError("the frame has pixels, and the geometry has wavelength or distance in a file")
        return wavelength, distance

    def block(self, frames: Sequence[Frame], limits: ResolutionLimits, by_intensity: bool) -> FrameBlock:
        """The frames, in their order, as a block."""
        parts = [
            self._part(list(group))
            for _, group in itertools.groupby(frames, lambda f: (f.pixels is None, f.intensity is None))
        ]
        return frame_block(parts, limits, by_intensity, sift_in_one_pass)

    def _part(self, frames: list[Frame]) -> RawFrames:
        rows = [frame.spots if frame.spots is not None else self._pixels(frame) for frame in frames]
        offsets = offsets_of(np.array([len(each) for each in rows], np.int64))
        strong = [frame.intensity for frame in frames if frame.intensity is not None]
        intensity = np.concatenate(strong).astype(np.float64) if strong else None
        indices, ids = np.array([frame.number for frame in frames], np.int64), [frame.name for frame in frames]
        if frames[0].spots is not None:
            raw = RawFrames(SOURCE, indices, ids, np.concatenate(rows), offsets, intensity=intensity)
        else:
            assert self._placer is not None
            wavelength, distance = np.array([self._wavelength_and_distance(frame) for frame in frames]).T
            pixels = np.concatenate(rows).astype(np.float64)
            raw = self._placer.frames(
                PeakLists(indices, ids, pixels[:, 0], pixels[:, 1], offsets, wavelength, distance, intensity)
            )
        raw.places = np.zeros((len(frames), 4), np.int64)
        return raw

    def _pixels(self, frame: Frame) -> np.ndarray:
        assert frame.pixels is not None
        shifted = (not frame.from_corner) if self._half_pixel is None else self._half_pixel
        return frame.pixels + np.float32(HALF_PIXEL if shifted else 0)
