"""The formats of outputs: by which name and suffix each is asked for, and what writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from ..errors import UsageError
from ..model.results import Results
from .csv import csv_pieces
from .dials import expt_pieces, refl_pieces
from .frames import Setup
from .sol import sol_pieces
from .stream import stream_pieces
from .table import table

RESULTS_FILE, TABLE = "hdf5", "table"

Writer = Callable[[Iterable[Results], Setup], Iterator[bytes]]


def _table(pieces: Iterable[Results], setup: Setup) -> Iterator[bytes]:
    for number, results in enumerate(pieces):
        text = table(results)
        yield text if number == 0 else text[text.index(b"\n") + 1 :]


WRITERS: dict[str, Writer] = {
    TABLE: _table, "csv": csv_pieces, "stream": stream_pieces, "sol": sol_pieces, "expt": expt_pieces,
    "refl": refl_pieces,
}
"""What makes an output of results that come in pieces."""
SUFFIXES = {
    ".h5": RESULTS_FILE, ".hdf5": RESULTS_FILE, ".txt": TABLE, ".tsv": TABLE, ".csv": "csv", ".stream": "stream",
    ".sol": "sol", ".expt": "expt", ".refl": "refl",
}
FORMATS = (RESULTS_FILE, *WRITERS)
WITH_PIXELS = ("stream", "expt", "refl")
"""Formats that need to know where on the detector the spots are."""


def format_of(path: str, given: str | None = None) -> str:
    """The format of an output: the one that is given, else what its suffix says.

    Raises
    ------
    UsageError
        When the suffix says nothing.
    """
    if given is not None:
        return given
    found = SUFFIXES.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise UsageError(
            f"--output {path}: the suffix does not say what to write: {', '.join(SUFFIXES)}, or give --format"
        )
    return found
