"""How many false crystals are expected in a whole run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..records.frame import FrameStatus


def expected_false_in_run(frames_by_status: NDArray[np.int64], max_false_rate: float, retry: bool) -> float:
    """The largest number of false crystals that chance is expected to make in a run.

    Each frame searched takes the risk once, and once more in all further tries together.

    Parameters
    ----------
    frames_by_status : (5,) int64
        Number of frames of each `FrameStatus`.
    max_false_rate : float
        False crystals allowed per frame searched.
    retry : bool
        Whether frames are searched again when nothing is found at first.

    Returns
    -------
    float
        Number of crystals.
    """
    searched = frames_by_status[[FrameStatus.INDEXED, FrameStatus.NOT_INDEXED]].sum()
    return float((1 + retry) * int(searched) * max_false_rate)
