"""Input cells, given as numbers in an option, as numbers in a text file, or in a file of another program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import ArrayError, CellError, InputError, Instead, RadianError, UsageError
from ...model.basis import CENTRINGS, as_given
from ...model.cell import Array, cell_from_parameters, cell_parameters, check_cell
from ...model.lattice import InputCell, Lattice, cell_option, check_axes
from ...nouns import counted
from ..files.content import read_head, read_text
from ..formats.stream import SIGNATURE, stream_cell
from ..formats.text import data_lines, numbers
from ..geometry.crystfel import LARGEST_GEOMETRY_FILE
from .files import FOREIGN_FORMATS

LARGEST_CELL_FILE = 16 * 2**20
"""Size limit of a file with a cell, bytes; coordinate files and experiment lists may be large."""

_WANTED = (
    "a cell has 9 numbers (vectors a, b, c in angstrom) or 6 (a b c in angstrom, alpha beta gamma in degrees), and a "
    "centring letter if it is not P, or is a CrystFEL .cell, PDB, mmCIF, XDS or DIALS .expt file"
)
_PLACEHOLDER = (1.0, 1.0, 1.0, 90.0, 90.0, 90.0)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_WRITTEN_OUT = re.compile(rf"\s*{_NUMBER}(?:(?:\s*,\s*|\s+){_NUMBER})*(?:(?:\s*,\s*|\s+)(?P<centring>[A-Za-z]))?\s*")
_NUMBERS_WANTED = {
    2: "c and the three angles",
    3: "the three angles alpha, beta, gamma in degrees",
    4: "beta and gamma",
    5: "gamma",
    7: "two more for three vectors",
    8: "one more for three vectors",
}
"""The missing numbers of a cell, in words, by the number of numbers that are given."""


def read_input_cell(text: str, option: str = "--cell") -> InputCell:
    """The cell that the value of an option describes.

    Parameters
    ----------
    text
        Path of a file, or 6 or 9 numbers and an optional centring letter, separated by commas or blanks.
    option
        The option, which error messages name.

    Raises
    ------
    InputError
        If the file contains no cell.
    UsageError
        If no cell has these numbers.
    """
    if _WRITTEN_OUT.fullmatch(text) is None or os.path.lexists(text):
        try:
            return read_cell_file(text)
        except InputError as error:
            if os.path.lexists(text):
                raise
            # A name that is no file may have been meant as numbers.
            raise InputError(text, f"{error.problem}; {_WANTED}") from None
    return cell_written_out(text, option)


def cell_written_out(text: str, option: str = "--cell") -> InputCell:
    """The cell that 6 or 9 numbers and an optional centring letter describe; the text is not taken for a file name.

    Error messages name the option whose value the text is.

    Raises
    ------
    UsageError
        If no cell has these numbers, or the text has another form.
    """
    match = _WRITTEN_OUT.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text}: expected a,b,c,alpha,beta,gamma, and a centring letter if it is not P")
    centring = (match["centring"] or "P").upper()
    if centring not in CENTRINGS:
        raise UsageError(f"{option} {text}: {centring} is not a centring; there are {', '.join(CENTRINGS)}")
    values = [float(word) for word in text.replace(",", " ").split() if not word.isalpha()]
    if len(values) == 1:
        wanted = f'a cell has 6 or 9 in one pair of quotes: {option} "a b c alpha beta gamma"'
        raise UsageError(f"{option} {text}: has one number, {wanted}")
    if missing := _NUMBERS_WANTED.get(len(values)):
        raise UsageError(f"{option} {text}: has {len(values)} numbers, a cell has 6 or 9: missing are {missing}")
    try:
        cell = _cell_of(values)
        _refuse_placeholder(cell)
        check_axes(cell, centring)
    except (CellError, ValueError) as error:
        problem = UsageError(f"{option} {text}: {error}")
        if isinstance(error, RadianError):
            problem.instead = Instead(option, _typed(error, centring), typed=text)
        raise problem from None
    return InputCell(as_given(cell), Lattice.of_cell(cell, centring))


def input_cell_of(values: Any, name: str) -> InputCell:
    """The cell that an array describes, which is taken to be primitive.

    Parameters
    ----------
    values : (3, 3) or (6,)
        Rows a, b, c in angstrom; or a, b, c in angstrom and alpha, beta, gamma in degrees.
    name
        Name of the array in error messages.

    Raises
    ------
    ArrayError
        If the array has another shape or type.
    CellError
        If no cell has these numbers.
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
    return InputCell(as_given(cell), Lattice.of_cell(cell))


def check_lattices(cells: Sequence[InputCell]) -> None:
    """Check that no cell is given with several lattices, since results distinguish input cells only by their vectors.

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
    """The centred cell that all of the input files, if they are streams, have in common; else None.

    Cells that inputs provide are taken to be primitive. A cell with a centring can be used only if it holds for all
    inputs.
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
    """The cell (3, 3) float64 that `read_input_cell` reads, rows a, b, c in angstrom, without its lattice."""
    return read_input_cell(text).cell


def read_cell_file(path: str) -> InputCell:
    """The cell in a file of any known format, which is recognised by the content.

    Raises
    ------
    InputError
        If the format is not known, or no cell has the numbers in the file.
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
    centring = "P"
    try:
        for is_format, read in FOREIGN_FORMATS:
            if is_format(text):
                found = read(path, text)
                check_axes(found.cell, found.lattice.centring)
                _refuse_placeholder(found.cell)
                return found
        values, centring = _numbers_and_centring(path, text)
        vectors = _cell_of(values)
        _refuse_placeholder(vectors)
        check_axes(vectors, centring)
    except RadianError as error:
        problem = InputError(path, str(error))
        if not any(is_format(text) for is_format, _ in FOREIGN_FORMATS):
            problem.instead = Instead("--cell", _typed(error, centring), typed=path)
        raise problem from None
    except CellError as error:
        raise InputError(path, f"{error}; {_WANTED}") from None
    return InputCell(as_given(vectors), Lattice.of_cell(vectors, centring))


def _typed(error: RadianError, centring: str) -> str:
    """The cell with its angles in degrees, as the value of an option."""
    return cell_option(np.array(error.parameters), centring)


def _refuse_placeholder(cell: Array) -> None:
    """Reject the placeholder cell in coordinate files of structures without a crystal, predicted or from cryo-EM."""
    if np.allclose(cell_parameters(cell), _PLACEHOLDER, atol=1e-3):
        raise CellError("1 1 1 90 90 90 is the placeholder cell of a structure without a crystal")


def _numbers_and_centring(path: str, text: str) -> tuple[list[float], str]:
    """The 6 or 9 numbers of a cell in a text file, and the centring letter that may follow them."""
    values: list[float] = []
    centring = "P"
    for number, line in enumerate(data_lines(path, text), start=1):
        words = line.split()
        if len(values) + len(words) in (7, 10) and words[-1].upper() in CENTRINGS:
            centring = words.pop().upper()
        values += numbers(path, words, number, _WANTED)
        if len(values) > 9:
            raise InputError(path, f"has more numbers than a cell: {_WANTED}", f"line {number}")
    if len(values) not in (6, 9):
        raise InputError(path, f"has {counted(len(values), 'number') if values else 'no numbers'}: {_WANTED}")
    return values, centring


def _cell_of(values: list[float]) -> Array:
    """The cell that 6 or 9 numbers describe."""
    if len(values) not in (6, 9):
        raise CellError(f"has {counted(len(values), 'number')}, a cell has 6 or 9")
    return cell_from_parameters(values) if len(values) == 6 else check_cell(np.reshape(values, (3, 3)))
