"""Detectors of many panels: pixels to reciprocal space.

The laboratory frame is CrystFEL's: the beam runs along +z, y points up, x completes a right-handed set. A spot is
q = s1 - s0 with |s0| = |s1| = 1 / wavelength, without a factor 2 pi. Pixels are distances from a panel's corner, so
the centre of the first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cell import Array

HC = 12398.42
"""Photon energy (eV) times wavelength (angstrom)."""
NO_PANEL = -1
BY_HAND = "; the wavelength was given by hand"
"""Line of a geometry file whose wavelength wins over what the peaks' own file says."""

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
    """

    name: str
    first: tuple[int, int]
    last: tuple[int, int]
    corner: Vector
    fast: Vector = (1.0, 0.0, 0.0)
    slow: Vector = (0.0, 1.0, 0.0)
    used: bool = True


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

    def positions(self, pixels: Array, distance: ArrayLike) -> Array:
        """Laboratory positions (n, 3) in mm of pixels, for a distance of the detector in mm, one or (n,)."""
        panel = pixels[:, 2].astype(np.int64)
        first, corner, fast, slow = (
            np.array([getattr(p, name) for p in self.panels], dtype=np.float64)
            for name in ("first", "corner", "fast", "slow")
        )
        steps = pixels[:, :2] - first[panel]
        places = corner[panel] + steps[:, :1] * fast[panel] + steps[:, 1:] * slow[panel]
        places[:, 2] += np.asarray(distance, dtype=np.float64)
        return np.asarray(places)

    def spots(self, pixels: Array, wavelength: ArrayLike, distance: ArrayLike) -> Array:
        """Spots (n, 3), 1/angstrom, of pixels, for a wavelength in angstrom and a distance in mm, one or (n,)."""
        ray = self.positions(pixels, distance)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        return np.asarray((ray - (0.0, 0.0, 1.0)) / np.broadcast_to(wavelength, len(ray))[:, None])

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
        A key of `WAVELENGTH_UNITS` or `LENGTH_UNITS`.
    """

    value: float | None
    path: str = ""
    unit: str = ""


def _electrons(volts: Any) -> Any:
    """De Broglie's wavelength of electrons, with the relativistic correction."""
    return 12.2642596 / np.sqrt(volts * (1 + 0.978475598e-6 * volts))


WAVELENGTH_UNITS: dict[str, Callable[[Any], Any]] = {
    "A": lambda v: v,
    "m": lambda v: v * 1e10,
    "eV": lambda v: HC / v,
    "keV": lambda v: HC / (v * 1e3),
    "MeV": lambda v: HC / (v * 1e6),
    "V": _electrons,
    "kV": lambda v: _electrons(v * 1e3),
}
"""What makes angstrom of a wavelength, a photon energy or an accelerating voltage."""
LENGTH_UNITS = {"mm": 1.0, "m": 1e3}
"""Millimetres in a unit."""


@dataclass(frozen=True)
class Geometry:
    """What turns the peaks of a file into spots.

    Attributes
    ----------
    detector : Detector
    wavelength, distance : Reading or None
        None where the peaks' own file must say it.
    peak_list : str
        Group of the peak lists in the files, or empty.
    half_pixel_shift : bool or None
        Whether peaks are pixel numbers, to which half a pixel is added; None: as is usual in their format.
    text : str
        The geometry as a CrystFEL geometry file.
    by_hand : bool
        Whether the wavelength was given by hand, so that it wins over what the peaks' own file says.
    """

    detector: Detector
    wavelength: Reading | None = None
    distance: Reading | None = None
    peak_list: str = ""
    half_pixel_shift: bool | None = None
    text: str = ""
    by_hand: bool = False


def geometry_text(geometry: Geometry) -> str:
    """A geometry as a CrystFEL geometry file."""
    lines = [BY_HAND] if geometry.by_hand else []
    wave, distance = geometry.wavelength, geometry.distance
    if wave is not None:
        key = {"A": "wavelength", "m": "wavelength", "V": "electron_voltage", "kV": "electron_voltage"}
        lines.append(f"{key.get(wave.unit, 'photon_energy')} = {_written(wave)} {wave.unit}")
    if distance is not None:
        lines.append(f"clen = {_written(distance)} {distance.unit}")
    if geometry.peak_list:
        lines.append(f"peak_list = {geometry.peak_list}")
    for number, panel in enumerate(geometry.detector.panels):
        lines += _panel_lines(panel)
        if len({p.first for p in geometry.detector.panels}) < len(geometry.detector.panels):
            # Panels that begin at one place are layers of the data.
            lines += [f"{panel.name}/dim{i} = {what}" for i, what in enumerate(("%", number, "ss", "fs"))]
    lines += [line for i, region in enumerate(geometry.detector.bad) for line in _region_lines(f"bad{i}", region)]
    return "\n".join(lines) + "\n"


def _written(reading: Reading) -> str:
    return reading.path or f"{reading.value:.10g}"


def _panel_lines(panel: Panel) -> list[str]:
    size = float(np.linalg.norm(panel.fast))
    x, y, z = panel.corner
    fields = {
        "min_fs": panel.first[0], "max_fs": panel.last[0], "min_ss": panel.first[1], "max_ss": panel.last[1],
        "res": f"{1e3 / size:.10g}", "corner_x": f"{x / size:.8f}", "corner_y": f"{y / size:.8f}",
        "coffset": f"{z / 1e3:.10g}", "fs": _algebraic(panel.fast, size), "ss": _algebraic(panel.slow, size),
    }
    if not panel.used:
        fields["no_index"] = 1
    return [f"{panel.name}/{key} = {value}" for key, value in fields.items()]


def _algebraic(vector: Vector, size: float) -> str:
    return " ".join(f"{v / size:+.10f}{axis}" for v, axis in zip(vector, "xyz", strict=True))


def _region_lines(name: str, region: BadRegion) -> list[str]:
    axes = ("x", "y") if region.in_laboratory else ("fs", "ss")
    lines = [f"{name}/panel = {region.panel}"] if region.panel else []
    for axis, low, high in zip(axes, region.low, region.high, strict=True):
        lines += [f"{name}/min_{axis} = {low:.10g}", f"{name}/max_{axis} = {high:.10g}"]
    return lines
