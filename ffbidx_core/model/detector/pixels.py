"""Conversion between detector pixels and reciprocal space for a flat detector, and shifts of spots.

The beam runs along +z; a spot is q = s1 - s0 with |s0| = |s1| = 1 / wavelength, without the factor 2 pi.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from .beam_shift import Radian
from .distortion import NO_DISTORTION, Distortion

SPHERE_ERROR = 0.1
"""Largest relative misfit (rms, in squared distance from the origin) of spots to an Ewald sphere fitted to them."""
PADDING = 1e-6
"""Distance from the origin, 1/angstrom, up to which a point is padding and not a spot."""
FORWARD = 0.1
"""Smallest cosine of the angle to the beam of a ray that meets a flat detector behind the sample."""


@dataclass(frozen=True)
class FlatDetector:
    """A flat detector of one panel normal to the beam, with its fast axis along +x and its slow axis along +y.

    Attributes
    ----------
    distance : float
        Distance of the panel from the sample, mm.
    pixel_size : float
        Edge of a square pixel, micrometre.
    size : (2,) int
        Number of pixels along the fast and the slow axis.
    beam_centre : (2,) float
        Point where the beam meets the panel, in pixels from the outer corner of the first pixel.
    """

    distance: float
    pixel_size: float
    size: tuple[int, int]
    beam_centre: tuple[float, float]

    def spots(self, pixels: Array, wavelength: float) -> Array:
        """Spots (n, 3), 1/angstrom, on the Ewald sphere whose rays meet the panel at pixels (n, 2)."""
        in_plane = (pixels - self.beam_centre) * (self.pixel_size * 1e-3)
        ray = np.column_stack([in_plane, np.full(len(pixels), self.distance)])
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        return (ray - (0.0, 0.0, 1.0)) / wavelength

    def pixels(self, spots: Array, wavelength: float) -> Array:
        """Pixels (n, 2) at which the rays s0 + q of spots (n, 3) meet the panel's plane; nan for backward rays."""
        ray = spots * wavelength + (0.0, 0.0, 1.0)
        forward = np.where(ray[:, 2:] > 0, ray[:, 2:], np.nan)
        return ray[:, :2] / forward * (self.distance / (self.pixel_size * 1e-3)) + self.beam_centre

    def holds(self, pixels: Array) -> NDArray[np.bool_]:
        """Whether each of the pixels (n, 2) lies on the panel; a pixel with nan does not."""
        return np.asarray(((pixels >= 0) & (pixels < self.size)).all(axis=1), dtype=np.bool_)

    def around_beam(self, offsets: Array) -> Array:
        """Pixels (n, 2) at the given offsets (n, 2), in pixels, from the beam centre."""
        return np.asarray(self.beam_centre + offsets)

    @property
    def corners(self) -> Array:
        """Pixel coordinates (4, 2) of the panel's corners."""
        return np.array([(x, y) for x in (0, self.size[0]) for y in (0, self.size[1])], dtype=np.float64)

    def as_text(self, wavelength: float) -> str:
        """The text of a CrystFEL geometry file for the detector and a wavelength in angstrom."""
        (nx, ny), (x, y) = self.size, self.beam_centre
        lines = [
            f"wavelength = {wavelength:.8g} A",
            f"clen = {self.distance * 1e-3:.8g} m",
            f"res = {1e6 / self.pixel_size:.8g}",
            "p0/min_fs = 0",
            f"p0/max_fs = {nx - 1}",
            "p0/min_ss = 0",
            f"p0/max_ss = {ny - 1}",
            "p0/fs = x",
            "p0/ss = y",
            f"p0/corner_x = {-x:.8g}",
            f"p0/corner_y = {-y:.8g}",
        ]
        return "\n".join(lines) + "\n"


def is_real(spots: Array) -> NDArray[np.bool_]:
    """Whether each of the points (n, 3), 1/angstrom, is a spot and not padding, which also replaces bad spots."""
    return np.asarray(np.linalg.norm(spots, axis=1) > PADDING)


def wavelength_of_spots(spots: Array) -> float | None:
    """The wavelength in angstrom whose Ewald sphere fits spots (n, 3), 1/angstrom; None if no sphere fits them."""
    q = spots[is_real(spots)]
    depth = -q[:, 2]
    # On the sphere |q + k z|^2 = k^2, so that |q|^2 = 2 k depth: a line through the origin, whose slope is fitted.
    squared = (q * q).sum(axis=1)
    radius = float(squared @ depth / max(2 * depth @ depth, 1e-300))
    off = squared - 2 * radius * depth
    if len(q) < 4 or radius <= 0 or off @ off > SPHERE_ERROR**2 * (squared @ squared):
        return None
    return 1 / radius


def spots_of_moved_detector(
    spots: Array,
    wavelength: Array,
    shift: Radian,
    distance: float = 0.0,
    distortion: Distortion = NO_DISTORTION,
    *,
    least_cosine: float = FORWARD,
) -> Array:
    """Correct spots that were computed with a wrong position or shape of the detector.

    The detector is taken to be flat and normal to the beam, so that a ray (X, Y, 1) becomes
    ((1 + distance) X - shift_x, (1 + distance) Y - shift_y, 1), which the matrix of the distortion then maps.

    Parameters
    ----------
    spots : (n, 3)
        Spots as computed, 1/angstrom.
    wavelength : (n,)
        Wavelength of the beam for each spot, angstrom.
    shift : (2,) or (n, 2)
        Offset of the beam on the detector, along x and y, from its assumed position, radian; of all spots or of each.
    distance
        Relative excess of the assumed detector distance over the true one.
    distortion
        Stretch and tilt of the true detector relative to the assumed one.
    least_cosine
        Smallest cosine of the angle to the beam of a ray that meets the assumed detector.

    Returns
    -------
    (n, 3) float64
        Corrected spots, 1/angstrom. A spot whose ray cannot meet such a detector is unchanged.
    """
    wave = np.asarray(wavelength, dtype=np.float64)[:, None]
    ray = spots * wave + (0.0, 0.0, 1.0)
    forward = ray[:, 2] > least_cosine
    # A slice of all rays, which are mostly forward, is no copy.
    moved: Any = slice(None) if forward.all() else forward
    ray[moved, :2] = (1 + distance) * ray[moved, :2] / ray[moved, 2:] - np.broadcast_to(shift, (len(ray), 2))[moved]
    ray[moved, 2] = 1
    if distortion:
        ray[moved] = ray[moved] @ distortion.matrix.T
    ray[moved] /= np.linalg.norm(ray[moved], axis=1, keepdims=True)
    return np.asarray(np.where(forward[:, None], (ray - (0.0, 0.0, 1.0)) / wave, spots))


def frames_of_moved_detector(
    spots: NDArray[Any],
    offsets: NDArray[np.int64],
    shift: Radian,
    distance: float = 0.0,
    distortion: Distortion = NO_DISTORTION,
) -> NDArray[np.float32]:
    """Correct the spots of frames for a beam shift, a distance and a distortion, where only the spots are known.

    The wavelength of a frame is found by fitting an Ewald sphere to its spots.

    Parameters
    ----------
    spots : (N, 3)
        Spots as computed, 1/angstrom.
    offsets : (F + 1,)
        Frame f owns the spots offsets[f]:offsets[f + 1].
    shift : (2,)
        Offset of the beam on the detector, along x and y, from its assumed position, radian.
    distance
        Relative excess of the assumed detector distance over the true one.
    distortion
        Stretch and tilt of the true detector relative to the assumed one.

    Returns
    -------
    (N, 3) float32
        Corrected spots, 1/angstrom. A frame whose spots fit no Ewald sphere is unchanged.
    """
    moved = spots.astype(np.float64)
    for begin, end in itertools.pairwise(offsets):
        if (wavelength := wavelength_of_spots(moved[begin:end])) is not None:
            along = np.full(end - begin, wavelength)
            moved[begin:end] = spots_of_moved_detector(moved[begin:end], along, shift, distance, distortion)
    return moved.astype(np.float32)
