"""Expected numbers of false crystals that are as good as the cells of a batch, for any backend."""

from __future__ import annotations

import math

from ...model.chance.false_hits import RESOLUTION_RANK, log10_expected
from ...model.records.batch import SpotBatch
from ...model.xp import XpArray
from ...parameters import Parameters


def expected_false(
    spots: SpotBatch,
    counts: XpArray,
    radii: XpArray,
    input_cell: XpArray,
    volumes: XpArray,
    orders: XpArray,
    p: Parameters,
) -> XpArray:
    """log10 of the expected number of false crystals that are as good as given cells.

    All input cells compete, so the number that one cell reaches by chance is multiplied by the number of input cells.

    Parameters
    ----------
    spots
        Batch of spots.
    counts, radii : (F, Q)
        Number of spots that each cell explains, and the radius within which it does, 1/angstrom.
    input_cell : (F, Q) or (F, 1)
        Number of the input cell of which each cell is a copy.
    volumes, orders : (M,) float64
        Volume of each input cell, cubic angstrom, and number of proper rotations in the symmetry of its lattice.
    p
        Parameters of the method.

    Returns
    -------
    (F, Q) float64
        +inf for a cell with fewer spots than a crystal must have.
    """
    xp = spots.xp
    frame, slot = xp.nonzero(counts >= p.min_new_spots)
    source, radius = (xp.broadcast_to(xp.asarray(each), counts.shape)[frame, slot] for each in (input_cell, radii))
    numbers = log10_expected(
        counts[frame, slot],
        spots.counts[frame],
        radius,
        volumes[source],
        orders[source],
        _resolution(spots)[frame],
        p.max_spots,
        p.n_output_cells,
        xp,
    )
    false = xp.full(counts.shape, xp.inf)
    false[frame, slot] = numbers + math.log10(len(volumes))
    return false


def _resolution(spots: SpotBatch) -> XpArray:
    """Distance (F,) from the origin within which the fraction `RESOLUTION_RANK` of a frame's spots lies, 1/angstrom.

    The value is 1 for a frame without spots.
    """
    xp = spots.xp
    if spots.xyz.shape[1] == 0:
        return xp.ones(spots.n_frames)
    rank = (RESOLUTION_RANK * spots.counts).astype(xp.int64)
    xyz = spots.xyz[:, xp.minimum(spots.offsets[:-1] + rank, spots.xyz.shape[1] - 1)].astype(xp.float64)
    length = xp.sqrt(xyz[0] ** 2 + xyz[1] ** 2 + xyz[2] ** 2)
    return xp.where(spots.counts > 0, length, 1.0)
