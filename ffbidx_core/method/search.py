"""Steps 1 to 4 of the method in their order, on any backend, and the table of the cells that they find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, OrientedCells, Same, State
from ..model.plan import SearchPlan
from ..model.records.batch import FEW_SPOTS, SpotBatch
from ..model.records.table import ArrayTable, Column
from ..model.xp import XpArray
from ..parameters import Parameters


def search(
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int
) -> tuple[OrientedCells, XpArray]:
    """Steps 1 to 3: find candidate vectors, refine them, and lay the input cells on them.

    Returns
    -------
    found : OrientedCells
        The best oriented cells of each frame.
    vectors : (F, G, C, 3)
        Refined candidate vectors of each length group, angstrom.
    """
    vectors = backend.find_candidate_vectors(spots, plan, p, n_points)
    vectors = backend.refine_vectors(spots, vectors, plan, p)
    return backend.find_oriented_cells(spots, vectors, plan, p), vectors


def search_and_refine(
    backend: Backend, spots: XpArray, offsets: NDArray[np.int64], plan: SearchPlan, p: Parameters
) -> OrientedCells:
    """Steps 1 to 4 as published.

    Parameters
    ----------
    spots : (N, 3)
        Spots, 1/angstrom, in host memory or on the device.
    offsets : (F + 1,)
        Frame f owns the spots offsets[f]:offsets[f + 1].

    Returns
    -------
    OrientedCells
        The refined cells of each frame, in the order of their raw scores, in host memory.
    """

    def steps(state: State) -> tuple[State, OrientedCells]:
        (batch,) = state
        found, _ = search(backend, batch, plan, p, p.num_halfsphere_points)
        cells, scores = backend.refine_cells(batch, found.cells, found.scores, p)
        return state, OrientedCells(cells, scores, found.input_cell)

    few = isinstance(spots, np.ndarray) and len(spots) <= FEW_SPOTS
    batch = (backend.load_few if few else backend.load)(spots, offsets)
    _, found = backend.run_steps(("search and refine", Same(plan), p), steps, (batch,))
    return OrientedCells(*(array[: len(offsets) - 1] for array in found))


@dataclass(kw_only=True)
class CellTable(ArrayTable):
    """n cells found on a batch, in any order, in host memory.

    Attributes
    ----------
    frame : (n,) int64
        Number of each cell's frame in the batch.
    cells : (n, 3, 3) float64
        Oriented cells, rows a, b, c, angstrom.
    input_cell : (n,) int32
        Number of the input cell, in the plan, from which each cell was found.
    scores : (n,) float64
        Score of each cell; lower is better.
    log10_chance : (n,) float64
        log10 of the chance level; nan if crystals are not accepted by chance.
    log10_false : (n,) float64
        log10 of the expected number of false crystals on the frame that are as good as this cell; nan in the same
        case.
    is_crystal : (n,) bool
        Whether a cell is a crystal.
    """

    frame: Annotated[XpArray, Column("cells", dtype="i8")]
    cells: Annotated[XpArray, Column("cells", dtype="f8", tail=(3, 3))]
    input_cell: Annotated[XpArray, Column("cells", dtype="i4")]
    scores: Annotated[XpArray, Column("cells", dtype="f8")]
    log10_chance: Annotated[XpArray, Column("cells", dtype="f8")]
    log10_false: Annotated[XpArray, Column("cells", dtype="f8")]
    is_crystal: Annotated[XpArray, Column("cells", dtype="?")]
