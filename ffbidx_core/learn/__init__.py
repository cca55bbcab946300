"""Learning from the first frames of a run: its cells, the scatter of residuals, and the position of the beam."""

from .cells import are_few, learn_cells
from .few import learn_from_few
from .lesson import Lesson, learn, learned_plan

__all__ = ["Lesson", "are_few", "learn", "learn_cells", "learn_from_few", "learned_plan"]
