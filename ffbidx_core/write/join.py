"""Joining results files to one in bounded memory, for large files in a child process.

HDF5 may end the whole process if the disk is full, so large files are not written by the process of the run.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ..model.records.results import COLUMNS
from ..model.records.table import OFFSETS, SHARED, Column
from .atomic import publish_file, write_file
from .ending import Ending
from .part_files import STACKED, InputCells, Parts, Sizes
from .results import CHUNK_BYTES, as_texts, chunk_rows, create_dataset, write_attributes

IN_MEMORY = 4 * 2**20
"""Total size of parts in bytes up to which they are joined in memory, without a child process."""
CHUNKS_AT_ONCE = 8
CHILD = ("-m", "ffbidx_core.write.join")
"""Arguments of the interpreter for the child process."""

_INPUT_COLUMNS = {"frame": "i8", "size": "i8", "mtime_ns": "i8"}


def write_joined(
    path: str, parts: Sequence[str | bytes], ending: Ending, *, folder: str | None, overwrite: bool
) -> None:
    """Join results files, and write the joined file.

    Parameters
    ----------
    parts
        Names of results files, or files in memory.
    folder
        Folder, on the file system of `path`, for a large file before it gets its name. None: never join in a child.

    Raises
    ------
    OutputError
        If the file cannot be written; then nothing of it remains.
    """
    if folder is None or not are_large(parts):
        image = io.BytesIO()
        with h5py.File(image, "w", libver="earliest") as file:
            join(file, parts, lambda: ending)
        write_file(path, image.getvalue(), overwrite)
        return
    with contextlib.closing(JoinAhead([str(part) for part in parts], folder)) as ahead:
        ahead.publish(path, ending, overwrite)


def are_large(parts: Sequence[str | bytes]) -> bool:
    """Whether a child process joins the parts: all are files, and together they hold more than `IN_MEMORY` bytes."""
    names = [part for part in parts if isinstance(part, str)]
    return len(names) == len(parts) and sum(map(os.path.getsize, names)) > IN_MEMORY


class JoinAhead:
    """Results files that a child process joins while the run does its last work.

    Parameters
    ----------
    parts
        Names of results files.
    folder
        Folder in which the child writes, on the file system of the output.
    """

    def __init__(self, parts: Sequence[str], folder: str) -> None:
        self._temporary = os.path.join(folder, "joined.part")
        self._remove()
        # The child has a session of its own, because Ctrl-C is meant for the run, which ends at the second one.
        self._child = subprocess.Popen(
            [sys.executable, *CHILD, self._temporary],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            start_new_session=True,
        )
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(parts), file=self._child.stdin, flush=True)

    def publish(self, path: str, ending: Ending, overwrite: bool) -> None:
        """Make the child write the remaining contents, and give the file its name.

        Raises
        ------
        OutputError
            If the file cannot be written; then nothing of it remains.
        """
        _, errors = self._child.communicate(ending.as_json())
        status = self._child.returncode
        if status == 0:
            publish_file(self._temporary, path, overwrite)
            return
        if status > 0 and errors.strip():
            raise OutputError(path, f"cannot be written: {errors.strip().splitlines()[-1]}")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        raise OutputError(path, f"cannot be written: joining the results ended with {how} (is the disk full?)")

    def close(self) -> None:
        """End the child, and remove a file that was not published."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def join(file: h5py.File, parts: Sequence[str | bytes], ending: Callable[[], Ending]) -> None:
    """Write the results of parts, one after the other, to an empty HDF5 file, and then the contents of the ending."""
    with Parts(parts) as opened:
        _write_columns(file, opened)
    last = ending()
    write_attributes(file, last.header, last.complete)
    _write_run(file, last)


def _write_columns(file: h5py.File, parts: Parts) -> None:
    sizes = [Sizes.of(part) for part in parts]
    cells = InputCells(sizes)
    totals = {kind: sum(size.rows[kind] for size in sizes) for kind in STACKED}
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


def _column(column: Column, parts: Parts, sizes: Sequence[Sizes], cells: InputCells) -> Iterator[NDArray[Any]]:
    """Yield the values of a column from all parts, some at a time."""
    before = dict.fromkeys(STACKED, 0)
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
    """Write arrays one after the other in whole chunks, so that the file does not depend on how they are divided."""
    waiting: list[NDArray[Any]] = []
    n_waiting = at = 0
    for values in arrays:
        waiting.append(values)
        n_waiting += len(values)
        if n_waiting >= chunk:
            joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            whole = n_waiting - n_waiting % chunk
            # Chunks are written one at a time, so their order of allocation does not depend on the division.
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
    } | ({"cell_search": record.cell_search} if record.cell_search else {})
    for name, value in words.items():
        file.create_dataset(f"run/{name}", data=json.dumps(value), dtype=text)
    inputs = ending.record.inputs
    file.create_dataset("run/input/path", data=as_texts([source.path for source in inputs]), dtype=text)
    for name, kind in _INPUT_COLUMNS.items():
        file.create_dataset(f"run/input/{name}", data=np.array([getattr(row, name) for row in inputs], dtype=kind))
    file.create_dataset("run/input/digest", data=as_texts([source.digest for source in inputs]), dtype=text)


def _child(temporary: str) -> int:
    """Join the parts that standard input names; this is the program of the child of `JoinAhead`."""
    stream = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    parts = json.loads(stream.readline())
    try:
        with h5py.File(temporary, "w", libver="earliest") as file:
            join(file, parts, lambda: _ending(stream, temporary))
    except (OSError, RuntimeError, InputError) as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        # A normal exit would make HDF5 write its buffers again.
        os._exit(1)
    return 0


def _ending(stream: io.TextIOWrapper, temporary: str) -> Ending:
    text = stream.read()
    if not text:
        # The process of the run has ended.
        os.unlink(temporary)
        os._exit(1)
    return Ending.from_json(text)


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1]))
