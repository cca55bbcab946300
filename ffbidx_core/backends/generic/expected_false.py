"""The number of false crystals expected that are as good as cells of a batch, for any backend."""

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
    """log10 of the numbers for cells that explain so many spots within a radius; infinite for too few for a crystal.

    All input cells compete, so that what one of them does by chance is multiplied by their number.

    Parameters
    ----------
    counts, radii : (F, Q)
    input_cell : (F, Q) or (F, 1)
        The input cell that each is a copy of.
    volumes, orders : (M,) float64
        Of the input cells: cubic angstrom, and the number of their lattice's rotations.

    Returns
    -------
    (F, Q) float64
    """
    xp = spots.xp
    numbers = log10_expected(
        counts,
        spots.counts[:, None],
        radii,
        volumes[input_cell],
        orders[input_cell],
        _resolution(spots)[:, None],
        p.max_spots,
        p.n_output_cells,
        xp,
    )
    return xp.where(counts >= p.min_new_spots, numbers + math.log10(len(volumes)), xp.inf)


def _resolution(spots: SpotBatch) -> XpArray:
    """|s| inside which `RESOLUTION_RANK` of a frame's spots lie, (F,) 1/angstrom; 1 where there are none."""
    xp = spots.xp
    if spots.xyz.shape[1] == 0:
        return xp.ones(spots.n_frames)
    rank = (RESOLUTION_RANK * spots.counts).astype(xp.int64)
    xyz = spots.xyz[:, xp.minimum(spots.offsets[:-1] + rank, spots.xyz.shape[1] - 1)].astype(xp.float64)
    length = xp.sqrt(xyz[0] ** 2 + xyz[1] ** 2 + xyz[2] ** 2)
    return xp.where(spots.counts > 0, length, 1.0)
