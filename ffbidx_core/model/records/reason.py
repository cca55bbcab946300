"""Why a frame has no crystal, and which try found the crystals of the others."""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

from .frame import FrameStatus

STANDS_OUT = -1.0
"""log10 of the number that random spots would give a frame: what is expected on fewer than one in ten stands out."""


class FrameReason(enum.IntEnum):
    """Why a frame has no crystal; the values of `/frame/reason`.

    A frame has the reason of the cell that came furthest; from NO_VECTOR to DRIFTED they ascend. Of further tries
    (`retry`), which look at more orientations, only the last two count.
    "Stands out" means fewer than 10^STANDS_OUT expected on a frame of as many random spots:

    - of a vector: n of the sampled spots, k of them within t of whole numbers of its lattice planes; the level is
      Chernoff's bound on k or more of n at p = 2 t (`model.chance`), the best over `PLANE_DISTANCES`, times the
      directions sampled and the lengths. The best candidate of each length is judged.
    - of a cell: its level of chance before the refinement, times 10^LOG10_ORIENTATIONS (`model.chance`).

    With `--accept chance` a cell of `min_new_spots` spots passes when at most `max_false_rate` false ones are expected;
    with `--accept count` one passes when it covers at least `crystals_min_spots` spots.

    Attributes
    ----------
    NONE
        The frame has a crystal.
    TOO_FEW_SPOTS
        Fewer spots than `min_new_spots` (`count`: `min_spots`): it was not searched.
    NO_VECTOR
        No vector of the input cells' lengths stands out, and no cell does.
    NO_CELL
        A vector stands out, but no cell does.
    EXPLAINED_BY_CHANCE
        A cell stands out, but none passes.
    LOST_IN_REFINEMENT
        A cell passes before the method and the last fit; after them 1000 times as many false ones are expected as are
        allowed, or it has too few spots (`count`: it does not pass).
    DRIFTED
        A refined cell passes, but its shape is further from the input cell's than `max_drift`.
    BAD_SPOTS, UNREADABLE
        As the status.
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

    @property
    def words(self) -> str:
        """The reason for the eye."""
        return self.name.lower().replace("_", " ")


ADVICE = {
    FrameReason.TOO_FEW_SPOTS: "lower the threshold of the spot finder, or leave such frames out as blank",
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
"""What to try, by reason."""

_OF_STATUS = {
    FrameStatus.TOO_FEW_SPOTS: FrameReason.TOO_FEW_SPOTS,
    FrameStatus.BAD_SPOTS: FrameReason.BAD_SPOTS,
    FrameStatus.UNREADABLE: FrameReason.UNREADABLE,
}


def with_status(reason: NDArray[np.uint8], status: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reasons (F,) of frames, with those that the statuses (F,) imply."""
    reason = reason.copy()
    for given, implied in _OF_STATUS.items():
        reason[status == given] = implied
    return reason


class Rung(enum.IntEnum):
    """The try that indexed a frame; the values of `/frame/rung`. What each does is in `retry.LADDER`.

    FIRST_TRY also stands for frames without a crystal.
    """

    FIRST_TRY = 0
    STRONGEST_SPOTS = 1
    LOW_RESOLUTION = 2
    DENSER_SAMPLING = 3

    @property
    def words(self) -> str:
        """The rung for the eye."""
        return self.name.lower().replace("_", " ")
