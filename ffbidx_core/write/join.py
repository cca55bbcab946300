"""Results files joined to one, in bounded memory; in a child process where they are large.

HDF5 that meets a full disk may end the whole process, so that what is large is not written by this one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ..model.cell_numbers import CellNumbers
from ..model.records.results import COLUMNS
from ..model.records.table import OFFSETS, SHARED, Column
from ..read.files.datasets import open_file
from .atomic import publish_file, write_file
from .ending import Ending
from .results import CHUNK_BYTES, as_texts, chunk_rows, create_dataset, write_attributes

IN_MEMORY = 4 * 2**20
"""Bytes of parts up to which they are joined in memory, without a child process."""
CHUNKS_AT_ONCE = 8
MOST_OPEN = 128
"""Parts that are open at a time."""
CHILD = ("-m", "ffbidx_core.write.join")
"""Arguments of the interpreter that is the child."""

_STACKED = ("frames", "cells", "crystals")
"""Kinds of rows of which a file has those of all its parts, one part after the other."""
_INPUT_COLUMNS = {"frame": "i8", "size": "i8", "mtime_ns": "i8"}


def write_joined(
    path: str, parts: Sequence[str | bytes], ending: Ending, *, folder: str | None, overwrite: bool
) -> None:
    """Join results files, and write the one that they make.

    Parameters
    ----------
    parts
        Names of results files, or files in memory.
    folder
        Where a large file is written before it gets its name: on the file system of `path`. None: never in a child.

    Raises
    ------
    OutputError
        When it cannot be written; nothing is left of it then.
    """
    size = sum(len(part) if isinstance(part, bytes) else os.path.getsize(part) for part in parts)
    if folder is None or size <= IN_MEMORY or any(isinstance(part, bytes) for part in parts):
        image = io.BytesIO()
        with h5py.File(image, "w", libver="earliest") as file:
            join(file, parts, ending)
        write_file(path, image.getvalue(), overwrite)
        return
    temporary = os.path.join(folder, "joined.part")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    _join_in_child(path, temporary, [str(part) for part in parts], ending)
    publish_file(temporary, path, overwrite)


def _join_in_child(path: str, temporary: str, parts: list[str], ending: Ending) -> None:
    # A session of its own: Ctrl-C is for the run, which leaves at the second one.
    done = subprocess.run(
        [sys.executable, *CHILD, temporary],
        input=f"{json.dumps(parts)}\n{ending.as_json()}",
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode == 0:
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    if done.returncode > 0 and done.stderr.strip():
        raise OutputError(path, f"cannot be written: {done.stderr.strip().splitlines()[-1]}")
    how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
    raise OutputError(path, f"cannot be written: joining the results ended with {how} (is the disk full?)")


def join(file: h5py.File, parts: Sequence[str | bytes], ending: Ending) -> None:
    """Write the results of parts, one after the other, to an empty HDF5 file."""
    write_attributes(file, ending.header, ending.complete)
    with _Parts(parts) as opened:
        _write_columns(file, opened)
    _write_run(file, ending)


def _write_columns(file: h5py.File, parts: _Parts) -> None:
    sizes = [_Sizes.of(part) for part in parts]
    cells = _InputCells(sizes)
    totals = {kind: sum(size.rows[kind] for size in sizes) for kind in _STACKED}
    totals[OFFSETS] = totals["frames"] + 1
    for name, column in COLUMNS.items():
        dataset = None
        if column.rows == SHARED:
            values = cells.given if name == "input_cells" else cells.learned
            if values is not None:
                dataset = create_dataset(file, column, len(values))
                arrays: Iterator[NDArray[Any]] = iter([values])
        elif column.fill is not None or all(column.path in size.datasets for size in sizes):
            dataset = create_dataset(file, column, totals[column.rows])
            arrays = _column(column, parts, sizes, cells)
        if dataset is not None:
            _write_aligned(dataset, arrays, chunk_rows(column, len(dataset)))


class _Parts:
    """Results files that are looked at again for each column: the first ones stay open.

    Parameters
    ----------
    parts
        Names of results files, or files in memory.
    """

    def __init__(self, parts: Sequence[str | bytes]) -> None:
        self._parts = parts
        self._open: list[h5py.File] = []
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._held.close()

    def __iter__(self) -> Iterator[h5py.File]:
        for number, part in enumerate(self._parts):
            if number == len(self._open) < MOST_OPEN:
                self._open.append(self._held.enter_context(_opened(part)))
            if number < len(self._open):
                yield self._open[number]
            else:
                with _opened(part) as file:
                    yield file


@dataclass
class _Sizes:
    """Numbers of rows of a part, its input cells, and which datasets it has."""

    rows: dict[str, int]
    input_cells: NDArray[np.float64]
    learned: NDArray[np.float64] | None
    datasets: set[str]

    @classmethod
    def of(cls, file: h5py.File) -> _Sizes:
        rows = {c.rows: len(file[c.path]) for c in COLUMNS.values() if c.rows in _STACKED and not c.optional}
        learned = file["learned_cells"][()] if "learned_cells" in file else None
        datasets = {column.path for column in COLUMNS.values() if column.path in file}
        return cls(rows, file["input_cells"][()], learned, datasets)


class _InputCells:
    """The input cells of all parts in order of first use, and where those of each part are among them."""

    def __init__(self, sizes: Sequence[_Sizes]) -> None:
        numbers = CellNumbers()
        learned: dict[int, NDArray[np.float64]] = {}
        self.rows: list[NDArray[np.int32]] = []
        for size in sizes:
            self.rows.append(numbers.of(size.input_cells))
            if size.learned is not None:
                for row, given, cell in zip(self.rows[-1].tolist(), size.input_cells, size.learned, strict=True):
                    if not np.array_equal(cell, given):
                        learned[row] = cell
        self.given = numbers.cells
        self.learned: NDArray[np.float64] | None = None
        if any(size.learned is not None for size in sizes):
            self.learned = self.given.copy()
            for row, cell in learned.items():
                self.learned[row] = cell


@contextlib.contextmanager
def _opened(part: str | bytes) -> Iterator[h5py.File]:
    if isinstance(part, bytes):
        with h5py.File(io.BytesIO(part), "r") as file:
            yield file
    else:
        with open_file(part) as file:
            yield file


def _column(column: Column, parts: _Parts, sizes: Sequence[_Sizes], cells: _InputCells) -> Iterator[NDArray[Any]]:
    """The values of a column from all parts, some at a time."""
    before = dict.fromkeys(_STACKED, 0)
    first = int(column.rows == OFFSETS)
    at_once = CHUNKS_AT_ONCE * chunk_rows(column, CHUNK_BYTES)
    if first:
        yield column.filled(1)
    for number, file in enumerate(parts):
        dataset = file.get(column.path)
        if dataset is None:
            dataset = column.filled(sizes[number].rows[column.rows])
        for begin in range(first, len(dataset), at_once):
            values = dataset[begin : begin + at_once]
            if column.points_to == SHARED:
                values = cells.rows[number][values]
            elif column.points_to:
                values = values + before[column.points_to]
            yield values
        for kind in before:
            before[kind] += sizes[number].rows[kind]


def _write_aligned(dataset: h5py.Dataset, arrays: Iterator[NDArray[Any]], chunk: int) -> None:
    """Write arrays one after the other, whole chunks at a time: the file does not depend on how they are cut."""
    waiting: list[NDArray[Any]] = []
    n_waiting = at = 0
    for values in arrays:
        waiting.append(values)
        n_waiting += len(values)
        if n_waiting >= chunk:
            joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            whole = n_waiting - n_waiting % chunk
            # One chunk at a time, so that those of all cuts are allocated and filled in one order.
            for begin in range(0, whole, chunk):
                dataset[at + begin : at + begin + chunk] = joined[begin : begin + chunk]
            at, waiting, n_waiting = at + whole, [joined[whole:]], n_waiting - whole
    if n_waiting:
        dataset[at : at + n_waiting] = np.concatenate(waiting)


def _write_run(file: h5py.File, ending: Ending) -> None:
    text = h5py.string_dtype("utf-8")
    learned = None if ending.learned is None else [group.as_dict() for group in ending.learned]
    record = ending.record
    words = {
        "settings": record.settings,
        "config": record.config,
        "versions": record.versions,
        "mark": ending.mark.as_dict(),
        "learned": learned,
        "doubt": ending.mark.contest.as_dict(),
    }
    for name, value in words.items():
        file.create_dataset(f"run/{name}", data=json.dumps(value), dtype=text)
    inputs = ending.record.inputs
    file.create_dataset("run/input/path", data=as_texts([source.path for source in inputs]), dtype=text)
    for name, kind in _INPUT_COLUMNS.items():
        file.create_dataset(f"run/input/{name}", data=np.array([getattr(row, name) for row in inputs], dtype=kind))
    file.create_dataset("run/input/digest", data=as_texts([source.digest for source in inputs]), dtype=text)


def _child(temporary: str) -> int:
    """Join what standard input names, as the child of `write_joined`."""
    stream = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    parts = json.loads(stream.readline())
    ending = Ending.from_json(stream.read())
    try:
        with h5py.File(temporary, "w", libver="earliest") as file:
            join(file, parts, ending)
    except (OSError, RuntimeError, InputError) as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        # Not through the interpreter's end: what HDF5 still holds would be written again.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1]))
