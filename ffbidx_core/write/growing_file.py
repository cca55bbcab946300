"""A results file that is written piece by piece, and whose bytes do not depend on the division into pieces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..model.basis import ConventionalCells, as_given
from ..model.cell_numbers import CellNumbers
from ..model.records.results import COLUMNS, Results
from ..model.records.table import OFFSETS, SHARED, Column
from .results import CHUNK_BYTES, chunk_rows, create_dataset, write_texts

FRAMES_AT_ONCE = 2**15
"""Number of frames after which the columns are written; it fixes the order of the chunks in the file."""


class GrowingFile:
    """The columns of results in an HDF5 file, which grow by whole chunks.

    Parameters
    ----------
    file
        An empty HDF5 file.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._columns = {name: _Dataset(file, column) for name, column in COLUMNS.items() if column.rows != SHARED}
        self._rows = {column.rows: 0 for column in COLUMNS.values()}
        self._cells = _InputCells()
        self._waiting: list[Results] = []
        self._n_waiting = 0

    def add(self, piece: Results) -> None:
        """Add the results of the next frames."""
        piece = replace(piece, input_cell=self._cells.rows(piece)[piece.input_cell])
        while self._n_waiting + piece.n_frames >= FRAMES_AT_ONCE:
            room = FRAMES_AT_ONCE - self._n_waiting
            self._write([*self._waiting, piece[:room]])
            self._waiting, self._n_waiting, piece = [], 0, piece[room:]
        self._waiting.append(piece)
        self._n_waiting += piece.n_frames

    def end(self) -> None:
        """Write the rows that remain, and the input cells."""
        if self._waiting:
            self._write(self._waiting)
        for name, column in COLUMNS.items():
            if column.rows != SHARED:
                self._columns[name].end()
            elif (cells := self._cells.given if name == "input_cells" else self._cells.learned) is not None:
                create_dataset(self._file, column, len(cells))[...] = cells

    def _write(self, pieces: list[Results]) -> None:
        """Append the rows of consecutive frames to all columns."""
        results = Results.joined(pieces)
        for name, dataset in self._columns.items():
            values, column = getattr(results, name), COLUMNS[name]
            if column.points_to not in ("", SHARED):
                values = values + self._rows[column.points_to]
            dataset.add(values[1:] if column.rows == OFFSETS and self._rows["frames"] else values)
        for kind in self._rows:
            self._rows[kind] += results.n_rows(kind)
        # HDF5 would keep megabytes of each column until the file is closed, for which a run waits at its end.
        self._file.flush()


class _Dataset:
    """The dataset of a column, which is created with its first whole chunk, or at the end if there is none."""

    def __init__(self, file: h5py.File, column: Column) -> None:
        self._file, self._column, self._chunk = file, column, chunk_rows(column, CHUNK_BYTES)
        self._dataset: h5py.Dataset | None = None
        self._waiting: list[NDArray[Any]] = []
        self._n_waiting, self._n_written, self._is_lacking = 0, 0, False

    def add(self, values: NDArray[Any] | None) -> None:
        """Append rows; None for results that lack the column, which the file will then lack as well."""
        if values is None or self._is_lacking:
            self._is_lacking = True
            return
        self._waiting.append(values)
        self._n_waiting += len(values)
        if whole := self._n_waiting - self._n_waiting % self._chunk:
            rows = np.concatenate(self._waiting)
            self._write(rows[:whole])
            # The rest is copied, so that the rows before it are not kept in memory.
            self._waiting, self._n_waiting = [rows[whole:].copy()], self._n_waiting - whole

    def _write(self, rows: NDArray[Any]) -> None:
        if self._dataset is None:
            self._dataset = create_dataset(self._file, self._column, min(len(rows), self._chunk))
        # Chunks are written one at a time, so their order of allocation does not depend on the division.
        for begin in range(0, len(rows), self._chunk):
            piece = rows[begin : begin + self._chunk]
            end = self._n_written + len(piece)
            if end > len(self._dataset):
                self._dataset.resize(end, axis=0)
            if self._column.is_text:
                write_texts(self._dataset, self._n_written, piece)
            else:
                self._dataset[self._n_written : end] = piece
            self._n_written = end

    def end(self) -> None:
        """Write the rows that do not fill a chunk."""
        if self._is_lacking:
            if self._dataset is not None:
                del self._file[self._column.path]
        elif self._dataset is None or self._n_waiting:
            first = self._column.filled(int(self._column.rows == OFFSETS and not self._waiting))
            self._write(np.concatenate([first, *self._waiting]))


class _InputCells:
    """The input cells of all pieces in order of first use, with their learned cells."""

    def __init__(self) -> None:
        self._numbers = CellNumbers()
        self._learned: dict[int, NDArray[np.float64]] = {}
        self._any_learned = False

    def rows(self, piece: Results) -> NDArray[np.int32]:
        """The row of each input cell of a piece among all input cells."""
        rows = self._numbers.of(piece.input_cells)
        if piece.learned_cells is not None:
            self._any_learned = True
            for row, given, cell in zip(rows.tolist(), piece.input_cells, piece.learned_cells, strict=True):
                if not np.array_equal(cell, given):
                    self._learned[row] = cell
        return rows

    @property
    def given(self) -> ConventionalCells:
        """The input cells (m, 3, 3), rows a, b, c, angstrom."""
        return self._numbers.cells

    @property
    def learned(self) -> ConventionalCells | None:
        """The input cells (m, 3, 3) with those replaced that were learned, angstrom; None if no piece learned any."""
        cells = self._numbers.cells.copy()
        for row, cell in self._learned.items():
            cells[row] = cell
        return as_given(cells) if self._any_learned else None
