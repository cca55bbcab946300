"""Reading of results files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.records.results import COLUMNS, FORMAT, FORMAT_VERSION, NUMBERED, Results, ResultsHeader
from ..model.records.run import InputIdentity, Learned, Mark, RunRecord
from ..model.records.table import OFFSETS, SHARED, Column, cut
from .files.content import read_text
from .files.datasets import errors_of, open_dataset, open_file, texts_of


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read the results of a run.

    Parameters
    ----------
    path
        A results file that `ffbidx index` wrote.

    Returns
    -------
    Results
        The results of all frames, in memory.

    Raises
    ------
    InputError
        If the file is not a results file, is damaged, or its parts do not fit each other.
    """
    name = os.fspath(path)
    with _open(name) as file:
        with errors_of(name, "attributes"):
            attributes = dict(file.attrs)
        header, complete = _header(name, attributes)
        arrays: dict[str, Any] = {field: _read_column(file, name, column) for field, column in COLUMNS.items()}
    results = Results(header=header, complete=complete, **_filled(arrays))
    _check(results, name)
    return results


def results_in_pieces(path: str, frames_at_once: int = 8192) -> Iterator[Results]:
    """Read the results of a run, at most `frames_at_once` frames at a time.

    Yields
    ------
    Results
        The results of consecutive frames, with all input cells.

    Raises
    ------
    InputError
        If the file is not a results file, or is damaged.
    """
    with _open(path) as file:
        pieces = _Pieces(file, path)
        for begin in range(0, pieces.n_frames, frames_at_once):
            yield pieces.frames(slice(begin, min(begin + frames_at_once, pieces.n_frames)))


def read_frames(path: str, frames: slice) -> Results:
    """Read the results of consecutive frames, with all input cells; nothing else is read.

    Parameters
    ----------
    path
        The results file.
    frames
        First frame and end of the frames, which must lie inside the file.

    Raises
    ------
    InputError
        If the file is not a results file, or the parts that are read are damaged.
    """
    with _open(path) as file:
        return _Pieces(file, path).frames(frames)


def some_frames(path: str, chosen: NDArray[np.int64]) -> Iterator[Results]:
    """Read the results of a selection of frames (ascending numbers), one piece for each input file.

    Raises
    ------
    InputError
        If the file is not a results file, or is damaged.
    """
    before, parts = 0, []
    for piece in results_in_pieces(path):
        mine = chosen[(chosen >= before) & (chosen < before + piece.n_frames)] - before
        before += piece.n_frames
        parts.append(piece.take(mine))
    if parts:
        # The pieces are joined first, so that each input file is opened only once.
        whole = Results.joined(parts)
        ends = np.flatnonzero(whole.source[1:] != whole.source[:-1]) + 1
        yield from (whole.take(part) for part in np.split(np.arange(whole.n_frames), ends) if len(part))


def read_header(path: str) -> tuple[ResultsHeader, bool, int]:
    """The header of a results file, whether its run reached the end, and its number of frames.

    Raises
    ------
    InputError
        If the file is not a results file, or lacks a dataset.
    """
    with _open(path) as file:
        pieces = _Pieces(file, path)
        return pieces.header, pieces.complete, pieces.n_frames


def read_column(path: str, name: str) -> Any:
    """Read one array of the results in a file, by the name of its attribute; None if the file lacks it.

    Raises
    ------
    InputError
        If the dataset is damaged.
    """
    with _open(path) as file:
        column = COLUMNS[name]
        values = _read_column(file, path, column)
        if values is None and column.fill is not None:
            return column.filled(len(_Pieces(file, path).columns["crystals"]))
        return values


class _Pieces:
    """An open results file, from which ranges of frames are read."""

    def __init__(self, file: h5py.File, path: str) -> None:
        self._path = path
        with errors_of(path, "attributes"):
            self.header, self.complete = _header(path, dict(file.attrs))
        self.columns: dict[str, Any] = {name: _column(file, path, column) for name, column in COLUMNS.items()}
        self.n_frames = len(self.columns["index"])
        self._shared: dict[str, Any] = {}

    def frames(self, frames: slice) -> Results:
        """The results of consecutive frames."""
        if not self._shared:
            shared = [name for name, column in COLUMNS.items() if column.rows == SHARED]
            self._shared = {name: self._values(name) for name in shared}
        arrays = self._shared | cut(COLUMNS, frames, self._values)
        results = Results(header=self.header, complete=self.complete, **_filled(arrays))
        _check(results, self._path)
        return results

    def _values(self, name: str, rows: slice = slice(None)) -> Any:
        """Rows of the column with a name."""
        return _values(self.columns[name], self._path, COLUMNS[name], rows)


def _filled(arrays: dict[str, Any]) -> dict[str, Any]:
    """Columns by name, in which those that the file lacks have their fill value."""
    n_rows = {COLUMNS[name].rows: len(values) for name, values in arrays.items() if values is not None}
    lacking = {name: COLUMNS[name] for name, values in arrays.items() if values is None}
    return arrays | {name: c.filled(n_rows[c.rows]) for name, c in lacking.items() if c.fill is not None}


def read_run(path: str) -> tuple[ResultsHeader, bool, RunRecord, Mark, list[Learned] | None]:
    """Read the record of a run from its results file.

    Returns
    -------
    header : ResultsHeader
        Header of the results.
    complete : bool
        Whether the run reached its end.
    record : RunRecord
        Settings and inputs.
    mark : Mark
        Progress of the run.
    learned : list of Learned or None
        Learned cells; None if nothing has been learned yet.

    Raises
    ------
    InputError
        If the file is not a results file, or was written by a program that keeps no record.
    """
    with _open(path) as file:
        with errors_of(path, "attributes"):
            header, complete = _header(path, dict(file.attrs))
        if "run" not in file:
            raise InputError(path, "does not say how it was made: it has no group /run")
        with errors_of(path, "/run"):
            later = [name for name in ("versions", "cell_search") if f"run/{name}" in file]
            names = ("settings", "config", "mark", "learned", *later)
            words = {name: json.loads(file[f"run/{name}"].asstr()[()]) for name in names}
            paths = file["run/input/path"].asstr("utf-8", "surrogateescape")[()]
            numbers = [file[f"run/input/{name}"][()].tolist() for name in ("frame", "size", "mtime_ns")]
            has_digests = "run/input/digest" in file
            digests = file["run/input/digest"].asstr()[()] if has_digests else [""] * len(paths)
        inputs = tuple(InputIdentity(*row) for row in zip(paths, *numbers, digests, strict=True))
    learned = words["learned"]
    others = {name: words.get(name, {}) for name in ("versions", "cell_search")}
    record = RunRecord(words["settings"], inputs, words["config"], **others)
    return (
        header,
        complete,
        record,
        Mark.from_dict(words["mark"]),
        None if learned is None else [Learned.from_dict(values) for values in learned],
    )


def read_record(path: str) -> tuple[ResultsHeader, RunRecord]:
    """The header of a results file, and the record of its run, which is empty if the file has none.

    Raises
    ------
    InputError
        If the file is not a results file.
    """
    with _open(path) as file:
        with errors_of(path, "attributes"):
            header, _ = _header(path, dict(file.attrs))
        knows_its_run = "run" in file
    return header, read_run(path)[2] if knows_its_run else RunRecord({}, ())


def _open(path: str) -> h5py.File:
    """Open a results file; a text output of a run is refused."""
    if read_text(path) is not None:
        raise InputError(path, "is text: only the HDF5 results of a run can be read here, which -o FILE.h5 writes")
    return open_file(path)


def _header(path: str, attributes: dict[str, Any]) -> tuple[ResultsHeader, bool]:
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


def _read_column(file: h5py.File, path: str, column: Column) -> NDArray[Any] | None:
    """All rows of a column; None if the file lacks it."""
    values: NDArray[Any] | None = _values(_column(file, path, column), path, column)
    return values


def _column(file: h5py.File, path: str, column: Column) -> h5py.Dataset | None:
    """The dataset of a column; None if the file lacks an optional one."""
    kind = {"f": "f", "i": "iu", "u": "iu", "O": "text"}[column.dtype.kind]
    dataset = open_dataset(file, path, column.path, kind, (None, *column.tail))
    if dataset is None and column.is_text:
        dataset = open_dataset(file, path, column.path + NUMBERED, "iu", (None,))
    if dataset is None and not column.optional:
        raise InputError(path, f"has no dataset {column.path}")
    return dataset


def _values(dataset: h5py.Dataset | None, path: str, column: Column, rows: slice = slice(None)) -> Any:
    """Rows of a dataset with the dtype of its column."""
    if dataset is None:
        return None
    with errors_of(path, column.path):
        return texts_of(dataset, rows) if column.is_text else np.asarray(dataset[rows], dtype=column.dtype)


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
