"""The run's own cell, learned from its first frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import Backend
from .model.cell import Array
from .parameters import Parameters


def learn_cells(
    backend: Backend, spots: NDArray[Any], offsets: NDArray[np.int64], cells: Array, p: Parameters
) -> tuple[Array, NDArray[np.int64]]:
    """Input cells (M, 3, 3) corrected by the strain of the crystals found on some frames.

    Returns
    -------
    cells : (M, 3, 3) float64
        Unchanged where fewer than `p.learn_min_crystals` crystals were found.
    n_crystals : (M,) int64
        Crystals that each was learned from; 0 where it is unchanged.
    """
    raise NotImplementedError
