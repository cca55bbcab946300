"""Input cells from text files."""

from __future__ import annotations

import numpy as np

from ..errors import CellError, InputError
from ..model.cell import Array, cell_from_parameters, check_cell
from .content import read_text
from .text import data_lines, numbers

LARGEST_CELL_FILE = 2**20

_WANTED = "a cell has 9 numbers (vectors a, b, c in angstrom) or 6 (a b c in angstrom, alpha beta gamma in degrees)"


def read_cell(path: str) -> Array:
    """The cell of a text file with 9 or 6 numbers, on as many lines as one likes.

    Returns
    -------
    (3, 3) float64
        Rows a, b, c in angstrom.

    Raises
    ------
    InputError
        When the file holds anything else, or numbers that make no cell.
    """
    text = read_text(path, LARGEST_CELL_FILE)
    if text is None:
        raise InputError(path, f"is an HDF5 file: {_WANTED}, as text")
    values: list[float] = []
    for number, line in enumerate(data_lines(path, text), start=1):
        values += numbers(path, line.split(), number)
        if len(values) > 9:
            raise InputError(path, f"has more numbers than a cell: {_WANTED}", f"line {number}")
    if len(values) not in (6, 9):
        raise InputError(path, f"has {len(values) or 'no'} numbers: {_WANTED}")
    try:
        return cell_from_parameters(values) if len(values) == 6 else check_cell(np.reshape(values, (3, 3)))
    except CellError as error:
        raise InputError(path, f"{error}; {_WANTED}") from None
