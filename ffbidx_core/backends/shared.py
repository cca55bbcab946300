"""What backends have in common: verbs in plain array code, and the life of a backend in host memory."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import numpy as np

from ..model.misfit.equations import Spread
from ..model.records.batch import SpotBatch
from ..model.xp import XpArray
from ..parameters import Parameters
from .generic.expected_false import expected_false
from .generic.fit_whitened import fit_whitened


class GenericVerbs:
    """Verbs in plain array code, for backends that have no kernel for them."""

    def fit_whitened(
        self,
        spots: SpotBatch,
        cells: XpArray,
        reference: XpArray,
        cutoff: XpArray,
        spread: Spread,
        prior: float,
        symmetry: XpArray | None = None,
    ) -> XpArray:
        """See `Backend.fit_whitened`."""
        return fit_whitened(spots, cells, reference, cutoff, spread, prior, symmetry)

    def expected_false(
        self,
        spots: SpotBatch,
        counts: XpArray,
        radii: XpArray,
        input_cell: XpArray,
        volumes: XpArray,
        orders: XpArray,
        p: Parameters,
    ) -> XpArray:
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

    def close(self) -> None:
        """Nothing to give back: arrays and threads end with the backend."""
