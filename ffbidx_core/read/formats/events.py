"""Peak lists in HDF5 files with a group or a dataset for each event, as CrystFEL's `%` names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.panels import Geometry, Reading
from ...model.records.ragged import offsets_of
from ..files.datasets import errors_of, find, open_dataset, open_file
from ..files.inputs import by_number
from ..frames import MOST_SPOTS, RawFrames, read_parts
from .peaks import HALF_PIXEL, PeakLists, PeakPlacer, in_angstrom, in_millimetres, needed_geometry, needed_reading

COUNT, FS, SS, INTENSITY = "nPeaks", "peakXPosRaw", "peakYPosRaw", "peakTotalIntensity"
"""Datasets of a CXI peak list."""
MOST_EVENTS = 10**7
EVENTS_AT_ONCE = 256

_EVENT = "%"
_WIDTHS = (3, 4)
"""Columns of a list: fs, ss, intensity, and perhaps one that is not read."""


class Event(NamedTuple):
    """An event of a file: what stands for each `%` in paths, and in dimensions."""

    parts: tuple[str, ...]
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'/'.join(self.parts)}//{'/'.join(map(str, self.dims))}"

    def path(self, pattern: str) -> str:
        """A path with the event's parts in it."""
        parts = iter(self.parts)
        return "/".join(next(parts, _EVENT) if name == _EVENT else name for name in pattern.split("/"))


def names_events(file: h5py.File, path: str, geometry: Geometry | None) -> bool:
    """Whether the peak lists that a geometry names have a place of their own for each event, or are no CXI ones."""
    if geometry is None or not geometry.peak_list:
        return False
    if _EVENT in geometry.peak_list:
        return True
    node = find(file, path, geometry.peak_list)
    return isinstance(node, h5py.Dataset) or (node is not None and geometry.peak_list_type == "list3")


def find_events(file: h5py.File, path: str, geometry: Geometry) -> list[Event]:
    """The events of a file, by its peak lists: one for each dataset of the kind list3, and for each row of a CXI group.

    Names are in the order of their numbers. Images need not be there.

    Raises
    ------
    InputError
        When the geometry does not fit the file.
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
        counts = open_dataset(file, path, f"{name}/{COUNT}", "iu", (None,)) if not _is_list(file, path, name) else None
        n_rows = 1 if counts is None else len(counts)
        if len(events) + n_rows > MOST_EVENTS:
            raise InputError(path, f"has more than {MOST_EVENTS} events", name)
        events += [Event(parts, (row, *others) if max(n_dims) or n_rows > 1 else ()) for row in range(n_rows)]
    return events


def _is_list(file: h5py.File, path: str, name: str) -> bool:
    return isinstance(find(file, path, name), h5py.Dataset)


def _places(file: h5py.File, path: str, pattern: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """What may stand for each `%` of a path, and the path with it, of what is there."""
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


class EventsFile:
    """A file with a peak list for each event, opened for reading; a frame is an event.

    Raises
    ------
    InputError
        When the geometry is missing or names no events of the file.
    """

    units_assumed = False
    cells: Array | None = None
    format = "peak lists of events"

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self.path = path
        self._file = open_file(path)
        try:
            self._open(needed_geometry(path, geometry))
        except BaseException:
            self.close()
            raise

    def _open(self, geometry: Geometry) -> None:
        self.geometry: Geometry | None = geometry
        self._peak_list, self._type = geometry.peak_list, geometry.peak_list_type
        self._wavelength = needed_reading(self.path, geometry.wavelength, "wavelength")
        self._distance = needed_reading(self.path, geometry.distance, "distance")
        self._events = find_events(self._file, self.path, geometry)
        if not self._events:
            raise InputError(self.path, f"has no events {self._peak_list}, which the geometry names")
        self.n_frames = len(self._events)
        self._placer = PeakPlacer(self.path, geometry.detector)
        shifted = geometry.half_pixel_shift
        self.half_pixel_shift: bool | None = True if shifted is None else shifted

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Some of the frames, ascending.

        Raises
        ------
        InputError
            Naming the first event that cannot be read.
        """
        return read_parts((frames[i : i + EVENTS_AT_ONCE] for i in range(0, len(frames), EVENTS_AT_ONCE)), self._read)

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
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
                in_angstrom(self._wavelength, self._values(self._wavelength, events)),
                in_millimetres(self._distance, self._values(self._distance, events)),
                intensity,
            )
        )

    def _peaks(self, event: Event) -> Array:
        """fs, ss and intensity of the peaks of an event, (n, 3)."""
        name = event.path(self._peak_list)
        node = find(self._file, self.path, name)
        if node is None:
            raise InputError(self.path, "is missing", name)
        if self._type == "list3" or (not self._type and isinstance(node, h5py.Dataset)):
            return self._list(name, node)
        return self._row(name, event.dims[0] if event.dims else 0)

    def _list(self, name: str, node: h5py.Group | h5py.Dataset) -> Array:
        shape: tuple[int, ...] = getattr(node, "shape", None) or ()
        if len(shape) != 2 or shape[1] not in _WIDTHS:
            raise InputError(self.path, f"has the shape {shape}, wanted is (n, 3) or (n, 4): fs, ss, intensity", name)
        if shape[0] > MOST_SPOTS:
            raise InputError(self.path, f"has {shape[0]} peaks; a frame has at most {MOST_SPOTS}", name)
        dataset = self._dataset(name, "fiu", shape)
        with errors_of(self.path, name):
            return np.asarray(dataset[:, :3], dtype=np.float64)

    def _row(self, name: str, row: int) -> Array:
        counts = self._dataset(f"{name}/{COUNT}", "iu", (None,))
        tables = [self._dataset(f"{name}/{each}", "fiu", (None, None)) for each in (FS, SS, INTENSITY)]
        if row >= min(len(each) for each in (counts, *tables)):
            raise InputError(self.path, f"has no row {row}", name)
        with errors_of(self.path, name):
            n, room = int(counts[row]), min(table.shape[1] for table in tables)
            if not 0 <= n <= room:
                raise InputError(self.path, f"claims {n} peaks, there is room for {room}", f"{name}, row {row}")
            return np.column_stack([table[row, :n] for table in tables]).astype(np.float64)

    def _values(self, reading: Reading, events: Sequence[Event]) -> Array:
        """A quantity of the geometry for each of the events, in its unit."""
        if reading.value is not None:
            return np.full(len(events), reading.value)
        return np.array([self._value(event.path(reading.path), event) for event in events], dtype=np.float64)

    def _value(self, name: str, event: Event) -> float:
        node = find(self._file, self.path, name)
        is_scalar = isinstance(node, h5py.Dataset) and node.shape == ()
        dataset = self._dataset(name, "fiu", () if is_scalar else (None,))
        row = event.dims[0] if event.dims and not is_scalar and len(dataset) > 1 else 0
        with errors_of(self.path, name):
            return float(dataset[()] if is_scalar else dataset[row])

    def _dataset(self, name: str, kind: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
        dataset = open_dataset(self._file, self.path, name, kind, shape)
        if dataset is None:
            raise InputError(self.path, "is missing", name)
        return dataset

    def close(self) -> None:
        """Close the file."""
        self._file.close()
