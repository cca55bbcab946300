"""Where the search is computed: one set of verbs, and a backend for each kind of processor.

`verbs` says what a backend does, in formulas; `choice` gives the backend of a name.
"""

from .choice import BACKENDS, get_backend
from .verbs import Backend, OrientedCells

__all__ = ["BACKENDS", "Backend", "OrientedCells", "get_backend"]
