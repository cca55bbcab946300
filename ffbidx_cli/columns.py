"""Tables in the terminal; long ones lose no digit on a narrow one: names are shortened first, then rows are folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

from ffbidx_core.model.cell import PARAMETER_NAMES

GAP = 2
"""Number of blanks between two columns."""
SHORT_NAME = 12
"""Number of characters to which a name is shortened before rows are folded."""
INDENT = 4
"""Number of blanks before the second line of a folded row."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title
        The title of the column, one line.
    values
        The text of each row.
    is_name
        Whether the values are names, which are left-aligned and may be shortened; numbers are right-aligned.
    is_text
        Whether the values are words, which are left-aligned and are never shortened.
    begins
        Whether a folded row begins a new line at this column.
    """

    title: str
    values: Sequence[str]
    is_name: bool = False
    is_text: bool = False
    begins: bool = False

    @property
    def width(self) -> int:
        """Number of characters that the longest value, or the title, takes."""
        return max(map(cell_len, (self.title, *self.values)))

    def line(self, text: str, width: int) -> str:
        """A value of the column, shortened or padded to `width` characters."""
        if self.is_name or self.is_text:
            return set_cell_size(shortened(text, width), width)
        return " " * (width - cell_len(text)) + text


def shortened(name: str, width: int) -> str:
    """A name in at most `width` characters: an ellipsis, and the end of the name, which identifies the frame."""
    if cell_len(name) <= width:
        return name
    kept = name
    while kept and cell_len(kept) > width - 1:
        kept = kept[1:]
    return f"…{kept}"


def print_columns(console: Console, columns: Sequence[Column]) -> None:
    """Print a table; if the output is not a terminal, each row is one line, however long."""
    rows = table_lines(columns, console.width if console.is_terminal else None)
    for text, is_title in rows:
        console.print(text, style="bold" if is_title else None, no_wrap=True, overflow="ignore", crop=False)


def print_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print facts, each with its name before it; a name may be empty if a fact continues the one above it."""
    table = Table.grid(padding=(0, GAP))
    for name, value in facts:
        table.add_row(name, value)
    console.print(table)


def cell_table(number: int) -> Table:
    """An empty table of the parameters of an input cell, whose first column has no title."""
    table = Table(box=None, title=f"Input cell {number}", title_justify="left", pad_edge=False)
    table.add_column("")
    for name in PARAMETER_NAMES:
        table.add_column(name, justify="right")
    return table


def table_lines(columns: Sequence[Column], width: int | None) -> Iterator[tuple[str, bool]]:
    """The lines of a table, each with a flag that is true for a line of titles.

    Parameters
    ----------
    width
        Largest number of characters of a line. If the columns need more, names are shortened, to `SHORT_NAME`
        characters at least; if that does not suffice, each row is folded to several lines. None: no limit.
    """
    lines = _folded(columns, width)
    titles = [[column.title for column in columns]] if any(column.title for column in columns) else []
    rows = zip(*(column.values for column in columns), strict=True)
    for number, row in enumerate((*titles, *rows)):
        texts = dict(zip(map(id, columns), row, strict=True))
        for indent, line in lines:
            parts = (column.line(texts[id(column)], room) for column, room in line)
            yield (" " * indent + (" " * GAP).join(parts)).rstrip(), number < len(titles)


Line = tuple[int, list[tuple[Column, int]]]
"""The indent of a line in characters, and its columns with their widths."""


def _folded(columns: Sequence[Column], width: int | None) -> list[Line]:
    """The lines of each row; columns marked `begins` start a new line, unless that makes more lines."""
    least = [min(column.width, SHORT_NAME) if column.is_name else column.width for column in columns]
    if width is None or sum(least) + GAP * (len(columns) - 1) <= width:
        lines: list[Line] = [(0, list(zip(columns, least, strict=True)))]
    else:
        filled = [_filled(columns, least, width, breaks=breaks) for breaks in (True, False)]
        lines = min(filled, key=len)
    return [(indent, _widened(line, None if width is None else width - indent)) for indent, line in lines]


def _filled(columns: Sequence[Column], least: Sequence[int], width: int, *, breaks: bool) -> list[Line]:
    """The columns arranged in lines, with as many columns of these widths in each line as fit."""
    lines: list[Line] = [(0, [])]
    for column, room in zip(columns, least, strict=True):
        indent, line = lines[-1]
        is_full = indent + sum(taken + GAP for _, taken in line) + room > width
        if line and (is_full or (breaks and column.begins)):
            lines.append((INDENT, [(column, room)]))
        else:
            line.append((column, room))
    return lines


def _widened(line: list[tuple[Column, int]], width: int | None) -> list[tuple[Column, int]]:
    """Give the names in a line the width that is left over."""
    spare = None if width is None else max(0, width - sum(room + GAP for _, room in line) + GAP)
    wider = []
    for column, room in line:
        more = column.width - room if spare is None else min(spare, column.width - room)
        spare = None if spare is None else spare - more
        wider.append((column, room + more))
    return wider
