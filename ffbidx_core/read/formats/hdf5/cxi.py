"""Reading of CXI peak lists in HDF5 files, as Cheetah, OM, psocake and Jungfraujoch write them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from ....model.basis import ConventionalCells
from ....model.detector.panels import Geometry
from ....model.records.ragged import offsets_of
from ...files.datasets import errors_of, find, groups_with, open_dataset
from ...files.faults import Faults
from ...frames import MOST_SPOTS, RawFrames, read_parts
from ...geometry.nxmx import JUNGFRAUJOCH, nxmx_geometry
from ...growing.whole import rows_written
from ..peaks import HALF_PIXEL, PeakLists, PeakPlacer, needed_geometry
from ..per_frame import FrameReadings
from .events import COUNT, FS, INTENSITY, SS
from .opened import InDataset, OpenHdf5, rows_of

PLACES = ("/entry_1/result_1", *JUNGFRAUJOCH, "/entry_1/result", "/entry/result_1", "/result_1")
"""Usual groups of peak lists, for a geometry that does not name the group."""


def find_peak_lists(file: h5py.File, path: str, geometry: Geometry | None) -> str | None:
    """The group with the peak lists of a file: the one that the geometry names, a usual one, or the only one.

    Returns
    -------
    str or None
        Path of the group; None if there is none.

    Raises
    ------
    InputError
        If there are several such groups, none of them in a usual place.
    """
    named = geometry.peak_list if geometry else ""
    for place in (named, *PLACES):
        if place:
            group = find(file, path, place)
            if isinstance(group, h5py.Group) and all(name in group for name in (COUNT, FS, SS)):
                return place
    found = groups_with(file, path, (COUNT, FS, SS))
    if len(found) > 1:
        line = f"peak_list = {found[0]}"
        raise InputError(path, f"has peak lists in {', '.join(found[:5])}: say which in the geometry, with {line}")
    return found[0] if found else None


class CxiFile(OpenHdf5):
    """A file with CXI peak lists that is open for reading; a frame is a row.

    In a growing file only whole frames count.

    Parameters
    ----------
    path
        The file.
    geometry
        Geometry of the detector; None for that of the file's own NXmx entries, if there are any.

    Raises
    ------
    InputError
        If a dataset does not fit the format, or the geometry is missing.
    """

    units_assumed = False
    cells: ConventionalCells | None = None
    format = "CXI peak lists"

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self._given = geometry
        super().__init__(path)

    def _open(self) -> None:
        place = find_peak_lists(self._file, self.path, self._given)
        if place is None:
            raise InputError(self.path, f"has no peak lists ({COUNT}, {FS}, {SS}) in {', '.join(PLACES)}")
        faults, self.n_frames = Faults(), 0
        with faults.collected():
            self._counts = self.dataset(f"{place}/{COUNT}", "fiu", (None,))
            self.n_frames = len(self._counts)
            # In a growing file the lengths need not agree yet.
            n_rows = None if self.grows else self.n_frames
            with faults.collected():
                self._fs = self.dataset(f"{place}/{FS}", "fiu", (n_rows, None))
            with faults.collected():
                self._ss = self.dataset(f"{place}/{SS}", "fiu", (n_rows, None))
            with faults.collected():
                self._intensity = open_dataset(self._file, self.path, f"{place}/{INTENSITY}", "fiu", (n_rows, None))
        with faults.collected():
            geometry = needed_geometry(self.path, self._given or nxmx_geometry(self._file, self.path))
            self._readings = FrameReadings.of_geometry(self.path, geometry, partial(InDataset, self))
        faults.raise_all()
        self._notes: list[str] = []
        if place not in (geometry.peak_list, *PLACES):
            self._notes.append(f"{self.path}: peak lists are read from {place}")
        self.geometry: Geometry | None = geometry
        if self.grows:
            self.n_frames = self._n_whole()
        self._width = min(t.shape[1] for t in (self._fs, self._ss, self._intensity) if t is not None)
        self._placer = PeakPlacer(self.path, geometry)
        shifted = geometry.half_pixel_shift
        self.half_pixel_shift: bool | None = True if shifted is None else shifted

    def _n_whole(self) -> int:
        """Number of whole frames in a growing file; a frame without peaks counts once a later frame has peaks."""
        quantities = [each.column() for each in self._readings.sources if isinstance(each, InDataset)]
        datasets = [self._counts, self._fs, self._ss, *(each for each in quantities if each is not None)]
        others = [] if self._intensity is None else [self._intensity]
        with errors_of(self.path):
            n = min(len(dataset) for dataset in (*datasets, *others))
            for dataset in datasets:
                n = rows_written(dataset, n)
            # A program that knows no intensities may leave them at the fill value.
            return min([n, *(rows_written(dataset, n) or n for dataset in others)])

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers, in parts whose tables are not too large.

        Raises
        ------
        InputError
            Naming the first frame that cannot be read.
        """
        at_once = max(1, MOST_SPOTS // max(1, self._width))
        return read_parts((frames[i : i + at_once] for i in range(0, len(frames), at_once)), self._read)

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
        """The frames with the given numbers."""
        with errors_of(self.path, f"frame {frames[0]}"):
            claimed = rows_of(self._counts, frames).astype(np.float64)
            wrong = np.flatnonzero(~((claimed >= 0) & (claimed <= self._width) & (claimed == np.floor(claimed))))
            if len(wrong):
                problem = f"claims {claimed[wrong[0]]:g} peaks, there is room for {self._width}"
                raise InputError(self.path, problem, f"frame {frames[wrong[0]]}")
            counts = claimed.astype(np.int64)
            filled = np.arange(int(counts.max(initial=0))) < counts[:, None]
            fs, ss, intensity = (
                None if table is None else rows_of(table, frames)[:, : filled.shape[1]][filled].astype(np.float64)
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
            self._readings.wavelength.of(frames),
            self._readings.distance.of(frames),
            intensity,
            shift=self._readings.shifts(frames),
        )
        raw = self._placer.frames(peaks)
        raw.problems[:0], self._notes = self._notes, []
        return raw
