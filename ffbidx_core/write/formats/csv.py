"""Crystals as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...model.cell import PARAMETER_NAMES
from ...model.records.results import Results
from ...read.run_inputs import RunInputs

VECTORS = ("ax", "ay", "az", "bx", "by", "bz", "cx", "cy", "cz")


def crystal_records(results: Results, inputs: RunInputs) -> dict[str, list[Any]]:
    """The columns of a table with a row for each crystal, keyed by their names.

    Lengths are in angstrom, angles in degrees, rmsd in 1/angstrom.
    """
    frame, row = results.frame_of_crystal, results.crystals
    input_cell = results.input_cell[row].tolist()
    return {
        "source": results.source[frame].tolist(),
        "index": results.index[frame].tolist(),
        "id": results.id[frame].tolist(),
        "crystal": (np.arange(len(frame)) - results.crystal_offsets[frame]).tolist(),
        "lattice": [inputs.lattice_of(results.input_cells, number).code for number in input_cell],
        "input_cell": input_cell,
        "score": results.scores[row].tolist(),
        "log10_chance": results.log10_chance.tolist(),
        "log10_false": results.log10_false.tolist(),
        "n_spots": results.n_spots[frame].tolist(),
        "n_indexed": results.n_indexed.tolist(),
        "n_expected": results.n_expected.tolist(),
        "rmsd": results.rmsd.tolist(),
        **dict(zip(PARAMETER_NAMES, results.crystal_parameters.T.tolist(), strict=True)),
        **dict(zip(VECTORS, results.cells[row].reshape(-1, 9).T.tolist(), strict=True)),
        "resolution": results.resolution.tolist(),
    }


def csv_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield results as CSV (RFC 4180): a line with the names of the columns, then a line for each crystal."""
    return csv_of(crystal_records(results, inputs) for results in pieces)


def csv_of(tables: Iterable[dict[str, list[Any]]]) -> Iterator[bytes]:
    """Yield tables with the same columns as one CSV; floats have six significant digits."""
    for number, table in enumerate(tables):
        if number == 0:
            yield _lines([tuple(table)])
        yield _lines(zip(*(map(_text, values) for values in table.values()), strict=True))


def _text(value: Any) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _lines(rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
