"""An open results file, from which all columns, some of them, or ranges of frames are read."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.records.results import COLUMNS, FORMAT, FORMAT_VERSION, NUMBERED, Results, ResultsHeader
from ...model.records.table import OFFSETS, SHARED, Column, cut
from .content import read_text
from .datasets import errors_of, open_dataset, open_file, texts_of

FEW = 8
"""Number of frames up to which it is faster to read each by itself than all between the first and the last."""


@contextlib.contextmanager
def opened(path: str, *, is_own: bool = False) -> Iterator[OpenResults]:
    """A context with an open results file; see `OpenResults` for the parameters.

    Raises
    ------
    InputError
        If the file is not a results file.
    """
    with open_results_file(path) as file:
        yield OpenResults(file, path, is_own)


class OpenResults:
    """An open results file, from which all frames, some of them, or single columns are read.

    The columns of `Results` are its attributes. Each of these is read when it is first used, and is not compared with
    others, which saves most of the time if few are used.

    Parameters
    ----------
    file, path
        The open file, and its name.
    is_own
        Whether this program wrote the file, and its checksum was compared: its datasets need no checks then, and their
        chunks are read as they are, without a checksum of each.

    Attributes
    ----------
    header, complete
        As of `Results`.
    """

    def __init__(self, file: h5py.File, path: str, is_own: bool = False) -> None:
        self._file, self._path, self._is_own = file, path, is_own
        with errors_of(path, "attributes"):
            self.header, self.complete = header_of(path, dict(file.attrs))
        self._datasets: dict[str, h5py.Dataset | None] = {}
        self._shared: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in COLUMNS:
            raise AttributeError(name)
        column, values = COLUMNS[name], self._values(name)
        if values is None and column.fill is not None:
            first = next(each for each, other in COLUMNS.items() if other.rows == column.rows)
            values = column.filled(self.n_rows(first))
        setattr(self, name, values)
        return values

    @functools.cached_property
    def n_frames(self) -> int:
        """The number of frames."""
        return self.n_rows("index")

    def n_rows(self, name: str) -> int:
        """Number of rows of a column that every file has."""
        dataset = self._dataset(name)
        assert dataset is not None
        return len(dataset)

    def whole(self) -> Results:
        """The results of all frames."""
        return self._results({name: self._values(name) for name in COLUMNS})

    def _results(self, arrays: dict[str, Any]) -> Results:
        """Results that have been checked, with the columns that are there."""
        results = Results(header=self.header, complete=self.complete, **_filled(arrays))
        _check(results, self._path)
        return results

    def check_datasets(self) -> None:
        """Raise an error for the first dataset that is missing, or has another shape or type."""
        for name in COLUMNS:
            self._dataset(name)

    def _dataset(self, name: str) -> h5py.Dataset | None:
        """The dataset of a column; None if the file lacks it."""
        if name not in self._datasets:
            self._datasets[name] = _column(self._file, self._path, COLUMNS[name], self._is_own)
        return self._datasets[name]

    def take(self, chosen: NDArray[np.int64]) -> Results:
        """The results of a selection of frames (ascending numbers), of which there is at least one."""
        if len(chosen) > FEW:
            return self.frames(slice(int(chosen[0]), int(chosen[-1]) + 1)).take(chosen - chosen[0])
        return Results.joined([self.frames(slice(frame, frame + 1)) for frame in chosen.tolist()])

    def frames(self, frames: slice) -> Results:
        """The results of consecutive frames."""
        if not self._shared:
            shared = [name for name, column in COLUMNS.items() if column.rows == SHARED]
            self._shared = {name: self._values(name) for name in shared}
        return self._results(self._shared | cut(COLUMNS, frames, self._values))

    def _values(self, name: str, rows: slice = slice(None)) -> Any:
        """Rows of the column with a name."""
        dataset, column = self._dataset(name), COLUMNS[name]
        if dataset is None:
            return None
        with errors_of(self._path, column.path):
            if column.is_text:
                return texts_of(dataset, rows)
            read = _raw_rows if self._is_own and _is_as_written(dataset) else h5py.Dataset.__getitem__
            return np.asarray(read(dataset, rows), dtype=column.dtype)


def _filled(arrays: dict[str, Any]) -> dict[str, Any]:
    """Columns by name, in which those that the file lacks have their fill value."""
    n_rows = {COLUMNS[name].rows: len(values) for name, values in arrays.items() if values is not None}
    lacking = {name: COLUMNS[name] for name, values in arrays.items() if values is None}
    return arrays | {name: c.filled(n_rows[c.rows]) for name, c in lacking.items() if c.fill is not None}


def open_results_file(path: str) -> h5py.File:
    """Open a results file; a text output of a run is refused."""
    if read_text(path) is not None:
        raise InputError(path, "is text: only the HDF5 results of a run can be read here, which -o FILE.h5 writes")
    return open_file(path)


def header_of(path: str, attributes: dict[str, Any]) -> tuple[ResultsHeader, bool]:
    """The header in the attributes of a file, and whether its run reached the end."""
    if attributes.get("format") != FORMAT:
        raise InputError(
            path,
            f"is not a results file: its attribute format is not {FORMAT}; `ffbidx inspect` shows what the file holds",
        )
    if (version := attributes.get("format_version")) != FORMAT_VERSION:
        raise InputError(path, f"has the format version {version}; this program reads {FORMAT_VERSION}")
    names = [f.name for f in fields(ResultsHeader) if f.default is MISSING or f.name in attributes]
    if missing := [name for name in [*names, "complete"] if name not in attributes]:
        raise InputError(path, f"lacks the attribute {missing[0]}")
    return ResultsHeader(**{name: str(attributes[name]) for name in names}), bool(attributes["complete"])


def _column(file: h5py.File, path: str, column: Column, is_own: bool) -> h5py.Dataset | None:
    """The dataset of a column; None if the file lacks an optional one."""

    def found(name: str, kind: str, *tail: int) -> h5py.Dataset | None:
        if not is_own:
            return open_dataset(file, path, name, kind, (None, *tail))
        with errors_of(path, name):
            return file.get(name)

    kind = {"f": "f", "i": "iu", "u": "iu", "O": "text"}[column.dtype.kind]
    dataset = found(column.path, kind, *column.tail)
    if dataset is None and column.is_text:
        dataset = found(column.path + NUMBERED, "iu")
    if dataset is None and not column.optional:
        raise InputError(path, f"has no dataset {column.path}")
    return dataset


def _is_as_written(dataset: h5py.Dataset) -> bool:
    """Whether a dataset has the filters with which this program writes it: another program may have compressed it."""
    filters = dataset.id.get_create_plist()
    return bool(filters.get_nfilters() == 1 and filters.get_filter(0)[0] == h5py.h5z.FILTER_FLETCHER32)


def _raw_rows(dataset: h5py.Dataset, rows: slice) -> NDArray[Any]:
    """Rows of a numeric dataset that this program has written, whose chunks hold their numbers and then a checksum."""
    (begin, end, _), n, tail = rows.indices(len(dataset)), dataset.chunks[0], dataset.shape[1:]
    out = np.empty((max(end - begin, 0), *tail), dataset.dtype)
    for first in range(begin - begin % n, end, n):
        _, chunk = dataset.id.read_direct_chunk((first, *(0 for _ in tail)))
        numbers = np.frombuffer(chunk, out.dtype, n * math.prod(tail)).reshape(n, *tail)
        low, high = max(first, begin), min(first + n, end)
        out[low - begin : high - begin] = numbers[low - first : high - first]
    return out


def _check(results: Results, path: str) -> None:
    """Check that the lengths, offsets and row numbers of all arrays fit each other."""
    n_rows = {SHARED: len(results.input_cells), "frames": results.n_frames, OFFSETS: results.n_frames + 1}
    columns = {name: column for name, column in COLUMNS.items() if getattr(results, name) is not None}
    for name, column in columns.items():
        if column.rows == OFFSETS:
            offsets = getattr(results, name)
            if len(offsets) == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
                raise InputError(path, "does not rise from 0", column.path)
            n_rows[column.points_to] = offsets[-1]
    for name, column in columns.items():
        n = len(getattr(results, name))
        if n != n_rows[column.rows]:
            raise InputError(path, f"has {n} rows, expected {n_rows[column.rows]}", column.path)
    for name, column in columns.items():
        most = len(column.names) if column.names is not None else n_rows.get(column.points_to)
        values = getattr(results, name)
        if most is not None and column.rows != OFFSETS and ((values < 0) | (values >= most)).any():
            raise InputError(path, f"has numbers outside 0 to {most - 1}", column.path)
