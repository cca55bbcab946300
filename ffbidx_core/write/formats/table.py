"""The text table of a run, with a line per crystal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...model.records.results import Results

_HEADER = "source index crystal score n_spots n_indexed rmsd a b c alpha beta gamma ax ay az bx by bz cx cy cz"
_LINE = "\t".join(["%s"] * 3 + ["%.6g"] + ["%d"] * 2 + ["%.6g"] * 16) + "\n"


def table(results: Results) -> bytes:
    """The text table of results (UTF-8, tab-separated), with a header line and a line per crystal.

    Tabs, line breaks and bytes that are not text in the name of a file are written as escapes.
    """
    return b"".join(table_pieces([results]))


def table_pieces(results: Iterable[Results]) -> Iterator[bytes]:
    """Yield the text table of results that come in pieces: the header line, then the lines of each piece."""
    yield ("# " + _HEADER.replace(" ", "\t") + "\n").encode()
    for piece in results:
        yield _lines(piece)


def _lines(results: Results) -> bytes:
    frame = results.frame_of_crystal
    rank = np.arange(len(frame)) - results.crystal_offsets[frame]
    lines = []
    numbers = np.column_stack(
        [
            results.scores[results.crystals],
            results.n_spots[frame],
            results.n_indexed,
            results.rmsd,
            results.crystal_parameters,
            results.cells[results.crystals].reshape(-1, 9),
        ]
    ).tolist()
    for f, k, row in zip(frame.tolist(), rank.tolist(), numbers, strict=True):
        lines.append(_LINE % (_escaped(results.source[f]), results.index[f], k, *row))
    return "".join(lines).encode("utf-8", "backslashreplace")


def _escaped(name: str) -> str:
    return name.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
