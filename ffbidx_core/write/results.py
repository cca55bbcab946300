"""The writer of results files, which gathers results block by block."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..model.basis import ConventionalCells
from ..model.cell import Array, cell_parameters
from ..model.cell_numbers import CellNumbers
from ..model.records.frame import BatchResult, ConventionalResult, FrameBlock
from ..model.records.names import Names
from ..model.records.results import COLUMNS, FORMAT, FORMAT_VERSION, NUMBERED, Results, ResultsHeader
from ..model.records.table import SHARED, Column, columns_of

CHUNK_BYTES = 2**18
MOST_NAMES = 256
"""Largest number of different names that are kept as an attribute of their numbers."""

_TEXT = h5py.string_dtype("utf-8")
_REFERENCE = np.dtype("V16")
"""A text of variable length in a chunk of an HDF5 file: its length, and the place of its bytes in the file."""


class ResultsWriter:
    """Gathers the results of blocks, in the order of the input, for one results file or table.

    Parameters
    ----------
    header
        The record of how the results are made.
    """

    def __init__(self, header: ResultsHeader) -> None:
        self.header = header
        self._input_cells = CellNumbers()
        self._learned: dict[int, Array] = {}
        self._results = [ConventionalResult.empty()]
        of_blocks = (name for name, column in COLUMNS.items() if column.rows != SHARED)
        self._parts: dict[str, list[Any]] = {name: [] for name in of_blocks if name not in columns_of(BatchResult)}

    def input_rows(self, cells: ConventionalCells) -> NDArray[np.int32]:
        """The rows (M,) of `/input_cells` for cells (M, 3, 3); new cells are added."""
        return self._input_cells.of(cells)

    def learned(self, rows: NDArray[np.int32], cells: ConventionalCells) -> None:
        """Keep the learned cells (M, 3, 3) that stand for rows (M,) of `/input_cells`."""
        self._learned.update(zip(rows.tolist(), np.asarray(cells, dtype=np.float64), strict=True))

    def add(
        self,
        block: FrameBlock,
        result: ConventionalResult,
        status: NDArray[np.uint8],
        input_cell_rows: NDArray[np.int32],
    ) -> None:
        """Append a block.

        Parameters
        ----------
        result
            The results of all frames of the block; frames that were not indexed have no cells.
        status : (F,)
            The `FrameStatus` of each frame.
        input_cell_rows : (M,)
            Row of `/input_cells` for each input cell of the block, as returned by `input_rows`.
        """
        if not block.n_frames == result.n_frames == len(status):
            raise ValueError(f"{block.n_frames} frames have {result.n_frames} results and {len(status)} statuses")
        self._results.append(replace(result, input_cell=np.asarray(input_cell_rows, dtype=np.int32)[result.input_cell]))
        columns = {
            "source": Names.of(block.sources).array,
            "index": block.indices,
            "id": Names.of(block.ids).array,
            "n_spots": block.n_spots,
            "status": status,
            "crystal_parameters": cell_parameters(result.cells[result.crystals]),
        }
        for name, values in columns.items():
            self._parts[name].append(values)

    def results(self, complete: bool) -> Results:
        """The gathered results.

        Parameters
        ----------
        complete
            Whether the run reached its end.
        """
        arrays: dict[str, Any] = {name: _joined(parts, COLUMNS[name]) for name, parts in self._parts.items()}
        arrays |= {"input_cells": self._input_cells.cells, "learned_cells": None}
        if self._learned:
            learned = self._input_cells.cells
            learned[list(self._learned)] = list(self._learned.values())
            arrays["learned_cells"] = learned
        found = ConventionalResult.joined(self._results).only(BatchResult)
        return Results(header=self.header, complete=complete, **arrays, **found)

    def to_bytes(self, complete: bool) -> bytes:
        """The bytes of the results file of the gathered results."""
        return results_file(self.results(complete))


def _joined(parts: list[Any], column: Column) -> NDArray[Any]:
    arrays = [np.asarray(part, dtype=column.dtype).reshape(-1, *column.tail) for part in parts]
    return np.concatenate([column.filled(0), *arrays])


def results_file(results: Results, *, number_names: bool = False) -> bytes:
    """Results as the bytes of a results file (HDF5); equal results give equal bytes.

    The file is made in memory, because HDF5 ends the whole program if the disk is full.

    Parameters
    ----------
    number_names
        Whether names of frames are replaced by their numbers if there are few, because HDF5 writes texts slowly. Only
        this program reads such a file, see `numbered`.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", libver="earliest") as file:
        write_attributes(file, results.header, results.complete)
        for name, column in COLUMNS.items():
            values = getattr(results, name)
            if values is None:
                continue
            known = numbered(values) if number_names and column.is_text else None
            if known is not None:
                names, values = known
                column = replace(column, path=column.path + NUMBERED, dtype=np.dtype(np.int32))
            dataset = create_dataset(file, column, len(values))
            if known is not None:
                dataset.attrs.create("names", as_texts(names), dtype=_TEXT)
            if len(values):
                dataset[...] = as_texts(values) if column.is_text else values
    return image.getvalue()


def numbered(names: NDArray[np.object_]) -> tuple[list[str], NDArray[np.int32]] | None:
    """The different names among those of consecutive frames, and the number of each frame's name among them.

    None if there are more than `MOST_NAMES` runs of equal names.
    """
    begins = np.flatnonzero(np.append(True, names[1:] != names[:-1])) if len(names) else np.zeros(0, np.int64)
    if not 0 < len(begins) <= MOST_NAMES:
        return None
    known: dict[str, int] = {}
    number = [known.setdefault(name, len(known)) for name in names[begins]]
    return list(known), np.repeat(np.array(number, dtype=np.int32), np.diff(begins, append=len(names)))


def write_attributes(file: h5py.File, header: ResultsHeader, complete: bool) -> None:
    """Write the attributes of the root."""
    attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, "complete": complete}
    for name, value in (attributes | asdict(header)).items():
        file.attrs[name] = value


def create_dataset(file: h5py.File, column: Column, n_rows: int) -> h5py.Dataset:
    """Create the empty dataset of a column."""
    dtype = _TEXT if column.is_text else column.dtype
    if column.names is not None:
        dtype = h5py.enum_dtype({each.name.lower(): each.value for each in column.names}, basetype=column.dtype)
    # A checksum turns a flipped byte into an error; HDF5 has no checksums for text of variable length.
    dataset = file.create_dataset(
        column.path,
        (n_rows, *column.tail),
        dtype=dtype,
        chunks=(chunk_rows(column, n_rows), *column.tail),
        maxshape=(None, *column.tail),
        fletcher32=not column.is_text,
    )
    if column.units:
        dataset.attrs["units"] = column.units
    return dataset


def write_texts(dataset: h5py.Dataset, begin: int, texts: NDArray[np.object_]) -> None:
    """Write the texts of a chunk of a dataset whose first row is `begin`.

    A row of such a dataset is a reference to a text elsewhere in the file. If there are few different texts in the
    chunk, each is stored once, and all rows with this text get the same reference; to store the text of every row, as
    HDF5 does, takes several times as long.
    """
    known = numbered(texts)
    if known is None:
        dataset[begin : begin + len(texts)] = as_texts(texts)
        return
    names, numbers = known
    dataset[begin : begin + len(names)] = as_texts(names)
    chunk = np.frombuffer(bytearray(dataset.id.read_direct_chunk((begin,))[1]), dtype=_REFERENCE)
    chunk[: len(texts)] = chunk[numbers]
    dataset.id.write_direct_chunk((begin,), chunk)


def chunk_rows(column: Column, n_rows: int) -> int:
    """The number of rows of a chunk; it depends only on the number of rows, so equal results give equal files."""
    size = _REFERENCE.itemsize if column.is_text else column.dtype.itemsize
    return max(1, min(n_rows, CHUNK_BYTES // (size * math.prod(column.tail))))


def as_texts(names: Sequence[str] | NDArray[Any]) -> NDArray[np.object_]:
    """Names as text that HDF5 accepts; names of files may contain bytes that are not text."""
    known = {name: _as_text(name) for name in set(names)}
    texts = np.empty(len(names), dtype=object)
    texts[:] = [known[name] for name in names]
    return texts


def _as_text(name: str) -> str:
    return name.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
