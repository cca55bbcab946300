"""The core of ffbidx: from spots in reciprocal space to oriented cells.

See docs/architecture.md for the way of a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .read.results import read_results

__all__ = ["read_results"]


def __getattr__(name: str) -> Any:
    # Importing the package stays free of NumPy and HDF5.
    if name == "read_results":
        from .read.results import read_results

        return read_results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
