"""Solution files of CrystFEL, for indexamajig --indexing=file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...errors import UsageError
from ...model.cell import reciprocal
from ...model.records.results import Results
from ...read.indexed_frames import Setup, image_of


def sol_pieces(pieces: Iterable[Results], setup: Setup) -> Iterator[bytes]:
    """Results as a solution file: a line for each crystal, reciprocal cell in 1/nm, CrystFEL's lattice code.

    Raises
    ------
    UsageError
        For an image whose name has blanks, which the format cannot hold.
    """
    for results in pieces:
        lines = []
        for k, f in enumerate(results.frame_of_crystal.tolist()):
            row = results.crystals[k]
            image, event = image_of(results.source[f], int(results.index[f]), results.id[f])
            if len(f"{image} {event}".split()) != 2:
                raise UsageError(f"{image}: a .sol file takes no names of images with blanks in them")
            stars = " ".join(f"{value * 10:+.7f}" for value in reciprocal(results.cells[row].astype(float)).ravel())
            lattice = setup.lattice(results, int(results.input_cell[row]))
            lines.append(f"{image} {event} {stars} 0.0 0.0 {lattice.code}\n")
        yield "".join(lines).encode("utf-8", "backslashreplace")
