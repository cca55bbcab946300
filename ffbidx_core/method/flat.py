"""A denser search of frames of electron diffraction on which no crystal is clear (`flat_points`).

Where the Ewald sphere is nearly flat, spots reach high resolution in a plane through the origin. The vectors of a long
cell then must be right within a fraction of the spacing of the sampled directions, so the search misses orientations,
and a wrong orientation of the same lattice explains enough spots to pass, though far fewer than the true one. Frames
without a crystal, or with one that is not clear, are searched again with more directions, and the better crystals are
kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..model.cell import Array
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.records.reason import FrameReason, Rung
from ..parameters import Parameters
from .by_chance import find_by_chance
from .retry import LADDER, Tried
from .search import CellTable

CLEAR = -16.0
"""log10 of the expected number of false crystals below which a crystal is clear.

With an axis of 281 A and spots to 0.9 A, 90 % of the right crystals are clear, and none of the wrong ones, which
explain 50 to 80 % of the spots.
"""
CANDIDATES, POOL, RACE_DIRECTIONS = 128, 4096, 8192
"""Numbers of candidate vectors, of directions from which they are chosen, and of directions scored on all spots."""


def search_flat_frames(
    backend: Backend,
    batch: SpotBatch,
    first: Tried,
    plan: SearchPlan,
    p: Parameters,
    given: NDArray[np.float64],
) -> Tried:
    """Search frames of a flat Ewald sphere on which no crystal is clear, and keep the better crystals of each frame.

    The limit of the search is that of a further try (`retry`).

    Parameters
    ----------
    backend
        Backend that computes.
    batch
        All frames of the first try.
    first : Tried
        Result of the first try, with the numbers of the frames in the batch.
    plan
        Plan of the search for the batch's input cells.
    p
        Parameters of the first try.
    given : (M, 3, 3)
        Input cells against which drift is judged, rows a, b, c, angstrom; an array in host memory.
    """
    lowest = _lowest_false(first.found, len(first.reason))
    frames = np.flatnonzero((lowest > CLEAR) & (first.reason != FrameReason.TOO_FEW_SPOTS.value))
    if len(frames):
        _, (flat,) = backend.run_steps(("flat",), lambda state: (state, (backend.flat_frames(*state),)), (batch,))
        frames = frames[flat[frames]]
    if len(frames) == 0:
        return first
    denser = p.replace(
        num_halfsphere_points=p.flat_points,
        num_candidate_vectors=min(CANDIDATES, p.flat_points),
        candidate_pool=POOL,
        race_directions=RACE_DIRECTIONS,
        max_false_rate=p.max_false_rate / (len(LADDER) + 1),
    )
    found, _ = find_by_chance(backend, batch.take(backend.xp.asarray(frames)), plan, denser, given)
    better = frames[_lowest_false(found, len(frames)) < lowest[frames]]
    found.frame = frames[found.frame]
    kept = first.found.take(np.flatnonzero(~np.isin(first.found.frame, better)))
    reason, rung = first.reason.copy(), first.rung.copy()
    reason[better], rung[better] = FrameReason.NONE.value, Rung.DENSER_SAMPLING.value
    return Tried(CellTable.joined([kept, found.take(np.flatnonzero(np.isin(found.frame, better)))]), reason, rung)


def _lowest_false(found: CellTable, n_frames: int) -> Array:
    """log10 (F,) of the expected number of false crystals of each frame's best crystal; +inf if it has none."""
    lowest, crystals = np.full(n_frames, np.inf), np.flatnonzero(found.is_crystal)
    np.minimum.at(lowest, found.frame[crystals], found.log10_false[crystals])
    return lowest
