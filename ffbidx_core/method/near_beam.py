"""A check whether a batch has spots closer to the beam than any reflection, in machine code since few batches have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import cache_folder, called_from_python, compiled


def _any_near(spots: Any, squared_radius: Any) -> Any:
    """Whether any of the spots (N, 3) has a squared length below a limit."""
    for i in range(spots.shape[0]):
        x, y, z = np.float64(spots[i, 0]), np.float64(spots[i, 1]), np.float64(spots[i, 2])
        if x * x + y * y + z * z < squared_radius:
            return True
    return False


_any_near_kernel = called_from_python(compiled(_any_near, cache_folder((Path(__file__),))))


def any_near(spots: NDArray[Any], squared_radius: float) -> bool:
    """Whether any of the spots (N, 3), 1/angstrom, has a squared length below a limit, 1/angstrom^2."""
    return bool(_any_near_kernel(np.ascontiguousarray(spots), squared_radius))
