"""CXI peak lists in HDF5 files: Cheetah, OM, psocake, Jungfraujoch."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.panels import Geometry, Reading
from ...model.records.ragged import offsets_of
from ..files.datasets import errors_of, find, open_dataset, open_file
from ..frames import MOST_SPOTS, RawFrames, read_parts
from ..geometry.nxmx import JUNGFRAUJOCH, nxmx_geometry
from ..growing.whole import rows_written
from .events import COUNT, FS, INTENSITY, SS
from .peaks import HALF_PIXEL, PeakLists, PeakPlacer, in_angstrom, in_millimetres, needed_geometry, needed_reading

PLACES = ("/entry_1/result_1", *JUNGFRAUJOCH, "/entry_1/result", "/entry/result_1", "/result_1")
"""Groups that hold peak lists when the geometry does not say which does."""


def find_peak_lists(file: h5py.File, path: str, geometry: Geometry | None) -> str | None:
    """The group with the peak lists of a file, or None."""
    named = geometry.peak_list if geometry else ""
    for place in (named, *PLACES):
        if place:
            group = find(file, path, place)
            if isinstance(group, h5py.Group) and all(name in group for name in (COUNT, FS, SS)):
                return place
    return None


class CxiFile:
    """A file with CXI peak lists, opened for reading; a frame is a row. Of one that grows those count that are whole.

    Parameters
    ----------
    geometry
        None: that of the file's own NXmx entries, where there are any.

    Raises
    ------
    InputError
        Naming the dataset, when the file is not as the format wants it or the geometry is missing.
    """

    units_assumed = False
    cells: Array | None = None
    format = "CXI peak lists"

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self.path = path
        self._file = open_file(path)
        try:
            self._open(geometry)
        except BaseException:
            self.close()
            raise

    def _open(self, geometry: Geometry | None) -> None:
        place = find_peak_lists(self._file, self.path, geometry)
        if place is None:
            raise InputError(self.path, f"has no peak lists ({COUNT}, {FS}, {SS}) in {', '.join(PLACES)}")
        geometry = needed_geometry(self.path, geometry or nxmx_geometry(self._file, self.path))
        self._notes = [geometry.assumed] if geometry.assumed else []
        self.geometry: Geometry | None = geometry
        self._wavelength = needed_reading(self.path, geometry.wavelength, "wavelength")
        self._distance = needed_reading(self.path, geometry.distance, "distance")
        self._counts = self._dataset(f"{place}/{COUNT}", "iu", (None,))
        self.n_frames = len(self._counts)
        # In a file that grows the lengths need not agree yet.
        n_rows = None if self._file.swmr_mode else self.n_frames
        tables = [self._dataset(f"{place}/{name}", "fiu", (n_rows, None)) for name in (FS, SS)]
        self._fs, self._ss = tables
        self._intensity = open_dataset(self._file, self.path, f"{place}/{INTENSITY}", "fiu", (n_rows, None))
        if self._file.swmr_mode:
            self.n_frames = self._n_whole()
        self._width = min(t.shape[1] for t in (*tables, self._intensity) if t is not None)
        self._placer = PeakPlacer(self.path, geometry.detector)
        shifted = geometry.half_pixel_shift
        self.half_pixel_shift: bool | None = True if shifted is None else shifted

    def _n_whole(self) -> int:
        """Frames that are there whole, in a file that grows; those without peaks once a frame with some came later."""
        readings = [self._reading(reading) for reading in (self._wavelength, self._distance) if reading.value is None]
        datasets = [self._counts, self._fs, self._ss, *(each for each in readings if not self._is_constant(each))]
        others = [] if self._intensity is None else [self._intensity]
        with errors_of(self.path):
            n = min(len(dataset) for dataset in (*datasets, *others))
            for dataset in datasets:
                n = rows_written(dataset, n)
            # Who knows no intensities may leave them at the fill value.
            return min([n, *(rows_written(dataset, n) or n for dataset in others)])

    def _dataset(self, name: str, kind: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
        dataset = open_dataset(self._file, self.path, name, kind, shape)
        if dataset is None:
            raise InputError(self.path, "is missing", name)
        return dataset

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Some of the frames, ascending, in parts whose tables are not too large.

        Raises
        ------
        InputError
            Naming the first frame that cannot be read.
        """
        at_once = max(1, MOST_SPOTS // max(1, self._width))
        return read_parts((frames[i : i + at_once] for i in range(0, len(frames), at_once)), self._read)

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
        with errors_of(self.path, f"frame {frames[0]}"):
            counts = self._rows(self._counts, frames).astype(np.int64)
            wrong = np.flatnonzero((counts < 0) | (counts > self._width))
            if len(wrong):
                problem = f"claims {counts[wrong[0]]} peaks, there is room for {self._width}"
                raise InputError(self.path, problem, f"frame {frames[wrong[0]]}")
            filled = np.arange(int(counts.max(initial=0))) < counts[:, None]
            fs, ss, intensity = (
                None if table is None else self._rows(table, frames)[:, : filled.shape[1]][filled].astype(np.float64)
                for table in (self._fs, self._ss, self._intensity)
            )
            assert fs is not None
            assert ss is not None
        shift = HALF_PIXEL if self.half_pixel_shift else 0.0
        peaks = PeakLists(
            frames,
            [""] * len(frames),
            fs + shift,
            ss + shift,
            offsets_of(counts),
            in_angstrom(self._wavelength, self._values(self._wavelength, frames)),
            in_millimetres(self._distance, self._values(self._distance, frames)),
            intensity,
        )
        raw = self._placer.frames(peaks)
        raw.problems[:0], self._notes = self._notes, []
        return raw

    def _rows(self, dataset: h5py.Dataset, frames: NDArray[np.int64]) -> NDArray[np.generic]:
        rows: NDArray[np.generic] = dataset[frames[0] : frames[-1] + 1][frames - frames[0]]
        return rows

    def _values(self, reading: Reading, frames: NDArray[np.int64]) -> Array:
        """A quantity of the geometry for each of the frames, in its unit."""
        if reading.value is not None:
            return np.full(len(frames), reading.value)
        dataset = self._reading(reading)
        if self._is_constant(dataset):
            return np.full(len(frames), float(np.ravel(dataset[()])[0]))
        if len(dataset) != self.n_frames and not self._file.swmr_mode:
            raise InputError(self.path, f"has {len(dataset)} numbers for {self.n_frames} frames", reading.path)
        return self._rows(dataset, frames).astype(np.float64)

    def _reading(self, reading: Reading) -> h5py.Dataset:
        """The dataset of a quantity: a number, or one for each frame."""
        node = find(self._file, self.path, reading.path)
        shape: tuple[int | None, ...] = () if isinstance(node, h5py.Dataset) and node.shape == () else (None,)
        return self._dataset(reading.path, "fiu", shape)

    def _is_constant(self, dataset: h5py.Dataset) -> bool:
        # In a file that grows one number may be the first of many.
        may_grow = self._file.swmr_mode and dataset.maxshape != (1,)
        return dataset.shape == () or (len(dataset) == 1 and not may_grow)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
