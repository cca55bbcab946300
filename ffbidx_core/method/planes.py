"""Chance in electron diffraction, where the spots of a frame lie nearly in a plane.

The expected number of false crystals assumes that a random spot lies near a lattice point with the same probability in
every orientation. If the Ewald sphere is nearly flat and a dense plane of the lattice lies along it, the probability is
several times as large: 13 % instead of 1.7 % for the plane (001) of lysozyme. The crystal itself shows how large it is:
turned about the beam, it has the same planes along the spots, and what it explains then it explains by chance.
"""

from __future__ import annotations

import numpy as np

from ..backends import Backend, BestCells
from ..model.chance.false_hits import SLOPE
from ..model.chance.level import LARGEST_PROBABILITY, log10_exact_tail, probability
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.xp import XpArray

ANGLES = np.radians(7.3 + 15.0 * np.arange(24))
"""Angles by which a crystal is turned about the beam, radian: no rotation of a lattice is within 7 degrees of them."""
TURNS = np.array([[[np.cos(t), np.sin(t), 0.0], [-np.sin(t), np.cos(t), 0.0], [0.0, 0.0, 1.0]] for t in ANGLES])
"""Matrices (24, 3, 3) that turn the rows of a cell by these angles."""


def loss_to_planes(backend: Backend, spots: SpotBatch, best: BestCells, plan: SearchPlan) -> XpArray:
    """log10 (F,) of the factor by which planes along the spots raise the expected number of false crystals; at least 0.

    The factor is that of the binomial tail, to the power of the formula (`model.chance.false_hits`), if the probability
    of a spot is the share of spots that the turned cells explain, where that is larger.

    Parameters
    ----------
    backend
        Backend that computes.
    spots
        Batch of spots.
    best : BestCells
        A cell of each frame, and the radius within which it explains spots.
    plan
        Plan of the search, with the volumes of the input cells.
    """
    xp, n = backend.xp, backend.xp.maximum(spots.counts, 1)
    cells = xp.concatenate([best.cells[:, None], best.cells[:, None] @ backend.constant(TURNS)], axis=1)
    radii = xp.repeat(best.radius[:, None, None], cells.shape[1], axis=1)
    counts = backend.count_within(spots, cells, radii)[:, :, 0]
    k, by_chance = xp.maximum(counts[:, 0], 1), counts[:, 1:].sum(axis=1)
    # The radius of a zero cell is 0.
    p = xp.maximum(probability(best.radius, backend.constant(plan.volumes)[best.input_cell], xp), 1e-12)
    share = xp.minimum((by_chance + 1) / (len(TURNS) * n), LARGEST_PROBABILITY)
    likelier = log10_exact_tail(k, n, xp.maximum(p, share), xp)
    return SLOPE * (likelier - log10_exact_tail(k, n, p, xp))
