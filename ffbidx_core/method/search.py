"""Steps 1 to 4 of the method in their order, on any backend, and the table of the cells that they find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..backends import Backend, OrientedCells
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
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


def search_and_refine(backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters) -> OrientedCells:
    """Steps 1 to 4 as published: the refined cells of each frame, in the order of their raw scores."""
    found, _ = search(backend, spots, plan, p, p.num_halfsphere_points)
    cells, scores = backend.refine_cells(spots, found.cells, found.scores, p)
    return OrientedCells(cells, scores, found.input_cell)


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
