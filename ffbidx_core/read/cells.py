"""Input cells from text files."""

from __future__ import annotations

from ..model.cell import Array


def read_cell(path: str) -> Array:
    """The cell of a file with 9 or 6 numbers, (3, 3) float64, rows a, b, c in angstrom."""
    raise NotImplementedError
