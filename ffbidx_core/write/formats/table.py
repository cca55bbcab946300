"""The text table of a run, with a line per crystal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...model.records.results import Results
from .columns import COLUMNS, crystal_records

_FORMS = {str: "%s", int: "%d", float: "%.6g"}
_LINE = "\t".join(_FORMS[column.kind] for column in COLUMNS) + "\n"
_TEXT = [column.name for column in COLUMNS if column.kind is str]
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def table(results: Results) -> bytes:
    """The text table of results (UTF-8, tab-separated), with a header line and a line per crystal.

    Tabs, line breaks and bytes that are not text in the name of a file or frame are written as escapes.
    """
    return b"".join(table_pieces([results]))


def table_pieces(results: Iterable[Results]) -> Iterator[bytes]:
    """Yield the text table of results that come in pieces: the header line, then the lines of each piece."""
    yield ("# " + "\t".join(column.name for column in COLUMNS) + "\n").encode()
    for piece in results:
        yield _lines(piece)


def _lines(results: Results) -> bytes:
    records = crystal_records(results)
    text = {name: [value.translate(_ESCAPES) for value in records[name]] for name in _TEXT}
    rows = zip(*(records | text).values(), strict=True)
    return "".join(_LINE % row for row in rows).encode("utf-8", "backslashreplace")
