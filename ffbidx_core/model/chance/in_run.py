"""Expected number of false crystals in a whole run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..records.frame import FrameStatus


def expected_false_in_run(frames_by_status: NDArray[np.int64], max_false_rate: float, retry: bool) -> float:
    """Upper limit of the number of false crystals that are expected in a run.

    Each frame that is searched adds `max_false_rate` to the number, and all its further tries together as much again.

    Parameters
    ----------
    frames_by_status : (5,) int64
        Number of frames with each `FrameStatus`.
    max_false_rate : float
        Expected number of false crystals allowed on a frame that is searched.
    retry : bool
        Whether frames without a crystal are searched again with other settings.

    Returns
    -------
    float
        Expected number of false crystals.
    """
    searched = frames_by_status[[FrameStatus.INDEXED, FrameStatus.NOT_INDEXED]].sum()
    return float((1 + retry) * int(searched) * max_false_rate)
