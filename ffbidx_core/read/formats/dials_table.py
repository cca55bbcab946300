"""Reading of the columns of DIALS reflection tables, in MessagePack or HDF5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..files.compressed import errors_of_file, open_plain
from ..files.datasets import errors_of, find, open_dataset, open_file
from ..files.faults import Faults
from ..geometry.dials import HDF5_GROUP, TABLE_ID

TYPES: dict[str, tuple[str, int]] = {
    "int": ("<i4", 1),
    "double": ("<f8", 1),
    "vec3<double>": ("<f8", 3),
    "std::size_t": ("<u8", 1),
}
"""Types of columns that are read: the NumPy type of the numbers, and the quantity of numbers in a row."""

_BYTES = {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4}
"""First byte of binary data in MessagePack, and the number of bytes after it that hold the length."""
_PIECE = 2**20
_NEEDED = ("id", "panel", "xyzobs.px.value")
INTENSITY, IMAGE_SET = "intensity.sum.value", "imageset_id"
_OPTIONAL = (INTENSITY, IMAGE_SET)


@dataclass(frozen=True)
class Table:
    """A reflection table.

    Attributes
    ----------
    columns : dict
        Columns that are read, by name, with n rows each.
    identifiers : dict
        Identifier of each experiment that has one, by its number in the column `id`.
    """

    columns: dict[str, NDArray[Any]]
    identifiers: dict[int, str]


def read_table(path: str) -> Table:
    """Read the reflection table in a file.

    Raises
    ------
    InputError
        If the file cannot be read, or the table lacks a column that is needed.
    """
    return _of_hdf5(path) if h5py.is_hdf5(path) else _of_msgpack(path)


def _of_msgpack(path: str) -> Table:
    """The reflection table in a MessagePack file."""
    try:
        import msgpack
    except ImportError:
        raise InputError(path, "needs msgpack, which is not installed: pip install 'ffbidx[formats]'") from None
    try:
        with errors_of_file(path), open_plain(path) as file:
            # Columns are read in pieces; everything else is small.
            n_rows, data, identifiers = _table(msgpack.Unpacker(file, strict_map_key=False), path)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        detail = " ".join(str(error).split())[:60] or type(error).__name__
        raise InputError(path, f"cannot be read as a DIALS reflection table: {detail}") from None
    faults, columns = Faults(), dict[str, NDArray[Any]]()
    for key in (*_NEEDED, *_OPTIONAL):
        if key in data or key in _NEEDED:
            with faults.collected():
                columns[key] = _column(path, key, data, n_rows)
    faults.raise_all()
    return Table(columns, identifiers)


def _table(unpacker: Any, path: str) -> tuple[int, dict[str, Any], dict[int, str]]:
    """Number of rows, columns (type, rows, and bytes if the column is read) and identifiers of a table."""
    if unpacker.read_array_header() != 3 or unpacker.unpack() != TABLE_ID:
        raise ValueError("no reflection table")
    unpacker.skip()
    n_rows: int | None = None
    data: dict[str, Any] = {}
    identifiers: dict[int, str] = {}
    for _ in range(unpacker.read_map_header()):
        entry = unpacker.unpack()
        if entry == "nrows":
            n_rows = int(unpacker.unpack())
        elif entry == "identifiers":
            identifiers = {int(number): str(name) for number, name in unpacker.unpack().items() if name}
        elif entry == "data":
            for _ in range(unpacker.read_map_header()):
                name = str(unpacker.unpack())
                data[name] = _stored(unpacker, path, name)
        else:
            unpacker.skip()
    if n_rows is None:
        raise ValueError("no number of rows")
    return n_rows, data, identifiers


def _stored(unpacker: Any, path: str, name: str) -> tuple[str, int, bytes]:
    """Type, number of rows and bytes of a column; the bytes are empty if it is not read, such as the shoeboxes."""
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
    """The values of a column, from its bytes."""
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


def _of_hdf5(path: str) -> Table:
    """The reflection table in an HDF5 file, with the rows of all its groups."""
    identifiers: dict[int, str] = {}
    parts: dict[str, list[NDArray[Any]]] = {}
    faults = Faults()
    with open_file(path) as file:
        for group in _hdf5_tables(file, path):
            with errors_of(path, group):
                attributes = file[group].attrs
                numbers, names = (np.ravel(attributes.get(key, [])) for key in ("experiment_ids", "identifiers"))
                identifiers |= {int(i): _text(name) for i, name in zip(numbers, names, strict=False) if len(name)}
            for key in (*_NEEDED, *_OPTIONAL):
                shape = (None, 3) if key == "xyzobs.px.value" else (None,)
                with faults.collected():
                    dataset = open_dataset(file, path, f"{group}/{key}", "fiu", shape)
                    if dataset is None and key in _NEEDED:
                        raise InputError(path, "is missing", f"{group}/{key}")
                    if dataset is not None:
                        with errors_of(path, f"{group}/{key}"):
                            parts.setdefault(key, []).append(dataset[()])
    faults.raise_all()
    if not parts:
        raise InputError(path, f"has no reflection tables in {HDF5_GROUP}")
    columns = {key: np.concatenate(values) for key, values in parts.items()}
    n_rows = len(columns["id"])
    if any(len(columns[key]) != n_rows for key in _NEEDED):
        raise InputError(path, "has columns of different lengths", HDF5_GROUP)
    return Table({key: values for key, values in columns.items() if len(values) == n_rows}, identifiers)


def _text(name: Any) -> str:
    """A name in an HDF5 attribute as text."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _hdf5_tables(file: h5py.File, path: str) -> Iterator[str]:
    """Paths of the groups that hold parts of the reflection table."""
    root = find(file, path, HDF5_GROUP)
    for process in root if isinstance(root, h5py.Group) else ():
        group = find(file, path, f"{HDF5_GROUP}/{process}")
        for table in group if isinstance(group, h5py.Group) else ():
            yield f"{HDF5_GROUP}/{process}/{table}"
