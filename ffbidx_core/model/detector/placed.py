"""Panels as arrays in the laboratory frame, which can be moved as rigid bodies.

The laboratory frame is CrystFEL's, with the origin at the sample; lengths are in millimetres. A motion (6,) is a shift
along x, y, z in pixels and a rotation vector along x, y, z in milliradian.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cell import Array
from ..vectors import rotations
from .panels import NO_PANEL, Detector, Panel, Vector

MRAD = 1e-3
"""One milliradian in radian."""
FORWARD = 0.1
"""Smallest cosine of the angle to the beam of a ray that is detected."""
_GRID = (0.0, 0.5, 1.0)
"""Fractions of a panel's edges at which the points lie by which two positions of the panel are compared."""


@dataclass(frozen=True)
class PlacedPanels:
    """The positions of P panels in the laboratory frame.

    Attributes
    ----------
    first : (P, 2) float64
        First pixel of each panel in the data, fs and ss.
    size : (P, 2) float64
        Number of pixels of each panel along fs and ss.
    corner : (P, 3) float64
        Outer corner of each panel's first pixel, mm from the sample.
    fast, slow : (P, 3) float64
        Step of one pixel along fs and along ss, mm.
    """

    first: Array
    size: Array
    corner: Array
    fast: Array
    slow: Array

    @classmethod
    def of(cls, detector: Detector, distance: float) -> PlacedPanels:
        """The panels of a detector at a detector distance in mm."""
        first, last, corner, fast, slow = (
            np.array([getattr(panel, name) for panel in detector.panels], dtype=np.float64)
            for name in ("first", "last", "corner", "fast", "slow")
        )
        return cls(first, last - first + 1, corner + np.array([0, 0, distance]), fast, slow)

    @property
    def n_panels(self) -> int:
        """The number P of panels."""
        return len(self.corner)

    @property
    def pixel(self) -> float:
        """Mean edge of a pixel, mm."""
        return float(np.mean(np.linalg.norm(self.fast, axis=1)))

    @property
    def centre(self) -> Array:
        """Centre of each panel, (P, 3), mm from the sample."""
        return np.asarray(self.corner + (self.size[:, :1] * self.fast + self.size[:, 1:] * self.slow) / 2)

    def points(self) -> Array:
        """Nine points (P, 9, 3), mm, on each panel: the corners, the middles of the edges and the centre."""
        f, s = (axis.reshape(1, -1, 1) for axis in np.meshgrid(_GRID, _GRID))
        along_fast, along_slow = (self.size[:, i, None] * axis for i, axis in enumerate((self.fast, self.slow)))
        return np.asarray(self.corner[:, None] + f * along_fast[:, None] + s * along_slow[:, None])

    def places(self, pixels: Array) -> Array:
        """Positions (n, 3), mm from the sample, of pixels (n, 3): fs and ss in the data, and the panel's number."""
        panel = pixels[:, 2].astype(np.int64)
        steps = pixels[:, :2] - self.first[panel]
        return np.asarray(self.corner[panel] + steps[:, :1] * self.fast[panel] + steps[:, 1:] * self.slow[panel])

    def spots(self, pixels: Array, wavelength: ArrayLike, farther: ArrayLike = 0.0) -> Array:
        """Spots in reciprocal space at pixels.

        Parameters
        ----------
        pixels : (n, 3)
            fs and ss in the data, and the number of the panel.
        wavelength : float or (n,)
            Wavelength of the beam, angstrom.
        farther : float or (n,)
            Increase of the detector distance over that of the panels here, mm.

        Returns
        -------
        (n, 3) float64
            Spots, 1/angstrom.
        """
        ray = self.places(pixels)
        ray[:, 2] += np.asarray(farther)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        return np.asarray((ray - (0.0, 0.0, 1.0)) / np.broadcast_to(wavelength, len(ray))[:, None])

    def seen(self, ray: Array, panel: NDArray[np.int64], farther: ArrayLike = 0.0) -> tuple[Array, Array, Array]:
        """Points at which rays meet the planes of panels.

        Parameters
        ----------
        ray : (n, 3)
            Rays from the sample; their lengths do not matter.
        panel : (n,)
            Number of the panel for each ray.
        farther : float or (n,)
            Increase of the detector distance over that of the panels here, mm.

        Returns
        -------
        at : (n, 2) float64
            Pixels fs, ss in the data.
        by_place : (n, 2, 3) float64
            Derivative of the pixels with respect to a displacement of the ray, 1/mm; a displacement along the ray
            itself has no effect.
        length : (n,) float64
            Distance from the sample to the point over the length of the ray's vector.
        """
        normal = np.cross(self.fast, self.slow)
        axes = np.stack([self.fast, self.slow], axis=1)
        dual = (np.linalg.inv(axes @ axes.transpose(0, 2, 1)) @ axes)[panel]
        corner = self.corner[panel]
        corner[:, 2] += np.asarray(farther)
        n = normal[panel]
        across = np.einsum("ni,ni->n", n, ray)
        length = np.einsum("ni,ni->n", n, corner) / across
        at = np.einsum("nai,ni->na", dual, length[:, None] * ray - corner) + self.first[panel]
        along = np.einsum("nai,ni->na", dual, ray) / across[:, None]
        return at, dual - along[:, :, None] * n[:, None, :], length

    def meet(self, ray: Array) -> Array:
        """Pixels (n, 3) of the first panel that each ray (n, 3) meets: fs, ss and the panel, `NO_PANEL` if none."""
        found = np.full((len(ray), 3), np.nan)
        found[:, 2] = NO_PANEL
        nearest = np.full(len(ray), np.inf)
        forward = ray[:, 2] > FORWARD * np.linalg.norm(ray, axis=1)
        normal = np.cross(self.fast, self.slow)
        for number in range(self.n_panels):
            with np.errstate(divide="ignore", invalid="ignore"):
                length = normal[number] @ self.corner[number] / (ray @ normal[number])
            off = length[:, None] * ray - self.corner[number]
            axes = np.stack([self.fast[number], self.slow[number]])
            steps = off @ (np.linalg.inv(axes @ axes.T) @ axes).T
            hit = forward & (length > 0) & (length < nearest)
            hit &= ((steps >= 0) & (steps < self.size[number])).all(axis=1)
            nearest[hit] = length[hit]
            found[hit, :2], found[hit, 2] = steps[hit] + self.first[number], number
        return found

    def moved(self, motion: Array) -> PlacedPanels:
        """The panels after each has been moved by its motion, a row of (P, 6), with rotations about its own centre."""
        turn, centre = rotations(motion[:, 3:] * MRAD), self.centre
        corner, fast, slow = (
            np.einsum("pij,pj->pi", turn, vectors) for vectors in (self.corner - centre, self.fast, self.slow)
        )
        return replace(self, corner=centre + motion[:, :3] * self.pixel + corner, fast=fast, slow=slow)

    def shifts_seen(self, other: PlacedPanels) -> Array:
        """Shifts (P, 9, 2) in pixels of the nine points of each panel against another position of the panels.

        The shift is that of the pixel at which the ray through a point is detected.
        """
        points = self.points()
        panel = np.repeat(np.arange(self.n_panels), points.shape[1])
        here, there = (each.seen(points.reshape(-1, 3), panel)[0] for each in (self, other))
        return np.asarray((here - there).reshape(*points.shape[:2], 2))

    def as_detector(self, detector: Detector, distance: float) -> Detector:
        """A copy of a detector with its panels at the positions here, relative to a detector distance in mm."""
        corner = self.corner - (0, 0, distance)
        panels = zip(detector.panels, corner.tolist(), self.fast.tolist(), self.slow.tolist(), strict=True)
        return replace(detector, panels=tuple(_at(*each) for each in panels))


def _at(panel: Panel, corner: list[float], fast: list[float], slow: list[float]) -> Panel:
    """A copy of a panel with another corner and other axes."""
    return replace(panel, corner=_vector(corner), fast=_vector(fast), slow=_vector(slow))


def _vector(values: list[float]) -> Vector:
    x, y, z = values
    return x, y, z
