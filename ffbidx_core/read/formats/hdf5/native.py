"""Reading of ffbidx's own HDF5 spot files, by slices of frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import CellError, InputError
from ....model.basis import ConventionalCells, as_given
from ....model.cell import Array, check_cell
from ....model.detector.panels import Geometry
from ....model.detector.peaks import DetectorPeaks
from ....model.records.ragged import offsets_of
from ....nouns import counted
from ...files.datasets import errors_of, find, first_names, open_dataset, units_of
from ...files.faults import Faults
from ...frames import MOST_SPOTS, RawFrames, read_parts
from ...geometry.any import parse_geometry
from ...growing.whole import whole_frames
from ..peaks import PeakLists, PeakPlacer
from ..per_frame import DISTANCE, WAVELENGTH, PerFrame, Quantity, Same
from .offsets import check_offsets, check_once
from .opened import OfFrames, OpenHdf5

SPOTS = "/spots"
"""Dataset by which the format is recognised."""
SPOT_UNITS = {"1/angstrom": 1.0, "1/nm": 0.1}
"""Factor that converts spots in each unit to 1/angstrom."""
CELL_UNITS = {"angstrom": 1.0, "nm": 10.0}
"""Factor that converts cells in each unit to angstrom."""
MOST_FRAMES = 10**9
MOST_CELLS = 1000
"""Limits of the numbers of frames and of cells in a file."""


class Hdf5File(OpenHdf5):
    """A spot file that is open for reading; in a growing file only whole frames count.

    Parameters
    ----------
    path
        The spot file.
    geometry
        Geometry by which the spots are computed anew from their pixels, if the file has pixels; None to keep the spots.

    Attributes
    ----------
    n_frames : int
        Number of frames.
    cells : (M, 3, 3) float64 or None
        Input cells in the file, rows a, b, c, angstrom; None if it has none.
    units_assumed : bool
        Whether `/spots` lacks the attribute `units`.

    Raises
    ------
    InputError
        If a dataset does not fit the format; the message names it.
    """

    format = "ffbidx HDF5 spots"

    def __init__(self, path: str, geometry: Geometry | None = None) -> None:
        self._given = geometry
        super().__init__(path)

    def _open(self) -> None:
        spots = open_dataset(self._file, self.path, SPOTS, "f", (None, 3))
        if spots is None:
            raise InputError(self.path, f"has no dataset /spots; {first_names(self._file, self.path)}")
        self._spots = spots
        faults, scale = Faults(), None
        with faults.collected():
            scale = units_of(self._spots, self.path, SPOT_UNITS)
        self.units_assumed, self._scale = scale is None, scale or 1.0
        with faults.collected():
            self.cells = self._read_cells()
        with faults.collected():
            self._offsets = open_dataset(self._file, self.path, "/offsets", "iu", (None,))
            self.n_frames = 1 if self._offsets is None else len(self._offsets) - 1
            self._open_per_frame(faults)
            if self.grows and not faults.found:
                self.n_frames = self._n_whole()
            self._check_offsets()
        faults.raise_all()
        self._open_peaks()

    def _open_per_frame(self, faults: Faults) -> None:
        """Open the datasets with a row for each spot or frame; in a growing file the lengths need not agree yet."""
        n_spots, n_frames = (None if self.grows else n for n in (len(self._spots), self.n_frames))

        def opened(name: str, kind: str, *shape: int | None) -> h5py.Dataset | None:
            with faults.collected():
                return open_dataset(self._file, self.path, name, kind, shape)

        self._ids = opened("/frame_id", "text", None)
        if self._ids is not None and n_frames not in (None, len(self._ids)):
            problem = f"has {counted(len(self._ids), 'name')} for {counted(self.n_frames, 'frame')}"
            faults.found.append(InputError(self.path, problem, "/frame_id"))
        self._pixels, self._intensity = opened("/pixel", "fiu", n_spots, 3), opened("/intensity", "fiu", n_spots)

        def per_frame(name: str, unit: str, columns: int = 1) -> OfFrames | None:
            with faults.collected():
                found = find(self._file, self.path, name)
                return None if found is None else OfFrames(self, name, unit, n_frames, columns)

        self._wavelength, self._distance = per_frame("/wavelength", "angstrom"), per_frame("/distance", "mm")
        self._shift = per_frame("/shift", "mm", 2)

    def _n_whole(self) -> int:
        """Number of whole frames in a growing file."""
        if self._offsets is None:
            return 0
        per_spot, per_frame, blank = (
            [each.dataset if isinstance(each, OfFrames) else each for each in datasets if each is not None]
            for datasets in (
                (self._spots, self._pixels, self._intensity),
                (self._wavelength, self._distance, self._ids),
                (self._intensity, self._ids),
            )
        )
        with errors_of(self.path):
            return whole_frames(self._offsets, per_spot, per_frame, blank)

    def _open_peaks(self) -> None:
        """Find the geometry of the spots' pixels, if the file was made from peaks."""
        with errors_of(self.path, "attributes"):
            text, shift = self._file.attrs.get("geometry"), self._file.attrs.get("half_pixel_shift")
        self.half_pixel_shift = None if shift is None else bool(shift)
        self.geometry: Geometry | None = None
        self._placer: PeakPlacer | None = None
        if self._pixels is None:
            return
        if self._given is not None:
            self.geometry, self._placer = self._given, PeakPlacer(self.path, self._given)
        elif isinstance(text, str):
            # The spots are used even if the geometry from which they were computed cannot be read.
            with contextlib.suppress(InputError):
                self.geometry = parse_geometry(self.path, text)

    def _check_offsets(self) -> None:
        """Check that the offsets ascend within the spots and that no frame has too many spots."""
        n_spots = len(self._spots)
        if self._offsets is None:
            if n_spots > MOST_SPOTS:
                raise InputError(
                    self.path,
                    f"has {counted(n_spots, 'spot')} and no /offsets; a frame has at most {MOST_SPOTS}",
                    "/spots",
                )
            return
        if not 0 <= self.n_frames <= MOST_FRAMES:
            raise InputError(
                self.path,
                f"has {counted(self.n_frames + 1, 'number')}; expected one more than there are frames, "
                f"of which {MOST_FRAMES} are taken",
                "/offsets",
            )
        if self.grows:
            check_offsets(self.path, self._offsets, self.n_frames, n_spots)
        else:
            check_once(self._file, self.path, self._offsets, self.n_frames, n_spots)

    def _read_cells(self) -> ConventionalCells | None:
        """The input cells in the file, rows a, b, c, angstrom; None if it has none."""
        dataset = open_dataset(self._file, self.path, "/cells", "f", (None, 3, 3))
        if dataset is None or len(dataset) == 0:
            return None
        if len(dataset) > MOST_CELLS:
            raise InputError(self.path, f"has {len(dataset)} cells; at most {MOST_CELLS} are read", "/cells")
        scale = units_of(dataset, self.path, CELL_UNITS) or 1.0
        with errors_of(self.path, "/cells"):
            cells: Array = dataset[()].astype(np.float64) * scale
        faults = Faults()
        for i, cell in enumerate(cells):
            try:
                check_cell(cell)
            except CellError as error:
                faults.found.append(InputError(self.path, f"cell {i}: {error}", "/cells"))
        faults.raise_all()
        return as_given(cells)

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers, in parts of at most `MOST_SPOTS` spots or one frame.

        Raises
        ------
        InputError
            Naming the first frame that cannot be read.
        """
        return read_parts(self._parts(frames), self._read)

    def _parts(self, frames: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Parts of some frames, each with at most `MOST_SPOTS` spots or one frame."""
        if len(frames) == 0:
            return
        span = self._span(np.arange(frames[0], frames[-1] + 1))
        ends = np.cumsum(np.diff(span)[frames - frames[0]])
        while len(frames):
            fit = max(1, int(np.searchsorted(ends, MOST_SPOTS, side="right")))
            yield frames[:fit]
            frames, ends = frames[fit:], ends[fit:] - ends[fit - 1]

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
        """The frames with the given numbers."""
        runs = np.split(frames, np.flatnonzero(np.diff(frames) != 1) + 1)
        spans = [self._span(run) for run in runs]
        with errors_of(self.path, f"frame {frames[0]}"):
            pieces = [self._spots[span[0] : span[-1]] for span in spans]
            spots = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            ids = [name for run in runs for name in self._names(run)]
        counts = np.concatenate([np.diff(span) for span in spans])
        offsets = offsets_of(counts)
        # A spot that becomes infinite makes its frame a bad one.
        with np.errstate(invalid="ignore", over="ignore"):
            if self._scale != 1:
                spots *= spots.dtype.type(self._scale)
        raw = RawFrames(self.path, frames, ids, spots, offsets, self.cells)
        if self._pixels is not None and self.geometry is not None:
            return self._with_peaks(raw, self.geometry, spans)
        if self._intensity is not None:
            with errors_of(self.path, f"frame {frames[0]}"):
                raw.intensity = np.concatenate([self._intensity[span[0] : span[-1]] for span in spans])
        return raw

    def _with_peaks(self, raw: RawFrames, geometry: Geometry, spans: list[NDArray[np.int64]]) -> RawFrames:
        """Frames with the pixels of their spots, and with spots computed from the pixels if a geometry was given."""

        def rows(dataset: h5py.Dataset) -> Array:
            return np.concatenate([dataset[span[0] : span[-1]] for span in spans]).astype(np.float64)

        with errors_of(self.path, f"frame {raw.indices[0]}"):
            pixels = rows(self._pixels)
            wavelength = self._quantity(WAVELENGTH, self._wavelength, geometry).of(raw.indices)
            distance = self._quantity(DISTANCE, self._distance, geometry).of(raw.indices)
            intensity = None if self._intensity is None else rows(self._intensity)
            shift = None if self._shift is None else self._shift.of(raw.indices)
        n_panels = len(geometry.detector.panels)
        if len(wrong := np.flatnonzero(~((pixels[:, 2] >= 0) & (pixels[:, 2] < n_panels)))):
            raise InputError(self.path, f"is on panel {pixels[wrong[0], 2]:g}; the geometry has {n_panels}", "/pixel")
        if self._placer is None:
            raw.peaks, raw.geometry = DetectorPeaks(pixels, wavelength, distance, intensity, shift), geometry
            return raw
        panel = pixels[:, 2].astype(np.int64)
        peaks = PeakLists(
            raw.indices, raw.ids, pixels[:, 0], pixels[:, 1], raw.offsets, wavelength, distance, intensity, panel, shift
        )
        return self._placer.frames(peaks, self.cells)

    def _quantity(self, quantity: Quantity, own: OfFrames | None, geometry: Geometry) -> PerFrame:
        """The file's own values, unless the given geometry replaces them or the file has none."""
        given = None if self._placer is None else quantity.given(geometry)
        if given is not None:
            return Same(given)
        if own is not None:
            return own
        reading = quantity.reading(self.path, geometry)
        if reading.value is None:
            raise InputError(
                self.path, f"its geometry has the {quantity.name} in a file: give it with --{quantity.name}"
            )
        return Same(quantity.number(reading))

    def _span(self, run: NDArray[np.int64]) -> NDArray[np.int64]:
        """Offsets of consecutive frames, (F + 1,)."""
        if self._offsets is None:
            return np.array([0, len(self._spots)])
        with errors_of(self.path, "/offsets"):
            return np.asarray(self._offsets[run[0] : run[-1] + 2], dtype=np.int64)

    def _names(self, run: NDArray[np.int64]) -> list[str]:
        """Names of consecutive frames."""
        if self._ids is None:
            return [""] * len(run)
        return list(self._ids.asstr("utf-8", "backslashreplace")[run[0] : run[-1] + 1])
