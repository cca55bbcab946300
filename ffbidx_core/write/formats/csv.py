"""Crystals as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from ...model.records.results import Results
from .columns import crystal_records


def csv_pieces(pieces: Iterable[Results]) -> Iterator[bytes]:
    """Yield results as CSV (RFC 4180): a line with the names of the columns, then a line for each crystal."""
    return csv_of(crystal_records(results) for results in pieces)


def csv_of(tables: Iterable[dict[str, list[Any]]]) -> Iterator[bytes]:
    """Yield tables with the same columns as one CSV; floats have six significant digits."""
    for number, table in enumerate(tables):
        if number == 0:
            yield _lines([tuple(table)])
        yield _lines(zip(*(map(_text, values) for values in table.values()), strict=True))


def _text(value: Any) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _lines(rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
