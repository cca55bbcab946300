"""Reading of the spots that a results file keeps, as if they were in the spot files of its inputs."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from ....model.basis import ConventionalCells
from ....model.detector.panels import Geometry
from ....model.detector.peaks import DetectorPeaks
from ...files.datasets import errors_of, find, open_dataset, open_file
from ...frames import RawFrames
from ...geometry.any import parse_geometry
from .opened import OpenHdf5

GROUP = "/spot"
"""Group of a results file that holds the spots."""


def _dataset(file: h5py.File, path: str, name: str, kind: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
    """A dataset that must exist; see `open_dataset`."""
    dataset = open_dataset(file, path, name, kind, shape)
    if dataset is None:
        raise InputError(path, "is missing", name)
    return dataset


@functools.lru_cache(maxsize=1)
def _frames_of(
    path: str, size: int, mtime_ns: int
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Input file, index, name, and number of the geometry of all frames in a results file, and offsets of their spots.

    They are cached for the next input in the same results file, which may hold a million frames.
    """
    with open_file(path) as file:
        sources = _dataset(file, path, "/frame/source", "text", (None,))
        indices = _dataset(file, path, "/frame/index", "iu", (None,))
        names = _dataset(file, path, "/frame/id", "text", (None,))
        offsets = _dataset(file, path, f"{GROUP}/offsets", "iu", (len(indices) + 1,))
        geometry = open_dataset(file, path, f"{GROUP}/geometry", "iu", (len(indices),))
        with errors_of(path, GROUP):
            return (
                sources.asstr("utf-8", "backslashreplace")[()],
                np.asarray(indices[()], dtype=np.int64),
                names.asstr("utf-8", "backslashreplace")[()],
                np.zeros(len(indices), np.int64) if geometry is None else np.asarray(geometry[()], dtype=np.int64),
                np.asarray(offsets[()], dtype=np.int64),
            )


def keeps_spots(path: str) -> bool:
    """Whether a results file keeps the spots of its frames."""
    with open_file(path) as file:
        return find(file, path, f"{GROUP}/offsets") is not None


class KeptSpots(OpenHdf5):
    """The frames of one input in a results file that keeps their spots.

    Parameters
    ----------
    path
        Results file.
    source
        Input, as the results file names it.

    Raises
    ------
    InputError
        If the datasets of the spots do not fit each other.
    """

    format = "spots in results"
    units_assumed = False
    cells: ConventionalCells | None = None
    half_pixel_shift: bool | None = None

    def __init__(self, path: str, source: str) -> None:
        self._source = source
        super().__init__(path)

    def _open(self) -> None:
        self._xyz = self.dataset(f"{GROUP}/xyz", "f", (None, 3))
        now = os.stat(self.path)
        found = _frames_of(self.path, now.st_size, now.st_mtime_ns)
        sources, indices, self._names, self._number, self._offsets = found
        rows = np.flatnonzero(sources == self._source)
        own = indices[rows]
        self._row_of = dict(zip(own.tolist(), rows.tolist(), strict=True))
        if (np.diff(self._offsets) < 0).any() or self._offsets[0] != 0 or self._offsets[-1] > len(self._xyz):
            raise InputError(self.path, "does not rise from 0 to the number of spots", f"{GROUP}/offsets")
        self.n_frames = int(own.max(initial=-1)) + 1
        self._geometries = self._kept_geometries(set(self._number[rows].tolist()))
        self.geometry: Geometry | None = next((g for g in map(self._geometry, rows.tolist()) if g is not None), None)

    def _kept_geometries(self, wanted: set[int]) -> dict[int, Geometry]:
        """The geometries with these numbers, without those that cannot be read; the first is an attribute."""
        texts = open_dataset(self._file, self.path, f"{GROUP}/geometries", "text", (None,))
        with errors_of(self.path, GROUP):
            text = self._file[GROUP].attrs.get("geometry")
            known = [text] if texts is None else texts.asstr("utf-8", "backslashreplace")[()].tolist()
        found = {}
        for number in wanted:
            if 0 <= number < len(known) and isinstance(known[number], str):
                with contextlib.suppress(InputError):
                    found[number] = parse_geometry(self.path, known[number])
        return found

    def _geometry(self, row: int) -> Geometry | None:
        """The geometry of the frame in a row of the results; None if its spots have no pixels."""
        return self._geometries.get(int(self._number[row]))

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given indices."""
        for index in frames.tolist():
            row = self._row_of[index]
            part = slice(int(self._offsets[row]), int(self._offsets[row + 1]))
            with errors_of(self.path, f"{GROUP}, frame {row}"):
                spots = self._xyz[part].astype(np.float64)
                peaks = self._peaks(row, part) if self._geometry(row) is not None else None
            if peaks is not None and np.isnan(peaks.wavelength).all():
                # The frame came without pixels.
                peaks = None
            name, offsets = str(self._names[row]), np.array([0, len(spots)])
            geometry = None if peaks is None else self._geometry(row)
            yield RawFrames(self._source, np.array([index]), [name], spots, offsets, peaks=peaks, geometry=geometry)

    def _peaks(self, row: int, part: slice) -> DetectorPeaks:
        """The peaks of the frame in a row of the results, whose spots are a slice of all."""
        pixels, intensity = (self._file[f"{GROUP}/{name}"][part].astype(np.float64) for name in ("pixel", "intensity"))
        wavelength, distance = (self._file[f"{GROUP}/{name}"][row : row + 1] for name in ("wavelength", "distance"))
        shift = self._file[f"{GROUP}/shift"][row : row + 1] if "shift" in self._file[GROUP] else None
        return DetectorPeaks(pixels, wavelength, distance, intensity, shift)
