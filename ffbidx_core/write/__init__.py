"""Writing results to files of several formats, each written completely or not at all."""

from .atomic import write_file
from .check import check_output
from .formats.table import table
from .outputs import Output
from .parts import PartsStore
from .results import ResultsWriter
from .stores import MemoryStore, Store, TableStream

__all__ = [
    "MemoryStore",
    "Output",
    "PartsStore",
    "ResultsWriter",
    "Store",
    "TableStream",
    "check_output",
    "table",
    "write_file",
]
