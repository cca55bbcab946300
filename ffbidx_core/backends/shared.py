"""What backends have in common: verbs in plain array code, and the life of a backend in host memory."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np

from ..model.misfit.equations import Spread
from ..model.records.batch import SpotBatch
from ..parameters import Parameters
from .generic.expected_false import expected_false
from .generic.fit_whitened import fit_whitened


class GenericVerbs:
    """Verbs in plain array code, for backends that have no kernel for them."""

    def fit_whitened(
        self,
        spots: SpotBatch,
        cells: Any,
        reference: Any,
        cutoff: Any,
        spread: Spread,
        prior: float,
        symmetry: Any = None,
    ) -> Any:
        """See `Backend.fit_whitened`."""
        return fit_whitened(spots, cells, reference, cutoff, spread, prior, symmetry)

    def expected_false(
        self, spots: SpotBatch, counts: Any, radii: Any, input_cell: Any, volumes: Any, orders: Any, p: Parameters
    ) -> Any:
        """See `Backend.expected_false`."""
        return expected_false(spots, counts, radii, input_cell, volumes, orders, p)


class OnHost(GenericVerbs):
    """What the backends in host memory share: one batch at a time, spread over the threads by itself."""

    lanes = 1
    memory_errors: tuple[type[Exception], ...] = (MemoryError,)
    xp: ModuleType = np

    def __init__(self) -> None:
        self.most_frames = sys.maxsize

    def lane(self) -> AbstractContextManager[None]:
        """Nothing to keep apart."""
        return nullcontext()
