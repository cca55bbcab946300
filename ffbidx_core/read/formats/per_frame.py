"""Wavelength, detector distance and shift of every frame, wherever they are: in the geometry or the file of the peaks.

A geometry has each of them as a number, or names a dataset with a number or with one for each frame; formats have
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
from ...model.detector.panels import Geometry, Reading
from ...model.detector.units import millimetres, to_angstrom


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
    """A wavelength, a distance or a shift.

    Attributes
    ----------
    name : str
        Its field in `Geometry`, its option without dashes where it has one, and its word in messages.
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
    convert = to_angstrom(reading.unit)
    assert convert is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(convert(values), dtype=np.float64)


def _in_millimetres(reading: Reading, values: Array) -> Array:
    factor = millimetres(reading.unit)
    assert factor is not None
    return np.asarray(values * factor, dtype=np.float64)


WAVELENGTH, DISTANCE = Quantity("wavelength", _in_angstrom), Quantity("distance", _in_millimetres)
SHIFT = Quantity("shift", _in_millimetres)


@dataclass(frozen=True)
class FrameReadings:
    """Where the quantities of a geometry come from in one file.

    Attributes
    ----------
    wavelength, distance : PerFrame
    shift : (2,) of PerFrame or None
        How far the detector is moved along x and y; None: it is not, whatever the frame.
    """

    wavelength: PerFrame
    distance: PerFrame
    shift: tuple[PerFrame, PerFrame] | None = None

    @classmethod
    def of_geometry(
        cls, path: str, geometry: Geometry, in_file: Callable[[Quantity, Reading], PerFrame]
    ) -> FrameReadings:
        """The readings of a geometry.

        Parameters
        ----------
        path
            Name of the file, for messages.
        in_file
            Makes the reader of a quantity that the geometry has in a dataset.

        Raises
        ------
        InputError
            For a geometry without wavelength or distance.
        """

        def source(quantity: Quantity, reading: Reading | None) -> PerFrame:
            if reading is None:
                return Same(0.0)
            return in_file(quantity, reading) if reading.value is None else Same(quantity.number(reading))

        wavelength, distance = (source(q, q.reading(path, geometry)) for q in (WAVELENGTH, DISTANCE))
        x, y = (source(SHIFT, reading) for reading in geometry.shift)
        return cls(wavelength, distance, None if geometry.shift == (None, None) else (x, y))

    @property
    def sources(self) -> list[PerFrame]:
        """All of them."""
        return [self.wavelength, self.distance, *(self.shift or ())]

    def shifts(self, frames: NDArray[np.int64]) -> Array | None:
        """The shifts (F, 2) of some frames, mm; None where the detector is never moved."""
        return None if self.shift is None else np.column_stack([axis.of(frames) for axis in self.shift])
