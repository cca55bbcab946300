"""Reading of numbers in text files, and of PSI's simple format with one frame and its cell in the first line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...errors import CellError, InputError
from ...model.basis import ConventionalCells, as_given
from ...model.cell import Array, check_cell
from ...model.detector.panels import Geometry
from ...nouns import counted
from ..files.faults import Faults
from ..frames import RawFrames
from ..geometry.report import OF_CRYSTFEL

CELL_NUMBERS = 9
MOST_FAULTS = 1000
"""Largest number of wrong lines in a file that are reported."""

_SPOTS_WANTED = "a spot file has a line x y z (1/angstrom) for each spot"

_TRANSPOSED = (
    "its nine numbers look like a, b, c in columns, as DIALS writes them; they are taken in rows, as PSI's format has "
    "them. If the cell in the summary is not yours, give it with --cell a,b,c,alpha,beta,gamma"
)

_NO_CELL = "is it the cell? It is left out: nine numbers are a cell; give six with --cell a,b,c,alpha,beta,gamma"
_LOOKED_AT = 1000

_TABLE_HEADS = ("# source\tindex\t", "source,index,")
"""Beginnings of the text table and of the CSV table of a run."""

_DECIMAL_COMMAS = re.compile(r"[-+]?\d+,\d+([ \t]+[-+]?\d+,\d+){2}")


def refuse_table(path: str, text: str) -> None:
    """Reject a table of crystals or frames that this program wrote.

    Raises
    ------
    InputError
        If the text is such a table.
    """
    if text.startswith(_TABLE_HEADS):
        raise InputError(path, "is a table made of the results of a run: name these results, which -o FILE.h5 writes")


def data_lines(path: str, text: str) -> list[str]:
    """The lines of a text without comments and with blanks in place of commas; a line with only a comment is blank.

    Raises
    ------
    InputError
        If numbers have decimal commas.
    """
    lines = text.splitlines()
    if "," in text:
        for number, line in enumerate(lines, start=1):
            if _DECIMAL_COMMAS.match(line.strip()):
                raise InputError(path, "decimal commas: write 0.5, not 0,5", f"line {number}")
        lines = [line.replace(",", " ") for line in lines]
    if "#" in text:
        lines = [line.partition("#")[0] for line in lines]
    return lines


def numbers(path: str, words: list[str], line: int, wanted: str = _SPOTS_WANTED) -> list[float]:
    """The numbers that the words of a line represent; nan, inf and numbers that overflow are allowed.

    Parameters
    ----------
    path, line
        The file and the number of the line, for the message.
    words
        The words of the line.
    wanted
        The content that the file should have, for the message.

    Raises
    ------
    InputError
        If a word is not a number; the message names the line.
    """
    values = []
    for word in words:
        try:
            # float() would accept 1_000 as a thousand.
            values.append(float(word if "_" not in word else ""))
        except ValueError:
            raise InputError(path, f"{word[:40]!r} is not a number: {wanted}", f"line {line}") from None
    return values


def parse_spots(path: str, text: str) -> tuple[Array, Array | None, list[str]]:
    """Read the spots and the cell in PSI's simple text format.

    The first line with data is the cell if it has 9 words. Every other line is a spot, whose columns after the third
    are ignored. A first line of 4 to 8 numbers before lines of 3 is not taken for a spot; a note asks whether it is the
    cell.

    Returns
    -------
    spots : (n, 3) float64
        Spots in reciprocal space, 1/angstrom; they may be nan or inf.
    cell : (3, 3) float64 or None
        Rows a, b, c, angstrom; None if the file has no cell.
    notes : list of str
        Notes on doubtful lines.

    Raises
    ------
    InputError
        If a line is neither a spot nor a cell; the message names it.
    """
    lines = data_lines(path, text)
    first = next((i for i, line in enumerate(lines) if line and not line.isspace()), None)
    if first is None:
        raise InputError(path, f"is empty: {_SPOTS_WANTED}")
    cell, notes = None, list[str]()
    if len(words := lines[first].split()) == CELL_NUMBERS:
        try:
            cell = check_cell(np.array(numbers(path, words, first + 1)).reshape(3, 3))
        except CellError as error:
            raise InputError(path, f"nine numbers are taken for a cell, but {error}", f"line {first + 1}") from None
        first += 1
        if looks_transposed(cell):
            notes.append(f"{path}, cell: {_TRANSPOSED}")
    elif 3 < len(words) < CELL_NUMBERS and _have_three(lines[first + 1 :]):
        numbers(path, words, first + 1)
        notes.append(f"{path}, line {first + 1}: has {counted(len(words), 'number')}, all others 3: {_NO_CELL}")
        first += 1
    return _spots(path, lines, first), cell, notes


def _have_three(lines: list[str]) -> bool:
    """Whether there are lines with data and all of them have three words."""
    counts = {len(line.split()) for line in itertools.islice(lines, _LOOKED_AT)} - {0}
    return counts == {3}


def looks_transposed(cell: Array) -> bool:
    """Whether a cell (rows a, b, c) looks like the transpose of one with a along x and b in the x-y plane."""
    noise = 1e-6 * np.abs(cell).max()
    return bool((np.abs(np.tril(cell, -1)) < noise).all() and (np.abs(np.triu(cell, 1)) > noise).any())


def _spots(path: str, lines: list[str], first: int) -> Array:
    """The spots (n, 3) in the lines from a given one on."""
    rest = [line for line in lines[first:] if line and not line.isspace()]
    if not rest:
        return np.zeros((0, 3))
    try:
        return np.loadtxt(rest, comments=None, usecols=(0, 1, 2), ndmin=2)
    except ValueError:
        return _spots_by_line(path, lines, first)


def _spots_by_line(path: str, lines: list[str], first: int) -> Array:
    """The same spots as `_spots`, read line by line in order to name a wrong line."""
    spots, faults = [], Faults()
    for number, line in enumerate(lines[first:], start=first + 1):
        words = line.split()
        with faults.collected():
            spot = numbers(path, words[:3], number)
            if 0 < len(spot) < 3:
                raise InputError(
                    path,
                    f"a spot has three numbers x y z, here are {len(spot)}: text has spots in 1/angstrom, not in "
                    "pixels",
                    f"line {number}",
                )
            if spot:
                spots.append(spot)
        if len(faults.found) == MOST_FAULTS:
            break
    if not spots and len(faults.found) > 1:
        _refuse_other_text(path, lines, faults.found[0])
    faults.raise_all()
    return np.array(spots)


def _refuse_other_text(path: str, lines: list[str], first: InputError) -> None:
    """Reject a text of which no line is a spot; `first` is the fault of its first line."""
    if OF_CRYSTFEL.search("\n".join(lines)):
        raise InputError(path, "is a CrystFEL geometry: name the files with the peaks, and give the geometry with -g")
    raise InputError(path, f"is no spot file, since no line is a spot; {first.place}: {first.problem}")


class TextFile:
    """A text file with the spots of one frame."""

    format = "text spots"
    n_frames = 1
    units_assumed = False
    geometry: Geometry | None = None
    half_pixel_shift: bool | None = None
    cells: ConventionalCells | None = None

    def __init__(self, path: str, text: str) -> None:
        self.path, self._text = path, text

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the only frame, if `frames` contains it."""
        if len(frames):
            spots, cell, notes = parse_spots(self.path, self._text)
            cells = None if cell is None else as_given(cell[None])
            raw = RawFrames(self.path, frames, [""], spots, np.array([0, len(spots)]), cells)
            raw.problems += notes
            yield raw

    def close(self) -> None:
        """Do nothing, since no file is open."""
