"""The core of ffbidx, which computes oriented cells from spots in reciprocal space.

docs/architecture.md follows a frame from the command to the results file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import names_from

if TYPE_CHECKING:
    from .read.results import read_results
    from .read.results_file import open_results
    from .run.door import index, index_iter
    from .run.request import RunRequest

__getattr__ = names_from(
    __name__,
    RunRequest="run.request",
    index="run.door",
    index_iter="run.door",
    open_results="read.results_file",
    read_results="read.results",
)

__all__ = ["RunRequest", "index", "index_iter", "open_results", "read_results"]
