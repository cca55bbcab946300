"""Panels as arrays at their place behind the sample, moved as rigid bodies.

The laboratory frame is CrystFEL's, lengths are millimetres. A motion (6,) is a shift along x, y, z in pixels and a turn
about x, y, z in milliradian.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cell import Array
from ..vectors import cross_matrix
from .panels import NO_PANEL, Detector, Panel, Vector

MRAD = 1e-3
FORWARD = 0.1
"""Rays with a smaller cosine of their angle to the beam are not seen."""
_GRID = (0.0, 0.5, 1.0)
"""Where, along each edge, the points of a panel lie by which its place is compared."""


def rotations(vectors: Array) -> Array:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), radian, by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    m = cross_matrix(vectors)
    # sin(x) / x and (1 - cos(x)) / x^2, which have no hole at 0.
    return np.asarray(np.eye(3) + np.sinc(angle / np.pi) * m + np.sinc(angle / (2 * np.pi)) ** 2 / 2 * (m @ m))


@dataclass(frozen=True)
class PlacedPanels:
    """P panels.

    Attributes
    ----------
    first, size : (P, 2) float64
        First pixel in the data, fs and ss, and the number of pixels along each.
    corner : (P, 3) float64
        Corner of the first pixel, mm from the sample.
    fast, slow : (P, 3) float64
        One pixel along fs and ss, mm.
    """

    first: Array
    size: Array
    corner: Array
    fast: Array
    slow: Array

    @classmethod
    def of(cls, detector: Detector, distance: float) -> PlacedPanels:
        """The panels of a detector at a distance in mm."""
        first, last, corner, fast, slow = (
            np.array([getattr(panel, name) for panel in detector.panels], dtype=np.float64)
            for name in ("first", "last", "corner", "fast", "slow")
        )
        return cls(first, last - first + 1, corner + np.array([0, 0, distance]), fast, slow)

    @property
    def n_panels(self) -> int:
        """P."""
        return len(self.corner)

    @property
    def pixel(self) -> float:
        """Mean edge of a pixel, mm."""
        return float(np.mean(np.linalg.norm(self.fast, axis=1)))

    @property
    def centre(self) -> Array:
        """Middle of each panel, (P, 3) mm."""
        return np.asarray(self.corner + (self.size[:, :1] * self.fast + self.size[:, 1:] * self.slow) / 2)

    def points(self) -> Array:
        """Nine points of each panel, (P, 9, 3) mm: corners, middles of edges, middle."""
        f, s = (axis.reshape(1, -1, 1) for axis in np.meshgrid(_GRID, _GRID))
        along_fast, along_slow = (self.size[:, i, None] * axis for i, axis in enumerate((self.fast, self.slow)))
        return np.asarray(self.corner[:, None] + f * along_fast[:, None] + s * along_slow[:, None])

    def places(self, pixels: Array) -> Array:
        """Laboratory positions (n, 3) in mm of pixels (n, 3): fs and ss in the data, number of the panel."""
        panel = pixels[:, 2].astype(np.int64)
        steps = pixels[:, :2] - self.first[panel]
        return np.asarray(self.corner[panel] + steps[:, :1] * self.fast[panel] + steps[:, 1:] * self.slow[panel])

    def spots(self, pixels: Array, wavelength: ArrayLike, farther: ArrayLike = 0.0) -> Array:
        """Spots (n, 3), 1/angstrom, of pixels (n, 3).

        Parameters
        ----------
        wavelength
            Angstrom, one or (n,).
        farther
            How much farther from the sample the detector was, mm, one or (n,).
        """
        ray = self.places(pixels)
        ray[:, 2] += np.asarray(farther)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        return np.asarray((ray - (0.0, 0.0, 1.0)) / np.broadcast_to(wavelength, len(ray))[:, None])

    def seen(self, ray: Array, panel: NDArray[np.int64], farther: ArrayLike = 0.0) -> tuple[Array, Array, Array]:
        """Where rays (n, 3) meet the planes of panels.

        Returns
        -------
        at : (n, 2) float64
            Pixels in the data.
        by_place : (n, 2, 3) float64
            Derivative of the pixels by the place where the ray passes, 1/mm: a ray moved along itself stays.
        length : (n,) float64
            Length of the rays up to there, in units of themselves.
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
        """The pixels (n, 3) where rays (n, 3) are seen first; `NO_PANEL` as panel where none sees them."""
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
        """Each panel moved about its own middle by its motion, (P, 6)."""
        turn, centre = rotations(motion[:, 3:] * MRAD), self.centre
        corner, fast, slow = (
            np.einsum("pij,pj->pi", turn, vectors) for vectors in (self.corner - centre, self.fast, self.slow)
        )
        return replace(self, corner=centre + motion[:, :3] * self.pixel + corner, fast=fast, slow=slow)

    def shifts_seen(self, other: PlacedPanels) -> Array:
        """By how much the nine points of each panel are off in another place, seen along the ray: (P, 9, 2) px."""
        points = self.points()
        panel = np.repeat(np.arange(self.n_panels), points.shape[1])
        here, there = (each.seen(points.reshape(-1, 3), panel)[0] for each in (self, other))
        return np.asarray((here - there).reshape(*points.shape[:2], 2))

    def as_detector(self, detector: Detector, distance: float) -> Detector:
        """A detector with its panels here; corners are measured from the distance, mm."""
        corner = self.corner - (0, 0, distance)
        panels = zip(detector.panels, corner.tolist(), self.fast.tolist(), self.slow.tolist(), strict=True)
        return replace(detector, panels=tuple(_at(*each) for each in panels))


def _at(panel: Panel, corner: list[float], fast: list[float], slow: list[float]) -> Panel:
    return replace(panel, corner=_vector(corner), fast=_vector(fast), slow=_vector(slow))


def _vector(values: list[float]) -> Vector:
    x, y, z = values
    return x, y, z
