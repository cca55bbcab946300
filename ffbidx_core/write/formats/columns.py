"""The columns of every output with a row for each crystal: text table, CSV, Parquet and `ffbidx table`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...model.cell import PARAMETER_NAMES
from ...model.lattice import Lattice
from ...model.records.results import Results

VECTORS = ("ax", "ay", "az", "bx", "by", "bz", "cx", "cy", "cz")


@dataclass(frozen=True)
class CrystalColumn:
    """A column of a table of crystals.

    Attributes
    ----------
    name
        Name of the column, the same in every format.
    kind
        Type of the values: str, int or float. Text formats write floats with six significant digits.
    unit
        Unit of the values; empty if they have none.
    """

    name: str
    kind: type[str] | type[int] | type[float] = float
    unit: str = ""


COLUMNS = (
    CrystalColumn("source", str),
    CrystalColumn("index", int),
    CrystalColumn("crystal", int),
    CrystalColumn("score"),
    CrystalColumn("n_spots", int),
    CrystalColumn("n_indexed", int),
    CrystalColumn("rmsd", unit="1/angstrom"),
    *(
        CrystalColumn(name, unit=unit)
        for name, unit in zip(PARAMETER_NAMES, ["angstrom"] * 3 + ["degree"] * 3, strict=True)
    ),
    *(CrystalColumn(name, unit="angstrom") for name in VECTORS),
    CrystalColumn("input_cell", int),
    CrystalColumn("lattice", str),
    CrystalColumn("log10_chance"),
    CrystalColumn("log10_false"),
    CrystalColumn("n_expected"),
    CrystalColumn("resolution", unit="angstrom"),
    CrystalColumn("id", str),
)
"""The columns in their order. Scripts read the first 22 by position; `id`, which may be empty, is the last one, so that
fields separated by white space keep their positions."""


def crystal_records(results: Results) -> dict[str, list[Any]]:
    """The values of each of `COLUMNS`, with a row for each crystal, keyed by the names of the columns."""
    frame, row = results.frame_of_crystal, results.crystals
    input_cell = results.input_cell[row]
    codes = {number: _lattice(results, number).code for number in np.unique(input_cell).tolist()}
    values = {
        "source": results.source[frame],
        "index": results.index[frame],
        "crystal": np.arange(len(frame)) - results.crystal_offsets[frame],
        "score": results.scores[row],
        "n_spots": results.n_spots[frame],
        "n_indexed": results.n_indexed,
        "rmsd": results.rmsd,
        **dict(zip(PARAMETER_NAMES, results.crystal_parameters.T, strict=True)),
        **dict(zip(VECTORS, results.cells[row].reshape(-1, 9).T, strict=True)),
        "input_cell": input_cell,
        "lattice": np.array([codes[number] for number in input_cell.tolist()], object),
        "log10_chance": results.log10_chance,
        "log10_false": results.log10_false,
        "n_expected": results.n_expected,
        "resolution": results.resolution,
        "id": results.id[frame],
    }
    return {column.name: values[column.name].tolist() for column in COLUMNS}


def _lattice(results: Results, number: int) -> Lattice:
    """The lattice of an input cell of the run: the one that was given, or the one of the cell's own symmetry."""
    given = results.header.lattices.split()
    return Lattice.of_code(given[number]) if number < len(given) else Lattice.of_cell(results.input_cells[number])
