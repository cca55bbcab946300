"""Writing results to files of several formats, each written completely or not at all.

The names below are imported when they are asked for: a check of names needs neither HDF5 nor the writers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import names_from

if TYPE_CHECKING:
    from .atomic import write_file
    from .check import check_output, files_of_run
    from .formats.table import table
    from .outputs import Output
    from .parts import PartsStore
    from .results import ResultsWriter
    from .stores import MemoryStore, Store, TableStream

__getattr__ = names_from(
    __name__,
    MemoryStore="stores",
    Output="outputs",
    PartsStore="parts",
    ResultsWriter="results",
    Store="stores",
    TableStream="stores",
    check_output="check",
    files_of_run="check",
    table="formats.table",
    write_file="atomic",
)

__all__ = [
    "MemoryStore",
    "Output",
    "PartsStore",
    "ResultsWriter",
    "Store",
    "TableStream",
    "check_output",
    "files_of_run",
    "table",
    "write_file",
]
