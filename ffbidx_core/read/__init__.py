"""Reading of spot files, whose format is recognised by their content, and of input cells.

The names below are imported when they are asked for: a check of names needs none of the readers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocks import count_frames, read_blocks, read_frames
    from .cells.input_cell import read_cell
    from .events_named import with_events_found
    from .files.inputs import Source, expand_inputs

_HOMES = {
    "Source": "files.inputs",
    "count_frames": "blocks",
    "expand_inputs": "files.inputs",
    "read_blocks": "blocks",
    "read_cell": "cells.input_cell",
    "read_frames": "blocks",
    "with_events_found": "events_named",
}
"""The module of each name that the package offers."""

__all__ = ["Source", "count_frames", "expand_inputs", "read_blocks", "read_cell", "read_frames", "with_events_found"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
