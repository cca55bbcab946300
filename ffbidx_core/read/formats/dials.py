"""DIALS reflection tables (strong.refl), MessagePack or HDF5, with their experiment list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.panels import Geometry
from ...model.records.ragged import offsets_of
from ..files.compressed import errors_of_file, open_plain
from ..files.datasets import errors_of, find, open_dataset, open_file
from ..frames import MOST_SPOTS, RawFrames
from ..geometry.dials import HDF5_GROUP, TABLE_ID, is_experiments, parse_experiments
from .peaks import HALF_PIXEL, PeakLists, PeakPlacer
from .per_frame import DISTANCE, WAVELENGTH, Listed, PerFrame, Same

TYPES: dict[str, tuple[str, int]] = {
    "int": ("<i4", 1),
    "double": ("<f8", 1),
    "vec3<double>": ("<f8", 3),
    "std::size_t": ("<u8", 1),
}
"""Types of the columns that are read: the NumPy type of their numbers, and how many numbers make a row."""

_BYTES = {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4}
"""First byte of binary data in MessagePack, and how many bytes after it hold the length."""
_PIECE = 2**20
_NEEDED = ("id", "panel", "xyzobs.px.value")
_INTENSITY, _IMAGE_SET = "intensity.sum.value", "imageset_id"
_OPTIONAL = (_INTENSITY, _IMAGE_SET)
_NEEDS_EXPERIMENTS = "is a DIALS reflection table: give its experiment list with -g FILE.expt"


class DialsFile:
    """A reflection table opened for reading; a frame is an image of its experiments.

    Parameters
    ----------
    geometry
        Geometry of the experiment list.

    Raises
    ------
    InputError
        When the table cannot be used, or the experiment list is missing or does not fit it.
    """

    format = "DIALS reflections"
    units_assumed = False
    cells: Array | None = None

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self.path = path
        if geometry is None or not is_experiments(geometry.text):
            raise InputError(path, _NEEDS_EXPERIMENTS)
        self.geometry: Geometry | None = geometry
        # dxtbx's pixels are measured from corners.
        self.half_pixel_shift: bool | None = bool(geometry.half_pixel_shift)
        self._experiments = parse_experiments("the experiment list", geometry.text)
        # Experiments on images that another one has already have no frames of their own.
        own = self._experiments.same_images == np.arange(len(self._experiments.wavelength))
        self._bases = offsets_of(np.where(own, self._experiments.n_frames, 0))
        self.n_frames = int(self._bases[-1])
        given = WAVELENGTH.given(geometry)
        of_images = np.repeat(self._experiments.wavelength, np.diff(self._bases))
        self._wavelength: PerFrame = Listed(of_images) if given is None else Same(given)
        self._distance = Same(DISTANCE.number(DISTANCE.reading(path, geometry)))
        columns = _hdf5_columns(path) if h5py.is_hdf5(path) else _msgpack_columns(path)
        self._sort(columns)
        self._placer = PeakPlacer(path, geometry.detector)
        self._notes: list[str] = []

    def _sort(self, columns: dict[str, NDArray[Any]]) -> None:
        experiment, panel = (columns[name].astype(np.int64) for name in ("id", "panel"))
        places = columns["xyzobs.px.value"]
        known = self._experiments
        if len(experiment) and not (experiment.min() >= -1 and experiment.max() < len(known.wavelength)):
            problem = f"has the experiment {experiment.max()}; the list has {len(known.wavelength)}"
            raise InputError(self.path, problem, "id")
        n_panels = len(self.geometry.detector.panels) if self.geometry else 0
        if len(panel) and not (panel.min() >= 0 and panel.max() < n_panels):
            raise InputError(self.path, f"has the panel {panel.max()}; the detector has {n_panels}", "panel")
        experiment = self._on_images(experiment, columns.get(_IMAGE_SET))
        has_images = experiment >= 0
        experiment = known.same_images[experiment]
        with np.errstate(invalid="ignore"):
            z = np.where(np.isfinite(places[:, 2]), np.floor(places[:, 2]), 0).astype(np.int64)
        number = np.where(known.n_frames[experiment] == 1, 0, z - known.first[experiment])
        inside = has_images & (number >= 0) & (number < known.n_frames[experiment])
        self._n_outside = int((~inside).sum())
        frame = (self._bases[experiment] + number)[inside]
        order = np.argsort(frame, kind="stable")
        rows = np.flatnonzero(inside)[order]
        self._offsets = np.searchsorted(frame[order], np.arange(self.n_frames + 1))
        self._places, self._panel = places[rows, :2], panel[rows]
        self._intensity = columns[_INTENSITY][rows] if _INTENSITY in columns else None

    def _on_images(self, experiment: NDArray[np.int64], image_set: NDArray[Any] | None) -> NDArray[np.int64]:
        """The experiment of each spot; a spot that none has indexed (-1) gets the first one of its image set."""
        if image_set is None:
            return experiment
        of_set = np.full(max(int(self._experiments.image_set.max()), -1) + 1, -1)
        # From the last to the first, so that the first of each stays.
        for number in np.flatnonzero(self._experiments.image_set >= 0)[::-1]:
            of_set[self._experiments.image_set[number]] = number
        is_known = (experiment < 0) & (image_set >= 0) & (image_set < len(of_set))
        found = experiment.copy()
        found[is_known] = of_set[image_set[is_known]]
        return found

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Some of the frames, ascending."""
        at_once = max(1, MOST_SPOTS // max(1, int(np.diff(self._offsets).max(initial=0))))
        for begin in range(0, len(frames), at_once):
            yield self._read(frames[begin : begin + at_once])

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
        known = self._experiments
        experiment = np.searchsorted(self._bases, frames, side="right") - 1
        counts = np.diff(self._offsets)[frames]
        rows = np.concatenate(
            [np.zeros(0, np.int64), *(np.arange(self._offsets[f], self._offsets[f + 1]) for f in frames)]
        ).astype(np.int64)
        names = [known.image(e, int(f - self._bases[e])) for e, f in zip(experiment.tolist(), frames, strict=True)]
        fs, ss = (self._places[rows] + (HALF_PIXEL if self.half_pixel_shift else 0.0)).T
        raw = self._placer.frames(
            PeakLists(
                frames,
                names,
                fs,
                ss,
                offsets_of(counts),
                self._wavelength.of(frames),
                self._distance.of(frames),
                None if self._intensity is None else self._intensity[rows],
                self._panel[rows],
            )
        )
        if self._n_outside:
            self._notes.append(f"{self.path}: {self._n_outside} reflections are on no image of its experiments")
            self._n_outside = 0
        raw.problems[:0], self._notes = self._notes, []
        return raw

    def close(self) -> None:
        """Nothing is open."""


def _msgpack_columns(path: str) -> dict[str, NDArray[Any]]:
    try:
        import msgpack
    except ImportError:
        raise InputError(path, "needs msgpack, which is not here: pip install 'ffbidx[formats]'") from None
    try:
        with errors_of_file(path), open_plain(path) as file:
            # Columns are read in pieces; all else is small.
            n_rows, data = _table(msgpack.Unpacker(file, strict_map_key=False), path)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        detail = " ".join(str(error).split())[:60] or type(error).__name__
        raise InputError(path, f"cannot be read as a DIALS reflection table: {detail}") from None
    found = (key for key in (*_NEEDED, *_OPTIONAL) if key in data or key in _NEEDED)
    return {key: _column(path, key, data, n_rows) for key in found}


def _table(unpacker: Any, path: str) -> tuple[int, dict[str, Any]]:
    """The number of rows of a table, and its columns: type, rows, and bytes of those that are read."""
    if unpacker.read_array_header() != 3 or unpacker.unpack() != TABLE_ID:
        raise ValueError("no reflection table")
    unpacker.skip()
    n_rows: int | None = None
    data: dict[str, Any] = {}
    for _ in range(unpacker.read_map_header()):
        entry = unpacker.unpack()
        if entry == "nrows":
            n_rows = int(unpacker.unpack())
        elif entry == "data":
            for _ in range(unpacker.read_map_header()):
                name = str(unpacker.unpack())
                data[name] = _stored(unpacker, path, name)
        else:
            unpacker.skip()
    if n_rows is None:
        raise ValueError("no number of rows")
    return n_rows, data


def _stored(unpacker: Any, path: str, name: str) -> tuple[str, int, bytes]:
    """Type, number of rows and bytes of a column; no bytes for a column that is not read, such as the shoeboxes."""
    try:
        unpacker.read_array_header()
        kind = unpacker.unpack()
        unpacker.read_array_header()
        n = int(unpacker.unpack())
        width = _BYTES[unpacker.read_bytes(1)]
    except (ValueError, TypeError, KeyError):
        raise InputError(path, "is not stored as DIALS stores it", name) from None
    left = int.from_bytes(unpacker.read_bytes(width), "big")
    pieces = []
    while left:
        piece = unpacker.read_bytes(min(left, _PIECE))
        if not piece:
            raise InputError(path, "is a reflection table that ends in the middle of a column", name)
        left -= len(piece)
        if name in _NEEDED or name in _OPTIONAL:
            pieces.append(piece)
    return kind, n, b"".join(pieces)


def _column(path: str, key: str, data: dict[str, tuple[str, int, bytes]], n_rows: int) -> NDArray[Any]:
    if key not in data:
        raise InputError(path, f"has no column {key}; it has {', '.join(list(data)[:6])}")
    try:
        kind, n, blob = data[key]
        dtype, width = TYPES[kind]
        values = np.frombuffer(blob, dtype=dtype).reshape(n, width)
    except (ValueError, TypeError, KeyError):
        raise InputError(path, "is not stored as DIALS stores it", key) from None
    if len(values) != n_rows:
        raise InputError(path, f"has {len(values)} rows, the table {n_rows}", key)
    return values if width > 1 else values[:, 0]


def _hdf5_columns(path: str) -> dict[str, NDArray[Any]]:
    """The columns of all groups of a table, one after the other."""
    parts: dict[str, list[NDArray[Any]]] = {}
    with open_file(path) as file:
        for group in _hdf5_tables(file, path):
            for key in (*_NEEDED, *_OPTIONAL):
                shape = (None, 3) if key == "xyzobs.px.value" else (None,)
                dataset = open_dataset(file, path, f"{group}/{key}", "fiu", shape)
                if dataset is None and key in _NEEDED:
                    raise InputError(path, "is missing", f"{group}/{key}")
                if dataset is not None:
                    with errors_of(path, f"{group}/{key}"):
                        parts.setdefault(key, []).append(dataset[()])
    if not parts:
        raise InputError(path, f"has no reflection tables in {HDF5_GROUP}")
    columns = {key: np.concatenate(values) for key, values in parts.items()}
    n_rows = len(columns["id"])
    if any(len(columns[key]) != n_rows for key in _NEEDED):
        raise InputError(path, "has columns of different lengths", HDF5_GROUP)
    return {key: values for key, values in columns.items() if len(values) == n_rows}


def _hdf5_tables(file: h5py.File, path: str) -> Iterator[str]:
    root = find(file, path, HDF5_GROUP)
    for process in root if isinstance(root, h5py.Group) else ():
        group = find(file, path, f"{HDF5_GROUP}/{process}")
        for table in group if isinstance(group, h5py.Group) else ():
            yield f"{HDF5_GROUP}/{process}/{table}"
