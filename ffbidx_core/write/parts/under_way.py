"""The results of a run so far, joined from its saved parts while it goes on, or after it was stopped or died."""

from __future__ import annotations

import os
from typing import Any

from ...model.records.run import RunRecord
from ...read.results import read_header
from ..ending import Ending
from ..formats.names import LEDGER, PARTS_SUFFIX
from ..join import write_joined
from ..ledger import Ledger, NotedInputs
from .folder import PART, progress_of


def join_so_far(results: str, to: str) -> int:
    """Join the saved parts of a run to a results file whose `complete` is false; the run is not disturbed.

    Parameters
    ----------
    results
        Name of the results file that the run will make.
    to
        Name of the results file to write.

    Returns
    -------
    int
        Number of frames; 0 if the run has saved none, and then nothing is written.

    Raises
    ------
    InputError
        If the ledger of the run or a saved part cannot be read.
    OutputError
        If the joined file cannot be written.
    """
    folder = results + PARTS_SUFFIX
    # The ledger names a part only after the part is whole, and an incomplete last line is left out.
    lines = Ledger.open(os.path.join(folder, LEDGER)).lines
    parts = [os.path.join(folder, line[PART]) for line in lines if PART in line]
    if not parts:
        return 0
    write_joined(to, parts, _ending(lines, parts[-1]), overwrite=True)
    return read_header(to)[2]


def _ending(lines: list[dict[str, Any]], last: str) -> Ending:
    """The contents of the joined file other than the results, from the lines of the ledger and the last part."""
    record = RunRecord(lines[0]["settings"], tuple(NotedInputs.of_lines(lines[1:]).inputs))
    return Ending(read_header(last)[0], False, record, *progress_of(lines))
