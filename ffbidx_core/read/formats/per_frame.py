"""Wavelength, detector distance and detector shift of every frame, from the geometry or from the file with the peaks.

A geometry gives each quantity as a number, or names a dataset with one number or with one for each frame; some formats
have datasets of their own. Every reader obtains the values for its frames from a `PerFrame`.
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
from ..files.faults import Faults


class PerFrame(Protocol):
    """A quantity of each frame of a file, in angstrom or mm."""

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values (F,) float64 for the frames with ascending numbers."""


@dataclass(frozen=True)
class Same:
    """A quantity with the same value for all frames."""

    value: float

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The value, repeated for F frames."""
        return np.full(len(frames), self.value)


@dataclass(frozen=True)
class Listed:
    """A quantity with a value for each frame of the file, (n_frames,), in memory."""

    values: Array

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values (F,) of some frames."""
        return self.values[frames]


@dataclass(frozen=True)
class Quantity:
    """A kind of quantity: the wavelength, the distance or the shift of the detector.

    Attributes
    ----------
    name : str
        Name of the field in `Geometry`, of the option (if there is one), and in messages.
    converted : callable
        Function of a reading and of values in its unit that returns the values in angstrom or mm.
    """

    name: str
    converted: Callable[[Reading, Array], Array]

    def reading(self, path: str, geometry: Geometry) -> Reading:
        """The reading of the quantity in a geometry, or an `InputError` that names the option; `path` is for it."""
        found: Reading | None = getattr(geometry, self.name)
        if found is None:
            raise InputError(path, f"its geometry has no {self.name}: give it with --{self.name}")
        return found

    def number(self, reading: Reading) -> float:
        """The value of a reading that is a number, in angstrom or mm."""
        return float(self.converted(reading, np.array([reading.value], dtype=np.float64))[0])

    def given(self, geometry: Geometry) -> float | None:
        """The number in a geometry that replaces the file's own values, in angstrom or mm; None if there is none.

        A distance always replaces them. A wavelength does only if it was given by hand, since that of a frame is
        measured.
        """
        reading: Reading | None = getattr(geometry, self.name)
        if reading is None or reading.value is None or (self is WAVELENGTH and not geometry.by_hand):
            return None
        return self.number(reading)


def _in_angstrom(reading: Reading, values: Array) -> Array:
    """Values in the unit of a reading, converted to wavelengths in angstrom."""
    convert = to_angstrom(reading.unit)
    assert convert is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(convert(values), dtype=np.float64)


def _in_millimetres(reading: Reading, values: Array) -> Array:
    """Values in the unit of a reading, converted to mm."""
    factor = millimetres(reading.unit)
    assert factor is not None
    return np.asarray(values * factor, dtype=np.float64)


WAVELENGTH, DISTANCE = Quantity("wavelength", _in_angstrom), Quantity("distance", _in_millimetres)
SHIFT = Quantity("shift", _in_millimetres)


@dataclass(frozen=True)
class FrameReadings:
    """The sources of a geometry's quantities for the frames of one file.

    Attributes
    ----------
    wavelength, distance : PerFrame
        Wavelength, angstrom, and detector distance, mm.
    shift : (2,) of PerFrame or None
        Displacement of the detector along x and y, mm; None if it is not displaced on any frame.
    """

    wavelength: PerFrame
    distance: PerFrame
    shift: tuple[PerFrame, PerFrame] | None = None

    @classmethod
    def of_geometry(
        cls, path: str, geometry: Geometry, in_file: Callable[[Quantity, Reading], PerFrame]
    ) -> FrameReadings:
        """The sources of the quantities of a geometry.

        Parameters
        ----------
        path
            Name of the file, for messages.
        geometry
            The geometry.
        in_file
            Function that makes the source of a quantity for which the geometry names a dataset.

        Raises
        ------
        InputError
            If the geometry has no wavelength or no distance, or a dataset that it names cannot be used.
        """

        def source(quantity: Quantity, reading: Reading | None) -> PerFrame:
            if reading is None:
                return Same(0.0)
            return in_file(quantity, reading) if reading.value is None else Same(quantity.number(reading))

        faults, found = Faults(), list[PerFrame]()
        for quantity in (WAVELENGTH, DISTANCE):
            with faults.collected():
                found.append(source(quantity, quantity.reading(path, geometry)))
        for reading in geometry.shift:
            with faults.collected():
                found.append(source(SHIFT, reading))
        faults.raise_all()
        wavelength, distance, x, y = found
        return cls(wavelength, distance, None if geometry.shift == (None, None) else (x, y))

    @property
    def sources(self) -> list[PerFrame]:
        """The sources of all quantities."""
        return [self.wavelength, self.distance, *(self.shift or ())]

    def shifts(self, frames: NDArray[np.int64]) -> Array | None:
        """The displacements (F, 2) of the detector on some frames, mm; None if it is not displaced on any frame."""
        return None if self.shift is None else np.column_stack([axis.of(frames) for axis in self.shift])
