"""A run learns from its first frames: its cells, the scatter of its residuals, and where the beam is."""

from .cells import learn_cells
from .lesson import Lesson, learn, learned_plan

__all__ = ["Lesson", "learn", "learn_cells", "learned_plan"]
