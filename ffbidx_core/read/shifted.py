"""Spots without pixels as they are when the beam was not where it was taken to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.cell import Array
from ..model.detector import Geometry
from ..model.geometry import spots_of_moved_detector, wavelength_of_spots
from .frames import RawFrames

if TYPE_CHECKING:
    from .open import SpotFile


class ShiftedSpots:
    """An open spot file with the beam shifted.

    Parameters
    ----------
    file
        Closed with this.
    shift : (2,)
        Where the beam meets the detector that the spots were computed with, mrad.

    Raises
    ------
    InputError
        When its spots have pixels.
    """

    geometry: Geometry | None = None
    half_pixel_shift: bool | None = None

    def __init__(self, file: SpotFile, shift: tuple[float, float]) -> None:
        self._file, self._shift = file, np.array(shift) * 1e-3
        self.path, self.format, self.n_frames = file.path, file.format, file.n_frames
        self.units_assumed, self.cells = file.units_assumed, file.cells
        if file.geometry is not None:
            file.close()
            raise InputError(file.path, "its spots have pixels: shift the beam with --beam-centre FS SS instead")

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Some of the frames, ascending; those whose spots lie on no Ewald sphere stay as they are."""
        for raw in self._file.read(frames):
            spots = raw.spots.astype(np.float64)
            for begin, end in zip(raw.offsets[:-1], raw.offsets[1:], strict=True):
                spots[begin:end] = self._shifted(spots[begin:end])
            raw.spots = spots
            yield raw

    def _shifted(self, spots: Array) -> Array:
        # What is no spot stays so: padding, and what makes a frame a bad one.
        real = np.isfinite(spots).all(axis=1) & spots.any(axis=1)
        wavelength = wavelength_of_spots(spots[real]) if real.all(where=spots.any(axis=1)) else None
        if wavelength is None:
            return spots
        moved = spots.copy()
        moved[real] = spots_of_moved_detector(spots[real], np.full(int(real.sum()), wavelength), self._shift)
        return moved

    def close(self) -> None:
        """Close the file."""
        self._file.close()
