"""The results file of a run, gathered block by block."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array, cell_parameters
from ..model.frame import BatchResult, FrameBlock, FrameStatus
from ..model.results import COLUMNS, FORMAT, FORMAT_VERSION, Column, Results, ResultsHeader

_TEXT = h5py.string_dtype("utf-8")
_STATUS = h5py.enum_dtype({status.name.lower(): status.value for status in FrameStatus}, basetype=np.uint8)


class ResultsWriter:
    """Gathers the results of blocks, in the order of the input, for one results file or table.

    Parameters
    ----------
    header
        How the results are made.
    """

    def __init__(self, header: ResultsHeader) -> None:
        self.header = header
        self._input_cells: dict[bytes, int] = {}
        self._learned: dict[int, Array] = {}
        self._parts: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._n_cells = self._n_crystals = 0
        self._parts["cell_offsets"].append([0])
        self._parts["crystal_offsets"].append([0])

    def input_rows(self, cells: Array) -> NDArray[np.int32]:
        """Rows of `/input_cells` for cells (M, 3, 3); those not seen before are added, (M,)."""
        rows = []
        for cell in np.asarray(cells, dtype=np.float64):
            # Adding 0 makes -0 a 0.
            key = (cell + 0.0).tobytes()
            if key not in self._input_cells:
                self._input_cells[key] = len(self._input_cells)
                self._parts["input_cells"].append(cell[None])
            rows.append(self._input_cells[key])
        return np.array(rows, dtype=np.int32)

    def learned(self, rows: NDArray[np.int32], cells: Array) -> None:
        """Keep the learned cells (M, 3, 3) that stand for rows (M,) of `/input_cells`."""
        self._learned.update(zip(rows.tolist(), np.asarray(cells, dtype=np.float64), strict=True))

    def add(
        self, block: FrameBlock, result: BatchResult, status: NDArray[np.uint8], input_cell_rows: NDArray[np.int32]
    ) -> None:
        """Append a block.

        Parameters
        ----------
        result
            Of all frames of the block; those that were not indexed have no cells.
        status : (F,)
            As `FrameStatus`.
        input_cell_rows : (M,)
            Row of `/input_cells` for each input cell of the block, as `input_rows` gave it.
        """
        if not block.n_frames == result.n_frames == len(status):
            raise ValueError(f"{block.n_frames} frames have {result.n_frames} results and {len(status)} statuses")
        columns = {
            "source": block.sources, "index": block.indices, "id": block.ids,
            "n_spots": block.n_spots, "n_sampled": result.n_sampled, "status": status,
            "cell_offsets": result.cell_offsets[1:] + self._n_cells,
            "cells": result.cells, "scores": result.scores,
            "input_cell": np.asarray(input_cell_rows, dtype=np.int32)[result.input_cell],
            "crystal_offsets": result.crystal_offsets[1:] + self._n_crystals,
            "crystals": result.crystals + self._n_cells,
            "n_indexed": result.n_indexed, "rmsd": result.rmsd, "log10_chance": result.log10_chance,
            "crystal_parameters": cell_parameters(result.cells[result.crystals]),
        }
        for name, values in columns.items():
            self._parts[name].append(values)
        self._n_cells += len(result.cells)
        self._n_crystals += len(result.crystals)

    def results(self, complete: bool) -> Results:
        """All that was gathered.

        Parameters
        ----------
        complete
            False when the run was stopped before its end.
        """
        arrays = {name: _joined(self._parts[name], column) for name, column in COLUMNS.items() if not column.optional}
        learned = None
        if self._learned:
            learned = arrays["input_cells"].copy()
            learned[list(self._learned)] = list(self._learned.values())
        return Results(self.header, complete, **arrays, learned_cells=learned)

    def to_bytes(self, complete: bool) -> bytes:
        """The results file of all that was gathered."""
        return results_file(self.results(complete))


def _joined(parts: list[Any], column: Column) -> NDArray[Any]:
    kind = {"text": object, "status": np.uint8}.get(column.kind, column.kind)
    arrays = [np.asarray(part, dtype=kind).reshape(-1, *column.tail) for part in parts]
    return np.concatenate([np.zeros((0, *column.tail), dtype=kind), *arrays])


def results_file(results: Results) -> bytes:
    """Results as the bytes of a results file (HDF5); equal results give equal bytes.

    The file is made in memory: HDF5 that meets a full disk ends the whole program.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", libver="earliest") as file:
        attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, "complete": results.complete}
        for name, value in (attributes | asdict(results.header)).items():
            file.attrs[name] = value
        for name, column in COLUMNS.items():
            values = getattr(results, name)
            if values is not None:
                _write_dataset(file, column, values)
    return image.getvalue()


def _write_dataset(file: h5py.File, column: Column, values: NDArray[Any]) -> None:
    kind = {"text": _TEXT, "status": _STATUS}.get(column.kind, column.kind)
    if column.kind == "text":
        # Names of files need not be text.
        values = np.array([_as_text(value) for value in values], dtype=object)
    # A checksum makes a flipped byte an error instead of a wrong number. HDF5 has none for text of variable length.
    dataset = file.create_dataset(column.path, data=values, dtype=kind, fletcher32=column.kind != "text")
    if column.units:
        dataset.attrs["units"] = column.units


def _as_text(name: str) -> str:
    return name.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
