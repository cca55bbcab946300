"""Reading of spot files, whose format is recognised by their content, and of input cells."""

from .blocks import count_frames, read_blocks, read_frames
from .cells.input_cell import read_cell
from .events_named import with_events_found
from .files.inputs import Source, expand_inputs

__all__ = ["Source", "count_frames", "expand_inputs", "read_blocks", "read_cell", "read_frames", "with_events_found"]
