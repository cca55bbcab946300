"""Solution files of CrystFEL, for indexamajig --indexing=file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...errors import InputError, UsageError
from ...model.cell import reciprocal
from ...model.detector.panels import GivenGeometry
from ...model.records.results import Results
from ...read.files.probe import Prober
from ...read.formats.open import open_spots
from ...read.indexed_frames import image_of
from ...read.run_inputs import RunInputs

_LINE_END, _PARTS_EVENT = re.compile(r"[\r\n]"), re.compile(r"[ \t,\r\n]")


def sol_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield results as a solution file: a line per crystal, with reciprocal cell in 1/nm and CrystFEL's lattice code.

    Raises
    ------
    UsageError
        If a name cannot be written in the format; see `check_name`.
    """
    for results in pieces:
        lines = []
        for k, f in enumerate(results.frame_of_crystal.tolist()):
            row = results.crystals[k]
            image, event = image_of(results.source[f], int(results.index[f]), results.id[f])
            check_name(image, event)
            stars = " ".join(f"{value * 10:+.7f}" for value in reciprocal(results.cells[row].astype(float)).ravel())
            lattice = inputs.lattice_of(results.input_cells, int(results.input_cell[row]))
            lines.append(f"{image} {event} {stars} 0.0 0.0 {lattice.code}\n")
        yield "".join(lines).encode("utf-8", "backslashreplace")


def check_name(image: str, event: str = "") -> None:
    """Raise an error for names that CrystFEL cannot parse in a line of a .sol file.

    CrystFEL counts the blanks of a line from its end, so the name of an image may contain blanks, and splits the name
    of an event at blanks, tabs and commas.

    Raises
    ------
    UsageError
        If an image name contains a line end, or an event name a blank, tab, comma or line end.
    """
    if _LINE_END.search(image):
        raise UsageError(f"{image!r}: a .sol file cannot hold names of images with line ends: rename the file")
    if _PARTS_EVENT.search(event):
        raise UsageError(
            f"{image} {event}: a .sol file cannot hold names of events with blanks or commas; -o run.stream can hold "
            "such names"
        )


def check_names(paths: Sequence[str], geometry: GivenGeometry | None, prober: Prober | None = None) -> None:
    """Refuse inputs with names that a .sol file cannot hold, as far as the first frame shows them; see `check_name`.

    Parameters
    ----------
    paths
        The spot files.
    geometry
        For peaks in detector pixels; None: each file's own.
    prober
        Opens each input first, so that one that hangs does not delay the others.
    """
    for path in paths:
        check_name(path)
    for path in paths:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            for raw in file.read(np.arange(min(file.n_frames, 1))):
                check_name(*image_of(path, 0, raw.ids[0]))
            return
