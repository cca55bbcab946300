"""The note on spots that were computed in a laboratory frame with the beam along -z."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from ...model.detector.pixels import wavelength_of_spots
from ...model.records.frame import FrameBlock

REVERSED = (
    "the spots lie on an Ewald sphere around a beam along -z, as in the laboratory frame of DIALS: turn them by 180° "
    "about y (the signs of x and z change); now neither the beam nor the scatter of residuals is learned from them"
)
REVERSED_SHARE = 0.5
"""Share of the frames with reversed spots above which the beam of the run counts as reversed."""


def is_reversed(blocks: Iterable[FrameBlock]) -> bool:
    """Whether the spots of most frames lie on an Ewald sphere around -z and on none around +z."""
    found = [
        wavelength_of_spots(spots) is None and wavelength_of_spots(-spots) is not None
        for block in blocks
        for spots in (block.spots[i:j].astype("float64") for i, j in itertools.pairwise(block.offsets))
    ]
    return sum(found) > REVERSED_SHARE * len(found)
