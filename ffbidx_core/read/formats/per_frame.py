"""Wavelength and detector distance of every frame, wherever they are: in the geometry, or in the file of the peaks.

A geometry has either of them as a number, or names a dataset with a number or with one for each frame; formats have
their own places besides. Every reader asks a `PerFrame` for the frames at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.panels import LENGTH_UNITS, WAVELENGTH_UNITS, Geometry, Reading


class PerFrame(Protocol):
    """A quantity of each frame of a file, in angstrom or mm."""

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values (F,) float64 of some frames, ascending."""


@dataclass(frozen=True)
class Same:
    """One value for all frames."""

    value: float

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The value, F times."""
        return np.full(len(frames), self.value)


@dataclass(frozen=True)
class Listed:
    """A value for each frame of the file (n_frames,), in memory."""

    values: Array

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values (F,) of some frames."""
        return self.values[frames]


@dataclass(frozen=True)
class Quantity:
    """A wavelength or a distance.

    Attributes
    ----------
    name : str
        Its field in `Geometry`, its option without dashes, and its word in messages.
    converted : callable
        Takes a reading and values in the unit of the reading; gives angstrom or mm.
    """

    name: str
    converted: Callable[[Reading, Array], Array]

    def reading(self, path: str, geometry: Geometry) -> Reading:
        """The quantity's reading in a geometry, or an `InputError` that names the option; `path` is for messages."""
        found: Reading | None = getattr(geometry, self.name)
        if found is None:
            raise InputError(path, f"its geometry has no {self.name}: give it with --{self.name}")
        return found

    def number(self, reading: Reading) -> float:
        """The number of a reading that is one, in angstrom or mm."""
        return float(self.converted(reading, np.array([reading.value], dtype=np.float64))[0])

    def given(self, geometry: Geometry) -> float | None:
        """The number of a geometry where it takes the place of what files have themselves, in angstrom or mm.

        A distance always does; a wavelength does when it was given by hand, since that of a frame is measured.
        """
        reading: Reading | None = getattr(geometry, self.name)
        if reading is None or reading.value is None or (self is WAVELENGTH and not geometry.by_hand):
            return None
        return self.number(reading)


def _in_angstrom(reading: Reading, values: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(WAVELENGTH_UNITS[reading.unit](values), dtype=np.float64)


def _in_millimetres(reading: Reading, values: Array) -> Array:
    return np.asarray(values * LENGTH_UNITS[reading.unit], dtype=np.float64)


WAVELENGTH, DISTANCE = Quantity("wavelength", _in_angstrom), Quantity("distance", _in_millimetres)
