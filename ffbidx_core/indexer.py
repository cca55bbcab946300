"""The way of a batch of frames through the steps of the method, on any backend."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import Backend, OrientedCells
from .batch import SpotBatch
from .model.frame import BatchResult
from .model.plan import SearchPlan
from .parameters import Parameters


def search(backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> OrientedCells:
    """Steps 1 to 3: candidate vectors, their refinement, oriented cells."""
    vectors = backend.find_candidate_vectors(spots, plan, p, n_points)
    vectors = backend.refine_vectors(spots, vectors, plan, p)
    return backend.find_oriented_cells(spots, vectors, plan, p)


def search_and_refine(backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters) -> OrientedCells:
    """Steps 1 to 4 as published: the cells of each frame, sorted by their final score."""
    raise NotImplementedError


def index_frames(
    backend: Backend, spots: NDArray[Any], offsets: NDArray[np.int64], plan: SearchPlan, p: Parameters, *, keep_all: bool = False
) -> BatchResult:
    """Index a batch of frames: the command's whole work on them.

    Parameters
    ----------
    spots : (N, 3)
        Reciprocal space, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1]. Frames with fewer than `p.fewest_spots` are not searched.
    plan
        The search for the batch's input cells.
    keep_all
        Keep every cell that was refined, not the crystals' only.
    """
    raise NotImplementedError
