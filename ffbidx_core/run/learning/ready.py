"""Loading and looking up what the first frames of a run need, while a GPU is opened."""

from __future__ import annotations

import numpy as np

from ...model.basis import as_primitive
from ...model.crystal import Crystals
from ...model.misfit.equations import derivatives, index_spots, sums_over_spots
from ...model.misfit.misfit import FIRST
from ...read.sift import ResolutionLimits, sift_in_one_pass
from ...version import versions


def get_ready() -> None:
    """Load Numba and the machine code that reading and learning use on a GPU's host, by a call with one spot at 0.

    The versions of packages, which the record of the run has, are looked up, too.
    """
    versions("cuda")
    one, spot = np.array([0, 1]), np.zeros((1, 3))
    sift_in_one_pass(spot.astype(np.float32), one, None, ResolutionLimits())
    cells = as_primitive(np.eye(3)[None])
    operators = [np.eye(3, dtype=np.int64)[None]]
    indexed = index_spots(Crystals(spot, one, np.ones(1), cells, one, np.array([0]), cells, operators))
    sums_over_spots(indexed, derivatives(indexed), FIRST)
