"""The protocol that every reader of spot files implements."""

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
    path : str
        The file, as the user named it.
    format : str
        Name of the format in messages.
    n_frames : int
        Number of frames.
    units_assumed : bool
        Whether the units of the spots are assumed because the file does not give them.
    cells : (M, 3, 3) float64 or None
        Input cells that the file itself provides, rows a, b, c, angstrom; None if it provides none.
    geometry : Geometry or None
        Geometry by which the file's peaks are converted to spots; None for spots without pixels.
    half_pixel_shift : bool or None
        Whether half a pixel is added to the peak positions; None if that is not known.
    """

    path: str
    format: str
    n_frames: int
    units_assumed: bool
    cells: ConventionalCells | None
    geometry: Geometry | None
    half_pixel_shift: bool | None

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers; an `InputError` is raised after the frames before it."""

    def close(self) -> None:
        """Close the file."""
