"""Results files that are joined: the sizes of each, and the input cells of all."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import h5py
import numpy as np
from numpy.typing import NDArray

from ..model.basis import ConventionalCells, as_given
from ..model.cell_numbers import CellNumbers
from ..model.records.results import COLUMNS
from ..read.files.datasets import open_file

MOST_OPEN = 128
"""Largest number of parts that are open at a time."""

STACKED = ("frames", "cells", "crystals")
"""Kinds of rows that the joined file takes from all parts, one part after the other."""


class Parts:
    """Results files that are read again for each column; the first `MOST_OPEN` of them stay open.

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
class Sizes:
    """The numbers of rows of a part, its input cells, and the names of its datasets."""

    rows: dict[str, int]
    input_cells: ConventionalCells
    learned: ConventionalCells | None
    datasets: set[str]

    @classmethod
    def of(cls, file: h5py.File) -> Sizes:
        """The sizes of an open results file."""
        rows = {c.rows: len(file[c.path]) for c in COLUMNS.values() if c.rows in STACKED and not c.optional}
        learned = as_given(file["learned_cells"][()]) if "learned_cells" in file else None
        datasets = {column.path for column in COLUMNS.values() if column.path in file}
        return cls(rows, as_given(file["input_cells"][()]), learned, datasets)


class InputCells:
    """The input cells of all parts in order of first use, and their rows for the cells of each part."""

    def __init__(self, sizes: Sequence[Sizes]) -> None:
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
        self.learned: ConventionalCells | None = None
        if any(size.learned is not None for size in sizes):
            self.learned = as_given(self.given.copy())
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
