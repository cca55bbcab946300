"""Results to files: one file per format, each written whole or not at all."""

from .atomic import check_output, write_file
from .outputs import Output
from .parts import PartsStore
from .results import ResultsWriter
from .stores import MemoryStore, Store, TableStream
from .table import table

__all__ = [
    "MemoryStore", "Output", "PartsStore", "ResultsWriter", "Store", "TableStream", "check_output", "table",
    "write_file",
]
