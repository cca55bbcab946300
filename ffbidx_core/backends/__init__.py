"""Backends, which compute the search: one set of verbs, implemented once for each kind of processor.

`verbs` defines in formulas what every backend computes; `choice` selects a backend by its name.
"""

from .cells import BestCells, CheckedCells, Coverage, Limits, OrientedCells
from .choice import BACKENDS, get_backend
from .memory import Same, State
from .verbs import Backend

__all__ = [
    "BACKENDS",
    "Backend",
    "BestCells",
    "CheckedCells",
    "Coverage",
    "Limits",
    "OrientedCells",
    "Same",
    "State",
    "get_backend",
]
