"""Base classes of backends: verbs in plain array code, and the properties of backends in host memory."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.orientation import drifted
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.xp import XpArray
from ..parameters import Parameters
from .cells import BestCells, Coverage, Judgement, OrientedCells
from .generic import accept, crystals, judge
from .generic.fit_whitened import fit_whitened
from .memory import State, Steps


class GenericVerbs:
    """Verbs in plain array code, for backends without a kernel of their own for these verbs.

    The module of the arrays is `spots.xp`; distances and counts come from the backend's own verbs.
    """

    fit_whitened = staticmethod(fit_whitened)

    def judge_cells(
        self, spots: SpotBatch, cells: XpArray, input_cell: XpArray, plan: SearchPlan, p: Parameters
    ) -> Judgement:
        """See `Backend.judge_cells`."""
        return judge.judge_cells(self, spots, cells, input_cell, plan, p)

    def lowest_false(
        self, spots: SpotBatch, cells: XpArray, input_cell: XpArray, plan: SearchPlan, p: Parameters
    ) -> XpArray:
        """See `Backend.lowest_false`."""
        return judge.lowest_false(self, spots, cells, input_cell, plan, p)

    def best_cells(
        self, spots: SpotBatch, pool: OrientedCells, limit: float, plan: SearchPlan, p: Parameters
    ) -> tuple[BestCells, OrientedCells]:
        """See `Backend.best_cells`."""
        return judge.best_cells(self, spots, pool, limit, plan, p)

    def accept_by_count(
        self, spots: SpotBatch, cells: XpArray, scores: XpArray, threshold: float, min_spots: int, *, fractional: bool
    ) -> XpArray:
        """See `Backend.accept_by_count`."""
        return accept.accept_by_count(self, spots, cells, scores, threshold, min_spots, fractional)

    def without_spots(self, spots: SpotBatch, cells: XpArray, cutoff: XpArray) -> SpotBatch:
        """See `Backend.without_spots`."""
        return crystals.without_spots(self, spots, cells, cutoff)

    def coverage(self, spots: SpotBatch, cells: XpArray, threshold: float, *, fractional: bool) -> Coverage:
        """See `Backend.coverage`."""
        return crystals.coverage(self, spots, cells, threshold, fractional=fractional)


class OnHost(GenericVerbs):
    """Base class of the backends in host memory, which compute one batch at a time and spread it over threads."""

    lanes = 1
    memory_errors: tuple[type[Exception], ...] = (MemoryError,)
    xp: ModuleType = np
    drifted = staticmethod(drifted)
    better_cells = staticmethod(judge.better_cells)
    flat_frames = staticmethod(judge.flat_frames)
    check_cells = staticmethod(judge.check_cells)
    in_canonical_setting = staticmethod(crystals.in_canonical_setting)

    def __init__(self) -> None:
        self.most_frames = sys.maxsize

    def lane(self) -> AbstractContextManager[None]:
        """A context without effect: batches on the host do not need to be kept apart."""
        return nullcontext()

    def constant(self, array: NDArray[Any]) -> NDArray[Any]:
        """See `Backend.constant`."""
        return array

    def on_device(self, *arrays: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """See `Backend.on_device`."""
        return arrays

    def on_host(self, *arrays: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """See `Backend.on_host`."""
        return arrays

    def load_few(self, spots: NDArray[Any], offsets: NDArray[np.int64]) -> SpotBatch:
        """See `Backend.load_few`."""
        batch: SpotBatch = self.load(spots, offsets)  # type: ignore[attr-defined]
        return batch

    def chosen_few(self, frames: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Backend.chosen_few`."""
        return frames

    def run_steps(
        self, key: Hashable, steps: Steps, state: State, *inputs: NDArray[Any]
    ) -> tuple[State, Sequence[NDArray[Any]]]:
        """See `Backend.run_steps`."""
        return steps(state, *inputs)

    def close(self) -> None:
        """Do nothing: arrays and threads end with the backend."""
