"""The conversion of frames in messages to blocks of frames: pixels become spots, and bad spots are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..model.basis import ConventionalCells
from ..model.cell import Array
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.detector.pixels import FlatDetector
from ..model.records.frame import FrameBlock
from ..read.formats.peaks import HALF_PIXEL, PeakLists, PeakPlacer
from ..read.formats.per_frame import DISTANCE, WAVELENGTH, Quantity
from ..read.frames import RawFrames, frame_block
from ..read.geometry.crystfel import parse_crystfel
from ..read.sift import ResolutionLimits, sift_in_one_pass
from .columns import FrameColumns
from .messages import Start

SOURCE = "live"
"""Name of the input in messages if the frames are not kept in a file."""
MADE_UP_SPOTS = 100
"""Number of spots of a made-up frame."""
WARM_UP = (1, 32)
"""Sizes of the batches that are computed before the first frame comes, so that it waits for no compiler."""
WARM_UP_OF = {"cuda": (1, 3, 7, 15, 31, 63, 64, 1024)}
"""Further sizes, keyed by backend: those of all recordings of a GPU, and one that takes the memory of large batches."""
NO_GEOMETRY = "the frame has pixels: give the geometry with -g FILE, or in a start message"
MISSING = "the frame has pixels, and neither it nor the geometry has wavelength and distance"
IN_FILE = "the frame has pixels, and the geometry has wavelength or distance in a file"


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

    def problems(self, frames: FrameColumns) -> dict[int, str]:
        """Why frames cannot be converted to spots, keyed by their numbers in the columns."""
        if not frames.has_pixels:
            return {}
        if self._geometry is None:
            return dict.fromkeys(range(frames.n_frames), NO_GEOMETRY)
        wavelength, distance = self._wavelengths_and_distances(frames)
        bad = np.flatnonzero(~(np.isfinite(wavelength) & np.isfinite(distance))).tolist()
        return {f: MISSING if np.isnan([wavelength[f], distance[f]]).any() else IN_FILE for f in bad}

    def _wavelengths_and_distances(self, frames: FrameColumns) -> tuple[Array, Array]:
        """Wavelength (angstrom) and distance (mm) of each frame: given as options, or from its message, or others.

        A quantity is nan if it is missing, and inf if the geometry names a dataset in a file.
        """
        start = np.nan if self._wavelength is None else self._wavelength
        known = np.isfinite(frames.wavelength) & (frames.wavelength != 0)
        wavelength = np.where(known, frames.wavelength, start)
        return self._completed(WAVELENGTH, wavelength), self._completed(DISTANCE, frames.distance)

    def _completed(self, quantity: Quantity, values: Array) -> Array:
        """A quantity of each frame, from its values in messages, nan if they lack it, and from the geometry."""
        assert self._geometry is not None
        if given := quantity.given(self._geometry):
            return np.full(len(values), given)
        if not np.isnan(values).any():
            return values
        try:
            other = quantity.number(quantity.reading(SOURCE, self._geometry))
        except (InputError, TypeError):
            return values
        return np.where(np.isnan(values), other if np.isfinite(other) else np.inf, values)

    def block(self, frames: Sequence[FrameColumns], limits: ResolutionLimits, by_intensity: bool) -> FrameBlock:
        """The frames, in their order, as a block."""
        return frame_block([self._raw(each) for each in frames], limits, by_intensity, sift_in_one_pass)

    def _raw(self, frames: FrameColumns) -> RawFrames:
        intensity = None if frames.intensity is None else frames.intensity.astype(np.float64)
        if not frames.has_pixels:
            raw = RawFrames(SOURCE, frames.numbers, frames.names, frames.rows, frames.offsets, intensity=intensity)
        else:
            assert self._placer is not None
            is_shifted = (not frames.from_corner) if self._half_pixel is None else self._half_pixel
            pixels = (frames.rows + np.float32(HALF_PIXEL if is_shifted else 0)).astype(np.float64)
            wavelength, distance = self._wavelengths_and_distances(frames)
            raw = self._placer.frames(
                PeakLists(
                    frames.numbers,
                    frames.names,
                    pixels[:, 0],
                    pixels[:, 1],
                    frames.offsets,
                    wavelength,
                    distance,
                    intensity,
                )
            )
        raw.places = np.zeros((frames.n_frames, 4), np.int64)
        return raw


def made_up_frames(cells: ConventionalCells | None, n_frames: int) -> FrameColumns:
    """Frames on which crystals are found, for computations whose results nobody needs.

    Parameters
    ----------
    cells : (M, 3, 3) or None
        Cells whose lattices the frames have in turn, rows a, b, c, angstrom; None for a cubic one.

    Returns
    -------
    FrameColumns
        `n_frames` frames of 100 spots, which are points of a lattice in a random orientation.
    """
    rng, k = np.random.default_rng(0), np.arange(n_frames)
    known = np.eye(3)[None] * 80 if cells is None else np.asarray(cells, np.float64)
    own = known[k % len(known)]
    turns = np.linalg.qr(rng.normal(size=(n_frames, 3, 3)))[0]
    indices = np.rint(rng.uniform(-0.15, 0.15, (n_frames, MADE_UP_SPOTS, 3)) @ own.transpose(0, 2, 1))
    spots = indices @ np.linalg.inv(own).transpose(0, 2, 1) @ turns
    nothing = np.full(n_frames, np.nan)
    return FrameColumns(
        "",
        k,
        [""] * n_frames,
        spots.reshape(-1, 3).astype(np.float32),
        MADE_UP_SPOTS * np.arange(n_frames + 1),
        None,
        True,
        nothing,
        nothing,
        nothing,
        np.zeros(n_frames),
        None,
    )
