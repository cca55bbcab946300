"""Writing results to files of several formats, each written completely or not at all.

The names below are imported when they are asked for: a check of names needs neither HDF5 nor the writers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .atomic import write_file
    from .check import check_output
    from .formats.table import table
    from .outputs import Output
    from .parts import PartsStore
    from .results import ResultsWriter
    from .stores import MemoryStore, Store, TableStream

_HOMES = {
    "MemoryStore": "stores",
    "Output": "outputs",
    "PartsStore": "parts",
    "ResultsWriter": "results",
    "Store": "stores",
    "TableStream": "stores",
    "check_output": "check",
    "table": "formats.table",
    "write_file": "atomic",
}
"""The module of each name that the package offers."""

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
