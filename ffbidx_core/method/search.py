"""Steps 1 to 4 of the method in their order, on any backend, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..backends import Backend, OrientedCells
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..parameters import Parameters


def search(
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int
) -> tuple[OrientedCells, Any]:
    """Steps 1 to 3: candidate vectors, their refinement, oriented cells; the cells, and the vectors (F, G, C, 3)."""
    vectors = backend.find_candidate_vectors(spots, plan, p, n_points)
    vectors = backend.refine_vectors(spots, vectors, plan, p)
    return backend.find_oriented_cells(spots, vectors, plan, p), vectors


def search_and_refine(backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters) -> OrientedCells:
    """Steps 1 to 4 as published: the cells of each frame in the order of their raw scores, with their final ones."""
    found, _ = search(backend, spots, plan, p, p.num_halfsphere_points)
    cells, scores = backend.refine_cells(spots, found.cells, found.scores, p)
    return OrientedCells(cells, scores, found.input_cell)


@dataclass
class Found:
    """Cells found on a batch, n of them in any order; arrays of the backend.

    Attributes
    ----------
    frame : (n,) int64
    cells : (n, 3, 3) float64
    input_cell : (n,) int32
    scores : (n,) float64
    log10_chance : (n,) float64
    log10_false : (n,) float64
        Of the number of false crystals as good as this one that are expected on its frame. Both are nan where chance
        was not asked.
    is_crystal : (n,) bool
    """

    frame: Any
    cells: Any
    input_cell: Any
    scores: Any
    log10_chance: Any
    log10_false: Any
    is_crystal: Any

    def take(self, rows: Any) -> Found:
        """Some of the cells."""
        return Found(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Found], xp: Any) -> Found:
        """The cells of several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(xp.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
