"""Lattices in which three spots of a frame have whole indices, for frames with few spots: formulas and constants.

Three spots span a lattice in reciprocal space. If all three belong to a crystal, each vector of its real-space lattice
has a whole phase at each of them: it belongs to the dual lattice, which has some thousands of vectors up to the reach.
No other vector needs to be searched, and the other spots of the frame distinguish these.

The width sigma of a vector v is the norm of (ACROSS v_x, ACROSS v_y, ALONG v_z), in turns; p_j is the phase s_j . v
minus the nearest integer, and N the normal density. For each three of `chosen_threes`:

1. The vectors that are whole at the three spots, of lengths from SHORTEST times the reach to the reach, have the score
   sum_j ln(1 - TRUE + TRUE N(p_j)) - 3 ln |v| over the other spots, for the width sigma / certainty of each spot.
2. The best VECTORS of these are fitted: for each factor f of FIT_WIDTHS they move by x, where
   (sum w_j s_j s_j^T + RIDGE I) x = -sum w_j p_j s_j and w_j = e_j / (e_j + 1 - TRUE) with e_j = TRUE N(p_j) for the
   width f sigma, but w_j = 1 at the three spots.
3. Triples (a, b, c) of fitted vectors with a volume V of at least FLATTEST |a| |b| |c| have the score
   sum_j ln(1 - TRUE + TRUE N(p_j(a)) N(p_j(b)) N(p_j(c))) - 3 ln V, for the widths FITTED_WIDTH sigma.
4. Of the best TRIED triples, the first FITTED that span different lattices are fitted: for each factor f of
   JOINT_WIDTHS all three vectors move as in step 2, where e_j is TRUE / V times the normal density of the distance of
   spot j from the lattice, whose errors are f times ACROSS and ALONG, and w_j = e_j / (e_j + 1 - TRUE) at all spots.
5. A fitted lattice has the score sum_j ln(1 - TRUE + e_j) - 3 ln V with f = 1. Of the lattices of all threes of a
   frame the best distinct ones are kept, see `best_distinct`.
"""

from __future__ import annotations

import functools
import itertools
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..xp import XpArray
from .selling import selling_bases

ACROSS, ALONG = 0.00025, 0.0002
"""Standard deviation of the position of a spot that belongs to the lattice, across and along the beam, 1/angstrom."""
THREES = 64
"""Number of threes of spots of a frame that are examined."""
FEWEST_INSIDE, MOST_INSIDE = 100, 40_000
"""Limits of the expected number of vectors, up to sign, that are whole at three spots."""
SHORTEST = 1 / 12
"""Lower limit of a vector's length over the reach."""
VECTORS = 64
"""Number of best vectors of three spots, all triples of which are scored."""
FIT_WIDTHS = (1.5, 1.0)
"""Factors on the width in the successive steps of a vector's fit."""
FITTED_WIDTH = 1.3
"""Factor on the width with which fitted vectors explain spots together."""
FLATTEST = 0.15
"""Lower limit of the volume of three vectors over the product of their lengths."""
TRIED, FITTED = 6000, 1200
"""Numbers of the best triples of vectors whose lattices are compared, and of distinct lattices that are fitted."""
JOINT_WIDTHS = (2.0, 1.4, 1.0)
"""Factors on the errors of spots in the successive steps of a lattice's fit."""
RIDGE = 5e-5
"""Ridge term of the normal matrices, 1/angstrom^2."""
SMALLEST = 1000.0
"""Volume below which a cell counts as flat, angstrom^3."""
PLACES = (1, 1_000_003, 998_244_353, 1_000_000_007, 2_147_483_647, 4_294_967_291, 68_718_952_447)
"""Multipliers that make one number of seven whole ones."""
SAME = 0.006
"""Step of the logarithms of the Voronoi lengths within which two lattices of a frame count as one."""
LATTICES = 10_000
"""Number of lattices that are kept for a frame."""
ROOM = 3 * MOST_INSIDE
"""Upper limit of the number of vectors of three spots, of which about `MOST_INSIDE` are expected at most."""
FEWEST_SPOTS, MOST_SPOTS = 10, 20
"""Numbers of spots of the frames for which this search is meant."""


@functools.cache
def triples(n: int) -> NDArray[np.int64]:
    """All triples (C, 3) of n numbers, ascending."""
    return np.array(list(itertools.combinations(range(n), 3)), dtype=np.int64).reshape(-1, 3)


def chosen_threes(spots: Array, reach: float) -> tuple[Array, Array]:
    """The threes of spots that are examined, with the vectors that are whole at them.

    The error of a vector that is whole at three spots is largest at spots far from these, so the threes are chosen that
    span the others best. Of twice as many as needed every second is taken: neighbours in this order share spots.

    Parameters
    ----------
    spots : (n, 3)
        Spots of a frame, 1/angstrom.
    reach
        Length of the longest vector, angstrom.

    Returns
    -------
    bases : (T, 3, 3) float64
        Bases of the lattices of vectors that are whole at three spots, angstrom; see `reduced`.
    certainties : (T, n) float64
        1 / sqrt(1 + |c|^2) of each spot with coefficients c on the three: the share of its phase's width that is not
        due to the errors of the three; 0 for the three.
    """
    every = triples(len(spots))
    cells = spots[every]
    inside = 2 * np.pi / 3 * reach**3 * np.abs(np.linalg.det(cells))
    every = every[(inside >= FEWEST_INSIDE) & (inside <= MOST_INSIDE)]
    duals = np.linalg.inv(spots[every])
    coefficients = (spots @ duals) ** 2
    spans = 1 + coefficients.sum(axis=2)
    order = np.argsort(np.log(spans).sum(axis=1), kind="stable")[: 2 * THREES][:: 2 if len(every) >= 2 * THREES else 1]
    order = order[:THREES]
    certainties = 1 / np.sqrt(spans[order])
    np.put_along_axis(certainties, every[order], 0.0, axis=1)
    return duals[order].transpose(0, 2, 1), certainties


def reduced(bases: Array) -> Array:
    """The first three vectors (n, 3, 3), angstrom, of the Selling-reduced bases of the lattices of bases (n, 3, 3)."""
    return np.ascontiguousarray(selling_bases(bases)[:, :3])


def box(bases: Array, reach: float) -> NDArray[np.int64]:
    """Largest multiples (T, 3) of the vectors of bases (T, 3, 3) in vectors up to the reach."""
    return np.asarray(np.floor(reach * np.linalg.norm(np.linalg.inv(bases), axis=1)), dtype=np.int64)


def best_distinct(scores: XpArray, lengths: XpArray, xp: ModuleType = np) -> XpArray:
    """The places (k,) of the best lattices of a frame that differ in their Voronoi lengths, the best first.

    Parameters
    ----------
    scores : (n,)
        Scores; -1e300 for a cell that is none.
    lengths : (n, 7)
        Voronoi lengths, angstrom.
    xp
        The module of the arrays.
    """
    order = xp.argsort(-scores, kind="stable")
    order = order[scores[order] > -1e299]
    # Twice as many as are kept have enough distinct ones among them as a rule.
    for some in (order[: 2 * LATTICES], order):
        steps = xp.floor(xp.log(lengths[some]) / SAME).astype(xp.int64)
        first = firsts((steps * xp.asarray(PLACES)).sum(axis=1), xp)[:LATTICES]
        if len(first) == LATTICES:
            break
    return order[first]


def firsts(values: XpArray, xp: ModuleType = np) -> XpArray:
    """The places (k,), ascending, of the first of equal values (n,)."""
    return xp.sort(xp.unique(values, return_index=True)[1])
