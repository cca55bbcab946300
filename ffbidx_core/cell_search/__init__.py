"""The unit cell of a run when nobody knows it: docs/unknown_cell.md.

`search.py` has the whole search in its order: lattices of single frames are pooled (`pool.py`), those on which frames
agree are judged (`verdict.py`), compared with their parts and multiples (`multiples.py`), and given a symmetry
(`bravais.py`, `symmetry.py`); frames that they explain are taken out, and the search begins again.
"""

from .found import CellSearch, FoundCell
from .frames import Frames
from .search import find_cells

__all__ = ["CellSearch", "FoundCell", "Frames", "find_cells"]
