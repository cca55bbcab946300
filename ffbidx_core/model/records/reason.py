"""The reason why a frame has no crystal, and the try that indexed a frame which has one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .frame import FrameStatus, InWords

STANDS_OUT = -1.0
"""log10 of the number expected on a frame of random spots below which a vector or cell stands out: one frame in ten."""


class FrameReason(InWords):
    """The reason why a frame has no crystal; the values of `/frame/reason`.

    The reason is that of the cell which came closest to a crystal; from NO_VECTOR to DRIFTED the reasons ascend. Of
    further tries (`retry`), which examine more orientations, only the last two of these count.

    A vector or cell *stands out* if fewer than 10^STANDS_OUT as good are expected on a frame of as many random spots:

    - The number for a vector is Chernoff's bound on the chance that k or more of the n sampled spots lie within a
      distance t of its lattice planes, p = 2 t (`model.chance`), times the numbers of sampled directions and lengths.
      The best t of `PLANE_DISTANCES` counts. The best candidate of each length is judged.
    - The number for a cell is its chance level before the refinement times 10^LOG10_ORIENTATIONS (`model.chance`).

    A cell *passes* with `--accept chance` if it indexes `min_new_spots` spots and at most `max_false_rate` false
    crystals are expected; with `--accept count` if it indexes at least `crystals_min_spots` spots.

    Attributes
    ----------
    NONE
        The frame has a crystal.
    TOO_FEW_SPOTS
        The frame has fewer spots than `min_new_spots` (`count`: `min_spots`) and was not searched.
    NO_VECTOR
        No vector of the input cells' lengths stands out, and no cell does.
    NO_CELL
        A vector stands out, but no cell does.
    EXPLAINED_BY_CHANCE
        A cell stands out, but none passes.
    LOST_IN_REFINEMENT
        A cell passes before the method and the last fit, but after them the expected number of false crystals is 1000
        times the limit, or too few spots are indexed (`count`: the cell does not pass).
    DRIFTED
        A refined cell passes, but its shape differs from the input cell's by more than `max_drift`.
    BAD_SPOTS
        The frame has the status BAD_SPOTS.
    UNREADABLE
        The frame has the status UNREADABLE.
    """

    NONE = 0
    TOO_FEW_SPOTS = 1
    NO_VECTOR = 2
    NO_CELL = 3
    EXPLAINED_BY_CHANCE = 4
    LOST_IN_REFINEMENT = 5
    DRIFTED = 6
    BAD_SPOTS = 7
    UNREADABLE = 8


ADVICE = {
    FrameReason.TOO_FEW_SPOTS: (
        "lower the threshold of the spot finder, use all spots (--d-min and --d-max leave some out), or leave such "
        "frames out as blank"
    ),
    FrameReason.NO_VECTOR: (
        "such frames look like frames of random spots: many are blank; if crystals are seen, fewer false spots help "
        "(a higher threshold of the spot finder, --d-min), or --retry; if no frame is indexed, check cell and geometry"
    ),
    FrameReason.NO_CELL: (
        "the spots are periodic, but not with this cell: check the cell, then beam centre, distance and wavelength; "
        "give a second --cell for another crystal form"
    ),
    FrameReason.EXPLAINED_BY_CHANCE: (
        "a cell nearly passes: fewer false spots (threshold of the spot finder, --d-min), a better cell or geometry "
        "make it sure; --retry looks further"
    ),
    FrameReason.LOST_IN_REFINEMENT: (
        "the refinement leaves the spots that led to the cell: keep --polish constrained, or raise --min-spots"
    ),
    FrameReason.DRIFTED: (
        "the crystals differ from the cell: give the cell that they have, --learn-cell, or a larger --max-drift"
    ),
    FrameReason.BAD_SPOTS: "find out what wrote nan or infinite numbers",
    FrameReason.UNREADABLE: "see the notes of the run",
}
"""Advice to the user for each reason."""

# NumPy takes four times as long to compare an array with a member of an enumeration as with a plain number.
_OF_STATUS = {
    FrameStatus.TOO_FEW_SPOTS.value: FrameReason.TOO_FEW_SPOTS.value,
    FrameStatus.BAD_SPOTS.value: FrameReason.BAD_SPOTS.value,
    FrameStatus.UNREADABLE.value: FrameReason.UNREADABLE.value,
}


def with_status(reason: NDArray[np.uint8], status: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reasons (F,) of frames, replaced by the reason that the status (F,) implies where it implies one."""
    reason = reason.copy()
    for given, implied in _OF_STATUS.items():
        reason[status == given] = implied
    return reason


class Rung(InWords):
    """The try that indexed a frame; the values of `/frame/rung`.

    `retry.LADDER` defines the settings of each further try. FIRST_TRY is also the value of a frame without a crystal.
    """

    FIRST_TRY = 0
    STRONGEST_SPOTS = 1
    LOW_RESOLUTION = 2
    DENSER_SAMPLING = 3
