"""Frames that are given as arrays in memory, with the same interface as a spot file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArrayError
from ..model.basis import ConventionalCells
from ..model.detector.beam_shift import ShiftAlone
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.records.frame import Place
from ..model.records.ragged import offsets_of, rows_of
from ..model.records.run import InputIdentity
from .files.inputs import Source
from .formats.shifted import ShiftedSpots
from .formats.spot_file import SpotFile
from .frames import RawFrames
from .selection import Selection, readable_frames

NAME = "memory"
"""Name that stands for the input file of these frames in results."""


class SpotArrays:
    """The spots of F frames in memory, which are read like a spot file without pixels and without cells of its own.

    Parameters
    ----------
    spots : (n, 3) array, or sequence of (n, 3) arrays
        Spots in reciprocal space, 1/angstrom, of any real type: those of all frames one after the other, or an array
        for each frame. A frame with a spot that is not finite gets the status `bad_spots`.
    offsets : (F + 1,) array of integers, optional
        Frame f owns the rows offsets[f]:offsets[f + 1] of `spots`. Without offsets a single array is one frame.

    Attributes
    ----------
    n_frames : int
        Number of frames.

    Raises
    ------
    ArrayError
        If an array has another shape or type, or the offsets do not fit the spots.
    """

    path, format = NAME, "arrays in memory"
    units_assumed = False
    cells: ConventionalCells | None = None
    geometry: Geometry | None = None
    half_pixel_shift: bool | None = None

    def __init__(self, spots: Any, offsets: Any = None) -> None:
        if offsets is None:
            is_one = isinstance(spots, np.ndarray) and spots.ndim < 3
            frames = [checked(spots, "spots")] if is_one else _frames(spots)
            self._spots = np.concatenate([np.zeros((0, 3), np.float32), *frames])
            self._offsets = offsets_of(np.array([len(frame) for frame in frames], np.int64))
        else:
            self._spots = checked(spots, "spots")
            self._offsets = _checked_offsets(offsets, len(self._spots))
        self.n_frames = len(self._offsets) - 1

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """The frames with the given ascending numbers."""
        rows, offsets = rows_of(self._offsets, frames)
        yield RawFrames(NAME, frames, [""] * len(frames), self._spots[rows], offsets)

    def close(self) -> None:
        """Do nothing, since no file is open."""

    def frames(
        self, selection: Selection, start: Place, at_once: int, geometry: GivenGeometry | None
    ) -> Iterator[RawFrames]:
        """The selected frames from a place on, with the beam shifted if `geometry` is a shift of the beam."""
        file: SpotFile = self
        if isinstance(geometry, ShiftAlone):
            file = ShiftedSpots(self, geometry.beam_shift, geometry.distortion)
        yield from readable_frames(file, Source(NAME), start, selection, at_once)

    @property
    def identity(self) -> InputIdentity:
        """Identity of the arrays: their size and the hash of their content."""
        hasher = hashlib.blake2b(self._offsets.tobytes(), digest_size=16)
        hasher.update(np.ascontiguousarray(self._spots).data)
        return InputIdentity(NAME, -1, self._spots.nbytes, 0, f"{self._spots.nbytes}:{hasher.hexdigest()}")


def checked(values: Any, name: str) -> NDArray[np.floating[Any]]:
    """Convert spots to an array of floating-point numbers.

    Parameters
    ----------
    values : (n, 3)
        Spots, 1/angstrom.
    name
        Name of the argument in error messages.

    Returns
    -------
    (n, 3) float32 or float64

    Raises
    ------
    ArrayError
        If the shape or type is another.
    """
    array = _as_array(values, name)
    if array.ndim != 2 or array.shape[1] != 3:
        turned = ": give its transpose, .T" if array.ndim == 2 and array.shape[0] == 3 else ""
        raise ArrayError(name, f"the shape {array.shape}", f"(n, 3), a row x y z in 1/angstrom for each spot{turned}")
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)


def _as_array(values: Any, name: str, kinds: str = "fiu", wanted: str = "real numbers") -> NDArray[Any]:
    """Values as an array of one of some kinds of numbers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ArrayError(name, f"content that is not an array ({error})", f"an array of {wanted}") from None
    # An empty list has no numbers that could determine a type.
    if array.dtype.kind not in kinds and array.size:
        raise ArrayError(name, f"the type {array.dtype}", f"an array of {wanted}")
    return array


def _frames(spots: Any) -> Sequence[NDArray[Any]]:
    """The spots of each frame from a sequence of arrays."""
    if not isinstance(spots, (list, tuple, np.ndarray)):
        given = f"a {type(spots).__name__}"
        raise ArrayError("spots", given, "an (n, 3) array with offsets, or a list of (n, 3) arrays, one for each frame")
    return [checked(frame, f"spots[{number}]") for number, frame in enumerate(spots)]


def _checked_offsets(offsets: Any, n_spots: int) -> NDArray[np.int64]:
    """Offsets as an array of integers that fit a number of spots."""
    array = _as_array(offsets, "offsets", "iu", "integers")
    if array.ndim != 1 or len(array) == 0:
        raise ArrayError("offsets", f"the shape {array.shape}", "(n_frames + 1,)")
    array = array.astype(np.int64)
    if array[0] != 0 or array[-1] != n_spots:
        raise ArrayError("offsets", f"{array[0]} to {array[-1]}", f"0 to {n_spots}, the number of spots")
    if (falls := np.flatnonzero(np.diff(array) < 0)).size:
        raise ArrayError("offsets", f"a decrease after frame {falls[0]}", "numbers that do not decrease")
    return array
