"""Input cells: written out, as numbers in a text file, or in the files of other programs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import ArrayError, CellError, InputError, UsageError
from ...model.cell import Array, cell_from_parameters, cell_parameters, check_cell
from ...model.lattice import CENTRINGS, InputCell, Lattice, check_axes
from ..files.content import read_head, read_text
from ..formats.stream import SIGNATURE, stream_cell
from ..formats.text import data_lines, numbers
from ..geometry.crystfel import LARGEST_GEOMETRY_FILE
from .files import FOREIGN_FORMATS

LARGEST_CELL_FILE = 16 * 2**20
"""Bytes of the largest file with a cell: coordinate files and experiment lists may be large."""

_WANTED = (
    "a cell has 9 numbers (vectors a, b, c in angstrom) or 6 (a b c in angstrom, alpha beta gamma in degrees), or is a "
    "CrystFEL .cell, PDB, mmCIF, XDS or DIALS .expt file"
)
_PLACEHOLDER = (1.0, 1.0, 1.0, 90.0, 90.0, 90.0)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_WRITTEN_OUT = re.compile(rf"\s*{_NUMBER}(?:(?:\s*,\s*|\s+){_NUMBER})+(?:(?:\s*,\s*|\s+)(?P<centring>[A-Za-z]))?\s*")
_NUMBERS_WANTED = {
    1: "b, c and the three angles",
    2: "c and the three angles",
    3: "the three angles alpha, beta, gamma in degrees",
    4: "beta and gamma",
    5: "gamma",
    7: "two more for three vectors",
    8: "one more for three vectors",
}
"""The numbers that are missing behind so many of a cell that is written out."""


def read_input_cell(text: str) -> InputCell:
    """The cell that a `--cell` names: a file, or numbers and perhaps a centring letter, commas or blanks between them.

    Raises
    ------
    InputError
        When the file holds no cell.
    UsageError
        When the numbers make no cell.
    """
    if _WRITTEN_OUT.fullmatch(text) is None or os.path.lexists(text):
        return read_cell_file(text)
    return cell_written_out(text)


def cell_written_out(text: str) -> InputCell:
    """The cell of 6 or 9 numbers and perhaps a centring letter; no file is looked for.

    Raises
    ------
    UsageError
        When they make no cell.
    """
    match = _WRITTEN_OUT.fullmatch(text)
    if match is None:
        raise UsageError(f"--cell {text}: expected a,b,c,alpha,beta,gamma, and a centring letter if it is not P")
    centring = (match["centring"] or "P").upper()
    if centring not in CENTRINGS:
        raise UsageError(f"--cell {text}: {centring} is not a centring; there are {', '.join(CENTRINGS)}")
    values = [float(word) for word in text.replace(",", " ").split() if not word.isalpha()]
    if missing := _NUMBERS_WANTED.get(len(values)):
        raise UsageError(f"--cell {text}: has {len(values)} numbers, a cell has 6 or 9: {missing} are missing")
    try:
        cell = _cell_of(values)
        _refuse_placeholder(cell)
        check_axes(cell, centring)
    except (CellError, ValueError) as error:
        raise UsageError(f"--cell {text}: {error}") from None
    return InputCell(cell, Lattice.of_cell(cell, centring))


def input_cell_of(values: Any, name: str) -> InputCell:
    """The cell that an array has, taken for primitive.

    Parameters
    ----------
    values : (3, 3) or (6,)
        Rows a, b, c in angstrom; or a, b, c in angstrom and alpha, beta, gamma in degrees.
    name
        What an error calls the array.

    Raises
    ------
    ArrayError
        For another shape or type.
    CellError
        When the numbers make no cell.
    """
    wanted = "rows a, b, c in angstrom, (3, 3); or a, b, c in angstrom, alpha, beta, gamma in degrees, (6,)"
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ArrayError(name, f"{values!r:.60}", wanted) from None
    if array.shape not in ((3, 3), (6,)):
        raise ArrayError(name, f"the shape {array.shape}", wanted)
    try:
        cell = check_cell(array) if array.shape == (3, 3) else cell_from_parameters(array.tolist())
    except CellError as error:
        raise CellError(f"{name}: {error}") from None
    return InputCell(cell, Lattice.of_cell(cell))


def check_lattices(cells: Sequence[InputCell]) -> None:
    """Refuse a cell that is given with several lattices: results distinguish input cells by their vectors.

    Raises
    ------
    UsageError
        Naming both lattices.
    """
    found: dict[bytes, InputCell] = {}
    for each in cells:
        known = found.setdefault(each.cell.tobytes(), each)
        if known.lattice != each.lattice:
            raise UsageError(f"--cell: the same cell is given as {known.lattice.code} and as {each.lattice.code}")


def centred_cell_of(paths: Iterable[str]) -> InputCell | None:
    """The centred cell that all of some streams have; None where they differ or have none.

    The own cells of inputs are taken for primitive: one with a centring serves when it can serve for all of them.
    """
    found: InputCell | None = None
    for path in dict.fromkeys(paths):
        head = read_head(path, 2 * LARGEST_GEOMETRY_FILE)
        cell = stream_cell(path, head.decode("utf-8", "replace")) if head.startswith(SIGNATURE.encode()) else None
        if cell is None or cell.lattice.centring in "PR":
            return None
        if found is not None and (found.lattice != cell.lattice or not np.array_equal(found.cell, cell.cell)):
            return None
        found = cell
    return found


def read_cell(text: str) -> Array:
    """The cell that `read_input_cell` reads, without its lattice: rows a, b, c in angstrom, (3, 3) float64."""
    return read_input_cell(text).cell


def read_cell_file(path: str) -> InputCell:
    """The cell of a file in any known format, recognised by its content.

    Raises
    ------
    InputError
        When the file holds anything else, or numbers that make no cell.
    """
    head = read_head(path, LARGEST_CELL_FILE)
    if head.startswith(SIGNATURE.encode()):
        cell = stream_cell(path, head.decode("utf-8", "replace"))
        if cell is None:
            raise InputError(path, "is a stream without a unit cell in its head")
        return cell
    text = read_text(path, LARGEST_CELL_FILE)
    if text is None:
        raise InputError(path, f"is an HDF5 file: {_WANTED}")
    try:
        for is_format, read in FOREIGN_FORMATS:
            if is_format(text):
                found = read(path, text)
                check_axes(found.cell, found.lattice.centring)
                _refuse_placeholder(found.cell)
                return found
        vectors = _cell_of_numbers(path, text)
        _refuse_placeholder(vectors)
    except CellError as error:
        raise InputError(path, f"{error}; {_WANTED}") from None
    return InputCell(vectors, Lattice.of_cell(vectors))


def _refuse_placeholder(cell: Array) -> None:
    """Refuse the cell that files of structures without a crystal have: predicted ones, or those of cryo-EM."""
    if np.allclose(cell_parameters(cell), _PLACEHOLDER, atol=1e-3):
        raise CellError("1 1 1 90 90 90 is the placeholder cell of a structure without a crystal")


def _cell_of_numbers(path: str, text: str) -> Array:
    values: list[float] = []
    for number, line in enumerate(data_lines(path, text), start=1):
        values += numbers(path, line.split(), number)
        if len(values) > 9:
            raise InputError(path, f"has more numbers than a cell: {_WANTED}", f"line {number}")
    if len(values) not in (6, 9):
        raise InputError(path, f"has {len(values) or 'no'} numbers: {_WANTED}")
    return _cell_of(values)


def _cell_of(values: list[float]) -> Array:
    if len(values) not in (6, 9):
        raise CellError(f"has {len(values)} numbers, a cell has 6 or 9")
    return cell_from_parameters(values) if len(values) == 6 else check_cell(np.reshape(values, (3, 3)))
