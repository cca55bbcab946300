"""The core of ffbidx, which computes oriented cells from spots in reciprocal space.

docs/architecture.md follows a frame from the command to the results file.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .read.results import read_results
    from .read.results_file import open_results
    from .run.door import index, index_iter
    from .run.request import RunRequest

_HOMES = {
    "RunRequest": "run.request",
    "index": "run.door",
    "index_iter": "run.door",
    "open_results": "read.results_file",
    "read_results": "read.results",
}
"""The module in which each public name of the package is defined."""

__all__ = ["RunRequest", "index", "index_iter", "open_results", "read_results"]


def __getattr__(name: str) -> Any:
    # Names are imported on first use, so that importing the package loads neither NumPy nor HDF5.
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
