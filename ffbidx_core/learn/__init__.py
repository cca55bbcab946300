"""Learning from the first frames of a run: its cells, the scatter of residuals, and the position of the beam."""

from .cells import learn_cells
from .lesson import Lesson, learn, learned_plan

__all__ = ["Lesson", "learn", "learn_cells", "learned_plan"]
