"""Reading of peak lists in HDF5 files with a group or dataset for each event, which CrystFEL's `%` names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from ....model.basis import ConventionalCells
from ....model.cell import Array
from ....model.detector.panels import Geometry, Reading
from ....model.records.ragged import offsets_of
from ....nouns import counted
from ...files.datasets import errors_of, find, open_dataset
from ...files.faults import Faults
from ...files.inputs import by_number
from ...frames import MOST_SPOTS, RawFrames, read_parts
from ..peaks import HALF_PIXEL, PeakLists, PeakPlacer, needed_geometry
from ..per_frame import FrameReadings, Quantity
from .opened import OpenHdf5

COUNT, FS, SS, INTENSITY = "nPeaks", "peakXPosRaw", "peakYPosRaw", "peakTotalIntensity"
"""Names of the datasets in a CXI peak list."""
MOST_EVENTS = 10**7
"""Largest number of events in a file."""
EVENTS_AT_ONCE = 256
"""Number of events that are read at once."""

_EVENT = "%"
_WIDTHS = (3, 4)
"""Possible numbers of columns in a list: fs, ss, intensity, and perhaps a fourth that is not read."""


class Event(NamedTuple):
    """An event of a file: the names that replace each `%` in paths, and the numbers that replace it in dimensions."""

    parts: tuple[str, ...]
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'/'.join(self.parts)}//{'/'.join(map(str, self.dims))}"

    def path(self, pattern: str) -> str:
        """A path in which the names of the event replace each `%`."""
        parts = iter(self.parts)
        return "/".join(next(parts, _EVENT) if name == _EVENT else name for name in pattern.split("/"))


def names_events(file: h5py.File, path: str, geometry: Geometry | None) -> bool:
    """Whether the peak lists that a geometry names have a path for each event, or are not CXI peak lists."""
    if geometry is None or not geometry.peak_list:
        return False
    if _EVENT in geometry.peak_list:
        return True
    node = find(file, path, geometry.peak_list)
    return isinstance(node, h5py.Dataset) or (node is not None and geometry.peak_list_type == "list3")


def find_events(file: h5py.File, path: str, geometry: Geometry) -> list[Event]:
    """The events of a file: one for each dataset of the kind list3, and one for each row of a CXI group.

    Names are sorted with numbers by their value. The images of the events need not exist.

    Raises
    ------
    InputError
        If the geometry does not fit the file.
    """
    if any(_EVENT in name and name != _EVENT for name in geometry.peak_list.split("/")):
        raise InputError(path, f"its geometry has peak_list = {geometry.peak_list[:60]}: a % stands for a whole name")
    panels = geometry.detector.panels
    n_parts = {each.data.split("/").count(_EVENT) for each in panels if each.data}
    if n_parts - {geometry.peak_list.split("/").count(_EVENT)}:
        raise InputError(path, "its geometry has different numbers of % in peak_list and in the data of panels")
    n_dims = {each.dims.count(_EVENT) for each in panels}
    if len(n_dims) > 1:
        raise InputError(path, "the panels of its geometry have different numbers of dimensions that are %")
    others = (0,) * max(0, max(n_dims) - 1)
    events: list[Event] = []
    for parts, name in _places(file, path, geometry.peak_list):
        counts = open_dataset(file, path, f"{name}/{COUNT}", "fiu", (None,)) if not _is_list(file, path, name) else None
        n_rows = 1 if counts is None else len(counts)
        if len(events) + n_rows > MOST_EVENTS:
            raise InputError(path, f"has more than {MOST_EVENTS} events", name)
        events += [Event(parts, (row, *others) if max(n_dims) or n_rows > 1 else ()) for row in range(n_rows)]
    return events


def _is_list(file: h5py.File, path: str, name: str) -> bool:
    """Whether a peak list is a dataset of the kind list3."""
    return isinstance(find(file, path, name), h5py.Dataset)


def _places(file: h5py.File, path: str, pattern: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The objects in a file that a path with `%` matches: the names that replace each `%`, and the path."""
    names = pattern.split("/")
    if _EVENT not in names:
        if find(file, path, pattern) is not None:
            yield (), pattern
        return
    at = names.index(_EVENT)
    place = "/".join(names[:at])
    group = find(file, path, place)
    with errors_of(path, place):
        members = sorted(group, key=by_number) if isinstance(group, h5py.Group) else []
    for member in members:
        for rest, whole in _places(file, path, "/".join([place, member, *names[at + 1 :]])):
            yield (member, *rest), whole


class EventsFile(OpenHdf5):
    """A file with a peak list for each event that is open for reading; a frame is an event.

    Raises
    ------
    InputError
        If the geometry is missing or names no events of the file.
    """

    units_assumed = False
    cells: ConventionalCells | None = None
    format = "peak lists of events"

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self._given = geometry
        super().__init__(path)

    def _open(self) -> None:
        geometry = needed_geometry(self.path, self._given)
        self.geometry: Geometry | None = geometry
        self._peak_list, self._type = geometry.peak_list, geometry.peak_list_type
        faults = Faults()
        with faults.collected():
            self._readings = FrameReadings.of_geometry(self.path, geometry, partial(_OfEvents, self))
        with faults.collected():
            self._events = find_events(self._file, self.path, geometry)
            if not self._events:
                raise InputError(self.path, f"has no events {self._peak_list}, which the geometry names")
        faults.raise_all()
        self.n_frames = len(self._events)
        self._placer = PeakPlacer(self.path, geometry)
        shifted = geometry.half_pixel_shift
        self.half_pixel_shift: bool | None = True if shifted is None else shifted

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers.

        Raises
        ------
        InputError
            Naming the first event that cannot be read.
        """
        return read_parts((frames[i : i + EVENTS_AT_ONCE] for i in range(0, len(frames), EVENTS_AT_ONCE)), self._read)

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
        """The frames with the given numbers."""
        events = [self._events[f] for f in frames]
        lists = [self._peaks(event) for event in events]
        fs, ss, intensity = np.concatenate([np.zeros((0, 3)), *lists]).T
        shift = HALF_PIXEL if self.half_pixel_shift else 0.0
        return self._placer.frames(
            PeakLists(
                frames,
                [f"{self.path} {event}" for event in events],
                fs + shift,
                ss + shift,
                offsets_of([len(rows) for rows in lists]),
                self._readings.wavelength.of(frames),
                self._readings.distance.of(frames),
                intensity,
                shift=self._readings.shifts(frames),
            )
        )

    def _peaks(self, event: Event) -> Array:
        """Columns fs, ss and intensity (n, 3) of an event's peaks."""
        name = event.path(self._peak_list)
        node = find(self._file, self.path, name)
        if node is None:
            raise InputError(self.path, "is missing", name)
        if self._type == "list3" or (not self._type and isinstance(node, h5py.Dataset)):
            return self._list(name, node)
        return self._row(name, event.dims[0] if event.dims else 0)

    def _list(self, name: str, node: h5py.Group | h5py.Dataset) -> Array:
        """The peaks (n, 3) in a dataset of the kind list3."""
        shape: tuple[int, ...] = getattr(node, "shape", None) or ()
        if len(shape) != 2 or shape[1] not in _WIDTHS:
            raise InputError(self.path, f"has the shape {shape}, expected (n, 3) or (n, 4): fs, ss, intensity", name)
        if shape[0] > MOST_SPOTS:
            raise InputError(self.path, f"has {shape[0]} peaks; a frame has at most {MOST_SPOTS}", name)
        dataset = self.dataset(name, "fiu", shape)
        with errors_of(self.path, name):
            return np.asarray(dataset[:, :3], dtype=np.float64)

    def _row(self, name: str, row: int) -> Array:
        """The peaks (n, 3) in a row of a CXI group."""
        counts = self.dataset(f"{name}/{COUNT}", "fiu", (None,))
        tables = [self.dataset(f"{name}/{each}", "fiu", (None, None)) for each in (FS, SS, INTENSITY)]
        if row >= min(len(each) for each in (counts, *tables)):
            raise InputError(self.path, f"has no row {row}", name)
        with errors_of(self.path, name):
            claimed, room = float(counts[row]), min(table.shape[1] for table in tables)
            if not 0 <= claimed <= room or claimed != (n := int(claimed)):
                raise InputError(self.path, f"claims {claimed:g} peaks, there is room for {room}", f"{name}, row {row}")
            return np.column_stack([table[row, :n] for table in tables]).astype(np.float64)

    @property
    def event_numbers(self) -> dict[str, int]:
        """Frame number of each event, by its name."""
        return {str(event): number for number, event in enumerate(self._events)}

    def event(self, frame: int) -> Event:
        """The event of a frame."""
        return self._events[frame]


class _OfEvents:
    """A quantity for which the geometry names a dataset for each event, or one dataset with a row for each event."""

    def __init__(self, file: EventsFile, quantity: Quantity, reading: Reading) -> None:
        self._file, self._quantity, self._reading = file, quantity, reading

    def of(self, frames: NDArray[np.int64]) -> Array:
        """The values (F,) for some frames, angstrom or mm."""
        values = np.array([self._value(self._file.event(f)) for f in frames.tolist()], dtype=np.float64)
        return self._quantity.converted(self._reading, values)

    def _value(self, event: Event) -> float:
        """The number for an event in the unit of the reading."""
        name = event.path(self._reading.path)
        dataset = self._file.numbers(name)
        row = event.dims[0] if event.dims and dataset.shape != () and len(dataset) > 1 else 0
        if dataset.shape != () and row >= len(dataset):
            problem = f"has {counted(len(dataset), 'number')}, and so none for the event {event}"
            raise InputError(self._file.path, problem, name)
        with errors_of(self._file.path, name):
            return float(np.ravel(dataset[()] if dataset.shape == () else dataset[row])[0])
