"""Solution files of CrystFEL, for indexamajig --indexing=file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...errors import UsageError
from ...model.cell import reciprocal
from ...model.records.results import Results
from ...read.indexed_frames import RunInputs, image_of

_LINE_END, _PARTS_EVENT = re.compile(r"[\r\n]"), re.compile(r"[ \t,\r\n]")


def sol_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Results as a solution file: a line for each crystal, reciprocal cell in 1/nm, CrystFEL's lattice code.

    Raises
    ------
    UsageError
        For a name that the format cannot hold; see `check_name`.
    """
    for results in pieces:
        lines = []
        for k, f in enumerate(results.frame_of_crystal.tolist()):
            row = results.crystals[k]
            image, event = image_of(results.source[f], int(results.index[f]), results.id[f])
            check_name(image, event)
            stars = " ".join(f"{value * 10:+.7f}" for value in reciprocal(results.cells[row].astype(float)).ravel())
            lattice = inputs.lattice(results, int(results.input_cell[row]))
            lines.append(f"{image} {event} {stars} 0.0 0.0 {lattice.code}\n")
        yield "".join(lines).encode("utf-8", "backslashreplace")


def check_name(image: str, event: str = "") -> None:
    """Refuse names that CrystFEL cannot find in a line of a .sol file.

    It counts the blanks of a line from its end, so that an image may have any in its name, and divides the event's name
    at blanks, tabs and commas.

    Raises
    ------
    UsageError
        For a line end in the name of an image, or a blank, tab, comma or line end in that of an event.
    """
    if _LINE_END.search(image):
        raise UsageError(f"{image!r}: a .sol file takes no names of images with line ends in them: rename the file")
    if _PARTS_EVENT.search(event):
        raise UsageError(
            f"{image} {event}: a .sol file takes no names of events with blanks or commas in them; -o run.stream takes "
            "such names"
        )
