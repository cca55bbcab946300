"""The search for an unknown unit cell; see docs/unknown_cell.md.

`search.py` has the whole search in order: lattices of single frames are pooled (`pool.py`), those on which frames agree
are judged (`verdict.py`), compared with their parts and multiples (`multiples.py`), and given a symmetry (`bravais.py`,
`symmetry.py`); frames that they explain are removed, and the search starts again.
"""

from .found import CellSearch, FoundCell
from .frames import Frames
from .search import find_cells

__all__ = ["CellSearch", "FoundCell", "Frames", "find_cells"]
