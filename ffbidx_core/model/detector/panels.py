"""Detectors of many panels: pixels to reciprocal space.

The laboratory frame is CrystFEL's: the beam runs along +z, y points up, x completes a right-handed set. A spot is
q = s1 - s0 with |s0| = |s1| = 1 / wavelength, without a factor 2 pi. Pixels are distances from a panel's corner, so
the centre of the first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cell import Array
from .beam_shift import ShiftAlone
from .units import millimetres, to_angstrom

NO_PANEL = -1

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Panel:
    """A flat panel, and where its pixels lie in the data.

    Attributes
    ----------
    name : str
    first, last : (2,) int
        First and last pixel in the data, fs and ss, both included.
    corner : (3,) float
        Corner of the first pixel, mm; its z is measured from the detector's distance.
    fast, slow : (3,) float
        One pixel along fs and ss, mm.
    used : bool
        False for a panel whose peaks are not to be indexed.
    sensor : (2,) float
        Thickness, mm, and absorption, 1/mm, of a sensor in which rays are seen where they are absorbed, behind its
        front; zeros where that is not corrected.
    data : str
        Path of the panel's images in the files, `%` for what differs between events, or empty.
    dims : tuple of str
        What each dimension of the images is: `ss`, `fs`, a number, or `%` for events.
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
    """A rectangle whose peaks are not to be indexed.

    Attributes
    ----------
    low, high : (2,) float
        Its corners: data coordinates fs, ss (the pixels `high` included), or x, y of the laboratory in pixels.
    panel : str
        The only panel it is on, or empty for all.
    in_laboratory : bool
        Whether it is in laboratory coordinates.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    panel: str = ""
    in_laboratory: bool = False


@dataclass(frozen=True)
class Detector:
    """Panels and bad regions. Pixels (n, 3) are fs and ss in the data, from corners, and the panel's number."""

    panels: tuple[Panel, ...]
    bad: tuple[BadRegion, ...] = ()

    @property
    def mean_offset(self) -> float:
        """Mean offset of the panels' corners from the detector's distance, along the beam, mm."""
        return float(np.mean([panel.corner[2] for panel in self.panels]))

    def find_panels(self, fs: Array, ss: Array) -> NDArray[np.int64]:
        """Panel of each point (n,) of the data; NO_PANEL where none or several hold it."""
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
        """Laboratory positions (n, 3) in mm of pixels, for a distance of the detector in mm, one or (n,).

        `shift` (n, 2), mm, is how far the detector is moved along x and y for each pixel; None: it is not.
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
        """Spots (n, 3), 1/angstrom, of pixels, for a wavelength in angstrom and a distance in mm, one or (n,).

        `shift` as `positions` takes it.
        """
        ray = self._without_parallax(pixels, self.positions(pixels, distance, shift))
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        return np.asarray((ray - (0.0, 0.0, 1.0)) / np.broadcast_to(wavelength, len(ray))[:, None])

    def on_panels(self, pixels: Array, distance: float) -> Array:
        """Where rays enter the panels that they are seen on, (n, 2) mm from the panel's corner along fs and ss."""
        panel = pixels[:, 2].astype(np.int64)
        corners = np.array([p.corner for p in self.panels])
        corners[:, 2] += distance
        steps = self._without_parallax(pixels, self.positions(pixels, distance)) - corners[panel]
        axes = np.array([(p.fast, p.slow) for p in self.panels])
        axes /= np.linalg.norm(axes, axis=2, keepdims=True)
        return np.asarray(np.einsum("nk,nak->na", steps, axes[panel]))

    def _without_parallax(self, pixels: Array, places: Array) -> Array:
        """Where rays that are seen at places (n, 3) enter the sensor, mm.

        As dxtbx does it: a ray is seen at the mean depth o = 1 / mu - (t / cos + 1 / mu) exp(-mu t / cos) along it, for
        a sensor of thickness t and absorption mu, and cos of the angle between the ray and the panel's normal.
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
        """Which pixels are on a panel that is used, outside all bad regions, (n,)."""
        panel = pixels[:, 2].astype(np.int64)
        good = np.array([p.used for p in self.panels])[panel]
        for region in self.bad:
            inside = self._inside(region, pixels)
            if region.panel:
                inside &= np.array([p.name == region.panel for p in self.panels])[panel]
            good &= ~inside
        return np.asarray(good, dtype=np.bool_)

    def _inside(self, region: BadRegion, pixels: Array) -> NDArray[np.bool_]:
        low, high = np.array(region.low), np.array(region.high)
        if not region.in_laboratory:
            return np.asarray(((pixels[:, :2] >= low) & (pixels[:, :2] < high + 1)).all(axis=1))
        # In pixels of the panel, as the regions are given.
        size = np.array([np.linalg.norm(p.fast) for p in self.panels])[pixels[:, 2].astype(np.int64)]
        places = self.positions(pixels, 0.0)[:, :2] / size[:, None]
        return np.asarray(((places >= low) & (places <= high)).all(axis=1))

    def moved(self, shift: Sequence[float]) -> Detector:
        """The detector with all panels shifted by (3,) mm."""
        return replace(self, panels=tuple(replace(p, corner=_sum(p.corner, shift)) for p in self.panels))

    def with_beam_at(self, centre: tuple[float, float]) -> Detector:
        """The detector shifted across the beam so that the beam meets the first panel's plane at (fs, ss)."""
        place = self.positions(np.array([[*centre, 0.0]]), 0.0)[0]
        return self.moved((-place[0], -place[1], 0.0))


def _sum(vector: Sequence[float], shift: Sequence[float]) -> Vector:
    x, y, z = (float(v + s) for v, s in zip(vector, shift, strict=True))
    return x, y, z


@dataclass(frozen=True)
class Reading:
    """A quantity of every frame: one number, or where each input file keeps it.

    Attributes
    ----------
    value : float or None
        In `unit`.
    path : str
        Dataset with one number, or one for each frame; empty where there is a value.
    unit : str
        A unit that `units` knows.
    """

    value: float | None
    path: str = ""
    unit: str = ""

    @property
    def millimetres(self) -> float:
        """The number of a length, mm."""
        factor = millimetres(self.unit)
        assert self.value is not None
        assert factor is not None
        return self.value * factor

    @property
    def angstrom(self) -> float:
        """The number of a wavelength, a photon energy or a voltage, as a wavelength in angstrom."""
        convert = to_angstrom(self.unit)
        assert convert is not None
        return float(convert(self.value))


@dataclass(frozen=True)
class Geometry:
    """All that is needed to turn the peaks of a file into spots.

    Attributes
    ----------
    detector : Detector
    wavelength, distance : Reading or None
        None where the peaks' own file must say it.
    peak_list : str
        Where the peak lists are in the files, `%` for what differs between events, or empty.
    peak_list_type : str
        `cxi`, `list3`, or empty for what is found there.
    half_pixel_shift : bool or None
        Whether peaks are pixel numbers, to which half a pixel is added; None: as is usual in their format.
    text : str
        The geometry as a CrystFEL geometry file.
    by_hand : bool
        Whether the wavelength was given by hand, so that it wins over what the peaks' own file says.
    notes : tuple of str
        What a user should know of the geometry: what is assumed, and lines without effect.
    groups : tuple of tuple of int
        Sets of panels, by their numbers, that are mounted together; one may be part of another.
    shift : (2,) of Reading or None
        Where files keep how far the detector is moved along x and y on each frame, see `Detector.positions`; None: a
        shift that is the same for all frames is in the detector.
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
    shift: tuple[Reading | None, Reading | None] = (None, None)


GivenGeometry = Geometry | ShiftAlone
"""What a user may give for all inputs: their geometry, or no more than a shift of the beam."""
