"""The results of consecutive batches that are saved together."""

from __future__ import annotations

import numpy as np

from ..model.basis import as_given
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import Mark
from ..write import ResultsWriter
from .outcome import BatchFound


class Part:
    """The results of consecutive batches, gathered to be saved together.

    Parameters
    ----------
    header
        The record of how the results are made.
    checksums
        Whether the checksum of the last frame's spots is kept, by which a growing file is recognised.

    Attributes
    ----------
    mark : Mark
        The progress of the run with these batches.
    n_frames : int
        Number of frames.
    """

    def __init__(self, header: ResultsHeader, *, checksums: bool = False) -> None:
        self._writer, self._checksums = ResultsWriter(header), checksums
        self.mark, self.n_frames = Mark(), 0

    def add(self, found: BatchFound) -> None:
        """Add the results of the next batch."""
        if found.batch.n_frames:
            self._add(found)
        for problem in (*found.batch.problems, *found.notes):
            self.mark.note(problem)

    def _add(self, found: BatchFound) -> None:
        batch, cells = found.batch, found.cells
        rows = np.zeros(0, dtype=np.int32)
        if cells is not None:
            rows = self._writer.input_rows(cells.as_given)
            if cells.learned is not None:
                taught = np.flatnonzero(cells.learned.n_crystals)
                self._writer.learned(rows[taught], as_given(cells.learned.cells[taught]))
        self._writer.add(batch, found.result, found.status, rows)
        checksum = batch.last_checksum if self._checksums else 0
        self.mark.extend(
            Mark(batch.end, batch.n_left_out, len(rows), checksum=checksum, n_off_panels=batch.n_off_panels)
        )
        self.n_frames += batch.n_frames

    def use(self, header: ResultsHeader) -> None:
        """Use another header for all batches of the part."""
        self._writer.header = header

    def results(self) -> Results:
        """The gathered results."""
        return self._writer.results(False)
