"""Reading of spot files, whose format is recognised by their content, and of input cells.

The names below are imported when they are asked for: a check of names needs none of the readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import names_from

if TYPE_CHECKING:
    from .blocks import count_frames, read_blocks, read_frames
    from .cells.input_cell import read_cell
    from .events_named import with_events_found
    from .files.inputs import Source, expand_inputs

__getattr__ = names_from(
    __name__,
    Source="files.inputs",
    count_frames="blocks",
    expand_inputs="files.inputs",
    read_blocks="blocks",
    read_cell="cells.input_cell",
    read_frames="blocks",
    with_events_found="events_named",
)

__all__ = ["Source", "count_frames", "expand_inputs", "read_blocks", "read_cell", "read_frames", "with_events_found"]
