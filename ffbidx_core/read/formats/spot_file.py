"""What every reader of spot files offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...model.basis import ConventionalCells
from ...model.detector.panels import Geometry
from ..frames import RawFrames


class SpotFile(Protocol):
    """An open spot file of any format.

    Attributes
    ----------
    format : str
        Name of the format in messages.
    units_assumed : bool
        Whether the file does not say in which units its spots are.
    cells : (M, 3, 3) float64 or None
        The file's own input cells, rows a, b, c, angstrom.
    geometry : Geometry or None
        The geometry that made spots of the file's peaks; None where it holds spots without pixels.
    half_pixel_shift : bool or None
        Whether half a pixel was added to the peaks; None where that is not known.
    """

    path: str
    format: str
    n_frames: int
    units_assumed: bool
    cells: ConventionalCells | None
    geometry: Geometry | None
    half_pixel_shift: bool | None

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Some of the frames, ascending; an `InputError` comes after all frames before the bad one."""

    def close(self) -> None:
        """Close the file."""
