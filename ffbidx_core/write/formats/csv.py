"""Crystals as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from ...model.records.results import Results
from ...read.indexed_frames import Setup

COLUMNS = (
    "source",
    "index",
    "id",
    "crystal",
    "lattice",
    "input_cell",
    "score",
    "log10_chance",
    "log10_false",
    "n_spots",
    "n_indexed",
    "n_expected",
    "rmsd",
    "a",
    "b",
    "c",
    "alpha",
    "beta",
    "gamma",
    "ax",
    "ay",
    "az",
    "bx",
    "by",
    "bz",
    "cx",
    "cy",
    "cz",
    "resolution",
)


def csv_pieces(pieces: Iterable[Results], setup: Setup) -> Iterator[bytes]:
    """Results as CSV (RFC 4180): a line with the names of the columns, then one for each crystal."""
    yield _lines([COLUMNS])
    for results in pieces:
        rows: list[tuple[object, ...]] = []
        for k, f in enumerate(results.frame_of_crystal.tolist()):
            row, input_cell = results.crystals[k], int(results.input_cell[results.crystals[k]])
            numbers = [
                results.rmsd[k],
                *results.crystal_parameters[k],
                *results.cells[row].ravel(),
                results.resolution[k],
            ]
            rows.append(
                (
                    results.source[f],
                    results.index[f],
                    results.id[f],
                    k - results.crystal_offsets[f],
                    setup.lattice(results, input_cell).code,
                    input_cell,
                    f"{results.scores[row]:.6g}",
                    f"{results.log10_chance[k]:.6g}",
                    f"{results.log10_false[k]:.6g}",
                    results.n_spots[f],
                    results.n_indexed[k],
                    f"{results.n_expected[k]:.6g}",
                    *(f"{number:.6g}" for number in numbers),
                )
            )
        yield _lines(rows)


def _lines(rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
