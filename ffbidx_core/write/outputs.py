"""The outputs of a run, and the writer of each format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ..model.records.results import Results
from ..read.run_inputs import RunInputs
from .atomic import write_files
from .check import check_output
from .formats.csv import csv_pieces
from .formats.dials import expt_pieces, refl_pieces
from .formats.geom import geom_pieces
from .formats.names import RESULTS_FILE, TABLE, files_of
from .formats.parquet import parquet_pieces
from .formats.sol import sol_pieces
from .formats.stream import stream_pieces
from .formats.table import table_pieces
from .record import COMMENT, as_toml

Writer = Callable[[Iterable[Results], RunInputs], Iterator[bytes]]


WRITERS: dict[str, Writer] = {
    TABLE: lambda pieces, inputs: table_pieces(pieces),
    "csv": lambda pieces, inputs: csv_pieces(pieces),
    "parquet": parquet_pieces,
    "stream": stream_pieces,
    "sol": sol_pieces,
    "expt": expt_pieces,
    "refl": refl_pieces,
    "geom": geom_pieces,
}
"""The writer of each format, which takes results in pieces."""


@dataclass(frozen=True)
class Output:
    """An output of a run.

    Attributes
    ----------
    path
        Name of the file.
    format
        Name of the format, one of `FORMATS`.
    inputs
        The inputs of the run, from which the writers of some formats read the spots again.
    stream
        Function that takes the bytes instead of a file; None: a file is written.
    """

    path: str
    format: str = RESULTS_FILE
    inputs: RunInputs = field(default_factory=RunInputs)
    stream: Callable[[bytes], None] | None = None

    @property
    def files(self) -> list[str]:
        """Names of the files: the output itself, and the record of the run if the format has no place for it."""
        return [] if self.stream is not None else files_of(self.path, self.format)

    def check(self, overwrite: bool, inputs: Iterable[str], *, ways_on: str = "--overwrite") -> None:
        """Raise an error before the run if the output could not be written; see `check_output`."""
        inputs = list(inputs)
        for path in self.files:
            check_output(path, overwrite, inputs, ways_on=ways_on)

    def write(self, results: Iterable[Results], made: dict[str, Any], overwrite: bool) -> None:
        """Write an output that is not a results file.

        Parameters
        ----------
        made
            The record of the run, as returned by `record_of`.

        Raises
        ------
        OutputError
            If the output cannot be written; then nothing of it remains.
        """
        data = WRITERS[self.format](results, replace(self.inputs, made=made).beside(self.path))
        if self.stream is not None:
            for piece in data:
                self.stream(piece)
            return
        text = (COMMENT + as_toml(made)).encode()
        # The record gets its name first, so that no output is without one.
        write_files({path: data if path == self.path else text for path in reversed(self.files)}, overwrite)
