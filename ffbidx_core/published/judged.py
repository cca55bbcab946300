"""The result of `run` with the presets `best` and `fast`: the crystals that the command would find."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..method.index_frames import Backend, index_frames, slots_of
from ..model.plan import SearchPlan
from ..parameters import Parameters


def judged_cells(
    backend: Backend, spots: NDArray[Any], offsets: NDArray[np.int64], plan: SearchPlan, p: Parameters, n_slots: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """The crystals of F frames in Q = `n_slots` slots each, best first; the remaining slots are empty.

    Returns
    -------
    cells : (F, Q, 3, 3)
        Oriented cells, rows a, b, c, angstrom.
    scores : (F, Q)
        Scores in the measure of the method; +inf in empty slots.
    input_cell : (F, Q)
        Index of the input cell of each crystal; -1 in empty slots.
    """
    found = index_frames(backend, spots, offsets, plan, p)
    frame = np.repeat(np.arange(found.n_frames), np.diff(found.crystal_offsets))
    slot = slots_of(frame)
    kept = slot < n_slots
    rows, place = found.crystals[kept], (frame[kept], slot[kept])
    cells = np.zeros((found.n_frames, n_slots, 3, 3), np.float32)
    scores = np.full((found.n_frames, n_slots), np.inf, np.float32)
    input_cell = np.full((found.n_frames, n_slots), -1, np.int32)
    cells[place], scores[place], input_cell[place] = found.cells[rows], found.scores[rows], found.input_cell[rows]
    return cells, scores, input_cell
