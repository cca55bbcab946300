"""Results to files: one file per format, each written whole or not at all."""

from .atomic import check_output, write_file
from .results import ResultsWriter
from .table import table

__all__ = ["ResultsWriter", "check_output", "table", "write_file"]
