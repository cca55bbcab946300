"""The writer of native HDF5 spot files, from frames of any format."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...errors import InputError
from ...model.basis import ConventionalCells
from ...model.detector.panels import Geometry
from ...read.frames import RawFrames
from ..results import as_texts

_TEXT = h5py.string_dtype("utf-8")
_ROWS_PER_CHUNK = 2**14
_UNITS = {"spots": "1/angstrom", "wavelength": "angstrom", "distance": "mm", "shift": "mm"}


class SpotsWriter:
    """Gathers frames for one spot file, in memory.

    Parameters
    ----------
    geometry
        The geometry with which the spots were computed; None: they have no pixels.
    half_pixel_shift
        Whether half a pixel was added to the peaks of the spots.

    Attributes
    ----------
    n_frames, n_spots : int
        Number of frames and of spots so far.
    problems : list of str
        Notes on problems with the frames.
    """

    def __init__(self, geometry: Geometry | None, half_pixel_shift: bool | None) -> None:
        self._image = io.BytesIO()
        # The file is in memory, because HDF5 ends the whole program if the disk is full.
        self._file = h5py.File(self._image, "w", libver="earliest")
        self._geometry = geometry
        self.n_frames = self.n_spots = self.n_unreadable = 0
        self.problems: list[str] = []
        self._offsets: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._names: list[str] = []
        self._cells: ConventionalCells | None = None
        if geometry is not None:
            self._file.attrs["geometry"] = geometry.text
            if half_pixel_shift is not None:
                self._file.attrs["half_pixel_shift"] = half_pixel_shift
        self._append("spots", np.zeros((0, 3), np.float32))

    def add(self, frames: Iterable[RawFrames]) -> None:
        """Append frames as read from their files.

        Raises
        ------
        InputError
            If frames have no pixels while earlier frames have them, or have another geometry.
        """
        for raw in frames:
            self.problems += raw.problems
            if not raw.readable:
                self.n_unreadable += 1
                continue
            if raw.cells is not None and self._cells is None:
                self._cells = raw.cells
            with np.errstate(over="ignore"):
                self._append("spots", raw.spots.astype(np.float32))
            if self._geometry is not None:
                self._add_peaks(raw, self._geometry)
            self._offsets.append(raw.offsets[1:] + self.n_spots)
            self._names += _names(raw)
            self.n_frames += len(raw.indices)
            self.n_spots += len(raw.spots)

    def _add_peaks(self, raw: RawFrames, geometry: Geometry) -> None:
        if raw.peaks is None:
            raise InputError(
                raw.source, "its spots have no pixels, but those of other inputs have: convert them separately"
            )
        if raw.geometry is not None and raw.geometry.text != geometry.text:
            raise InputError(
                raw.source,
                "has another geometry than frames before it, and a file of spots has one: write the frames of each "
                "geometry to a file of their own (ffbidx index takes several), or give one geometry for all with -g",
            )
        self._append("pixel", raw.peaks.pixels.astype(np.float32))
        self._append("wavelength", raw.peaks.wavelength)
        self._append("distance", raw.peaks.distance)
        shift = np.zeros((len(raw.indices), 2)) if raw.peaks.shift is None else raw.peaks.shift
        if shift.any() or "shift" in self._file:
            if "shift" not in self._file:
                self._append("shift", np.zeros((self.n_frames, 2)))
            self._append("shift", shift)
        intensity = raw.peaks.intensity
        self._append("intensity", np.zeros(len(raw.spots)) if intensity is None else intensity)

    def _append(self, name: str, values: NDArray[np.generic]) -> None:
        if name not in self._file:
            rows_dataset(self._file, name, values.dtype, values.shape[1:], _UNITS.get(name, ""))
        append_rows(self._file[name], values)

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the file; no frames can be added after this."""
        self._file["offsets"] = np.concatenate(self._offsets)
        self._file.create_dataset("frame_id", data=as_texts(self._names), dtype=_TEXT)
        if self._cells is not None:
            self._file["cells"] = self._cells
            self._file["cells"].attrs["units"] = "angstrom"
        self._file.close()
        yield self._image.getvalue()


def rows_dataset(
    group: h5py.Group, name: str, dtype: DTypeLike, tail: tuple[int, ...] = (), units: str = ""
) -> h5py.Dataset:
    """Create an empty dataset of rows of the shape `tail`, for `append_rows`, compressed and with checksums."""
    dataset = group.create_dataset(
        name,
        (0, *tail),
        dtype,
        maxshape=(None, *tail),
        chunks=(_ROWS_PER_CHUNK, *tail),
        compression="gzip",
        shuffle=True,
        fletcher32=True,
    )
    if units:
        dataset.attrs["units"] = units
    return dataset


def append_rows(dataset: h5py.Dataset, rows: NDArray[np.generic]) -> None:
    """Append rows to a dataset."""
    n = len(dataset)
    dataset.resize(n + len(rows), axis=0)
    dataset[n:] = rows


def _names(raw: RawFrames) -> list[str]:
    """The name of each frame, or its file and number, by which programs find its image."""
    return [name or f"{raw.source} //{index}" for name, index in zip(raw.ids, raw.indices.tolist(), strict=True)]
