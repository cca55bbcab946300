"""Runs on the DIALS files of the asymmetric detector, and their results."""

import numpy as np

from ffbidx_core import read_results
from ffbidx_core.read.formats.open import open_spots
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import same_orientation
from tests.helpers.calls import QUICK
from tests.helpers.frames import OPERATORS

MONO = "31,42,53,90,103,90"
INDEX = ("index", "strong.refl", "-g", "imported.expt", "--cell", MONO, *QUICK)
UNTURNED = np.eye(3)


def are_true(cells, turn=UNTURNED):
    return len(cells) == len(MADE.cells) and all(
        same_orientation(cell, truth @ turn, OPERATORS) for cell, truth in zip(cells, MADE.cells, strict=True)
    )


def crystals(path):
    found = read_results(path)
    return found.cells[found.crystals]


def spots_of(path, geometry):
    """The spots and panels of all frames of a file."""
    file = open_spots(str(path), geometry)
    raws = list(file.read(np.arange(file.n_frames)))
    return np.concatenate([raw.spots for raw in raws]), np.concatenate([raw.peaks.pixels for raw in raws])
