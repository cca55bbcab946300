"""Detectors of many panels, and the conversion of their pixels to reciprocal space.

The laboratory frame is CrystFEL's: the beam runs along +z, y points up, and x completes a right-handed set. A spot is
q = s1 - s0 with |s0| = |s1| = 1 / wavelength, without the factor 2 pi. Pixel coordinates are distances from a panel's
corner, so that the centre of the first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cell import Array
from .beam_shift import ShiftAlone
from .units import millimetres, to_angstrom

SMALLEST_PIXEL = 1e-6
"""Smallest number that is taken for the edge of a pixel, mm."""
NO_PANEL = -1
"""Number that stands for the panel of a point that lies on no panel."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Panel:
    """A flat panel, and the position of its pixels in the data.

    Attributes
    ----------
    name : str
        Name of the panel in the geometry.
    first, last : (2,) int
        First and last pixel of the panel in the data, fs and ss, both included.
    corner : (3,) float
        Outer corner of the first pixel, mm; its z is measured from the detector distance.
    fast, slow : (3,) float
        Step of one pixel along fs and along ss, mm.
    used : bool
        Whether peaks on the panel are indexed.
    sensor : (2,) float
        Thickness, mm, and absorption coefficient, 1/mm, of a sensor that absorbs rays behind its surface, by which
        parallax is corrected; zeros if it is not.
    data : str
        Path of the panel's images in the files, with `%` for the part that differs between events; empty if unknown.
    dims : tuple of str
        Meaning of each dimension of the images: `ss`, `fs`, a fixed index, or `%` for the event.
    """

    name: str
    first: tuple[int, int]
    last: tuple[int, int]
    corner: Vector
    fast: Vector = (1.0, 0.0, 0.0)
    slow: Vector = (0.0, 1.0, 0.0)
    used: bool = True
    sensor: tuple[float, float] = (0.0, 0.0)
    data: str = ""
    dims: tuple[str, ...] = ()


@dataclass(frozen=True)
class BadRegion:
    """A rectangle in which peaks are not indexed.

    Attributes
    ----------
    low, high : (2,) float
        Corners of the rectangle: fs, ss in the data (the pixels at `high` included), or x, y in the laboratory frame
        in units of pixels.
    panel : str
        Name of the only panel to which the rectangle applies; empty if it applies to all.
    in_laboratory : bool
        Whether the corners are in laboratory coordinates.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    panel: str = ""
    in_laboratory: bool = False


@dataclass(frozen=True)
class Detector:
    """The panels and bad regions of a detector.

    Its methods take pixels as arrays (n, 3): fs and ss in the data, in pixels, and the number of the panel.
    """

    panels: tuple[Panel, ...]
    bad: tuple[BadRegion, ...] = ()

    @property
    def mean_offset(self) -> float:
        """Mean offset of the panels' corners from the detector distance, along the beam, mm."""
        return float(np.mean([panel.corner[2] for panel in self.panels]))

    def find_panels(self, fs: Array, ss: Array) -> NDArray[np.int64]:
        """Number (n,) of the panel at each point fs, ss (n,) of the data; NO_PANEL if there is none, or several."""
        found = np.full(len(fs), NO_PANEL)
        times = np.zeros(len(fs), dtype=np.int64)
        for number, panel in enumerate(self.panels):
            inside = (fs >= panel.first[0]) & (fs < panel.last[0] + 1)
            inside &= (ss >= panel.first[1]) & (ss < panel.last[1] + 1)
            found[inside] = number
            times += inside
        found[times != 1] = NO_PANEL
        return found

    def positions(self, pixels: Array, distance: ArrayLike, shift: Array | None = None) -> Array:
        """Positions of pixels in the laboratory frame.

        Parameters
        ----------
        pixels : (n, 3)
            fs and ss in the data, and the number of the panel.
        distance : float or (n,)
            Detector distance, mm.
        shift : (n, 2) or None
            Displacement of the detector along x and y for each pixel, mm; None if it is not displaced.

        Returns
        -------
        (n, 3) float64
            Positions x, y, z from the sample, mm.
        """
        panel = pixels[:, 2].astype(np.int64)
        first, corner, fast, slow = (
            np.array([getattr(p, name) for p in self.panels], dtype=np.float64)
            for name in ("first", "corner", "fast", "slow")
        )
        steps = pixels[:, :2] - first[panel]
        places = corner[panel] + steps[:, :1] * fast[panel] + steps[:, 1:] * slow[panel]
        places[:, 2] += np.asarray(distance, dtype=np.float64)
        if shift is not None:
            places[:, :2] += shift
        return np.asarray(places)

    def spots(self, pixels: Array, wavelength: ArrayLike, distance: ArrayLike, shift: Array | None = None) -> Array:
        """Spots (n, 3), 1/angstrom, at pixels (n, 3), for a beam of a wavelength in angstrom, one or (n,).

        The other arguments are those of `positions`.
        """
        ray = self._without_parallax(pixels, self.positions(pixels, distance, shift))
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        return np.asarray((ray - (0.0, 0.0, 1.0)) / np.broadcast_to(wavelength, len(ray))[:, None])

    def on_panels(self, pixels: Array, distance: float, shift: Array | None = None) -> Array:
        """Points (n, 2), mm along fs and ss from the panel's corner, at which the rays at pixels (n, 3) enter it.

        Distance and shift (2,) of the detector, mm, are those of one frame, see `positions`.
        """
        panel, by = pixels[:, 2].astype(np.int64), np.zeros(2) if shift is None else shift
        corners = np.array([p.corner for p in self.panels]) + np.array([*by, distance])
        steps = self._without_parallax(pixels, self.positions(pixels, distance, by[None])) - corners[panel]
        axes = np.array([(p.fast, p.slow) for p in self.panels])
        axes /= np.linalg.norm(axes, axis=2, keepdims=True)
        return np.asarray(np.einsum("nk,nak->na", steps, axes[panel]))

    def _without_parallax(self, pixels: Array, places: Array) -> Array:
        """Points (n, 3), mm, at which the rays detected at positions (n, 3), mm, enter the sensor.

        The correction is that of dxtbx: a ray is detected at the mean depth 1/mu - (t/c + 1/mu) exp(-mu t/c) along its
        path, for a sensor of thickness t and absorption mu, where c is the cosine of the ray's angle to the normal.
        """
        thickness, absorption = np.array([p.sensor for p in self.panels])[pixels[:, 2].astype(np.int64)].T
        if not (has_sensor := (thickness > 0) & (absorption > 0)).any():
            return places
        thickness, absorption = thickness[has_sensor], absorption[has_sensor]
        ray = places[has_sensor] / np.linalg.norm(places[has_sensor], axis=1, keepdims=True)
        normals = np.array([np.cross(p.fast, p.slow) for p in self.panels])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        normal = normals[pixels[has_sensor, 2].astype(np.int64)]
        along = np.einsum("ij,ij->i", ray, normal)
        path = thickness / np.abs(along)
        depth = 1 / absorption - (path + 1 / absorption) * np.exp(-absorption * path)
        corrected = places.copy()
        corrected[has_sensor] -= depth[:, None] * (ray - along[:, None] * normal)
        return corrected

    def usable(self, pixels: Array) -> NDArray[np.bool_]:
        """Whether each pixel lies on a panel that is used and outside all bad regions, (n,)."""
        panel = pixels[:, 2].astype(np.int64)
        good = np.array([p.used for p in self.panels])[panel]
        for region in self.bad:
            inside = self._inside(region, pixels)
            if region.panel:
                inside &= np.array([p.name == region.panel for p in self.panels])[panel]
            good &= ~inside
        return np.asarray(good, dtype=np.bool_)

    def _inside(self, region: BadRegion, pixels: Array) -> NDArray[np.bool_]:
        """Whether each pixel lies in the rectangle of a bad region, on whichever panel, (n,)."""
        low, high = np.array(region.low), np.array(region.high)
        if not region.in_laboratory:
            return np.asarray(((pixels[:, :2] >= low) & (pixels[:, :2] < high + 1)).all(axis=1))
        # Laboratory coordinates in units of the panel's pixels, as CrystFEL gives the regions.
        size = np.array([np.linalg.norm(p.fast) for p in self.panels])[pixels[:, 2].astype(np.int64)]
        places = self.positions(pixels, 0.0)[:, :2] / size[:, None]
        return np.asarray(((places >= low) & (places <= high)).all(axis=1))

    def moved(self, shift: Sequence[float]) -> Detector:
        """The detector with all panels displaced by `shift` (3,), mm."""
        return replace(self, panels=tuple(replace(p, corner=_sum(p.corner, shift)) for p in self.panels))

    def with_beam_at(self, centre: tuple[float, float]) -> Detector:
        """The detector displaced across the beam so that the beam meets the first panel's plane at (fs, ss)."""
        place = self.positions(np.array([[*centre, 0.0]]), 0.0)[0]
        return self.moved((-place[0], -place[1], 0.0))


def _sum(vector: Sequence[float], shift: Sequence[float]) -> Vector:
    x, y, z = (float(v + s) for v, s in zip(vector, shift, strict=True))
    return x, y, z


@dataclass(frozen=True)
class Reading:
    """A quantity that every frame has: one number for all frames, or the dataset in which each input file keeps it.

    Attributes
    ----------
    value : float or None
        The number, in `unit`; None if the files keep the quantity.
    path : str
        Dataset with one number or one for each frame; empty if there is a value.
    unit : str
        Unit of the value or of the dataset, one that `units` knows.
    """

    value: float | None
    path: str = ""
    unit: str = ""

    @property
    def millimetres(self) -> float:
        """The value of a length, converted to mm."""
        factor = millimetres(self.unit)
        assert self.value is not None
        assert factor is not None
        return self.value * factor

    @property
    def angstrom(self) -> float:
        """The value of a wavelength, photon energy or accelerating voltage, converted to a wavelength in angstrom."""
        convert = to_angstrom(self.unit)
        assert convert is not None
        return float(convert(self.value))


@dataclass(frozen=True)
class Geometry:
    """Everything that converts the peaks of a file to spots.

    Attributes
    ----------
    detector : Detector
        Panels and bad regions.
    wavelength, distance : Reading or None
        Wavelength of the beam and detector distance; None if the peaks' own file must give the quantity.
    peak_list : str
        Path of the peak lists in the files, with `%` for the part that differs between events; empty if not given.
    peak_list_type : str
        Format of the peak lists, `cxi` or `list3`; empty if the data decide.
    half_pixel_shift : bool or None
        Whether peak positions are pixel numbers, to which half a pixel is added; None if their format decides.
    text : str
        The geometry as the text of a CrystFEL geometry file.
    by_hand : bool
        Whether the wavelength was given by hand, so that it takes precedence over the one in the peaks' own file.
    notes : tuple of str
        Notes to the user on assumptions and on lines of the geometry without effect.
    groups : tuple of tuple of int
        Numbers of the panels in each group that is mounted together; a group may be part of another.
    collections : tuple of (str, tuple of tuple of int)
        Levels of the detector by name, each with the groups of panels of which it consists.
    shift : (2,) of Reading or None
        Displacement of the detector along x and y that the files record for each frame, see `Detector.positions`. None
        if it is the same for all frames; it is then part of the panels' corners.
    """

    detector: Detector
    wavelength: Reading | None = None
    distance: Reading | None = None
    peak_list: str = ""
    peak_list_type: str = ""
    half_pixel_shift: bool | None = None
    text: str = ""
    by_hand: bool = False
    notes: tuple[str, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    collections: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = ()
    shift: tuple[Reading | None, Reading | None] = (None, None)


GivenGeometry = Geometry | ShiftAlone
"""A geometry that a user gives for all inputs, or only a shift of the beam."""
