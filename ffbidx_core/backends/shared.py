"""Base classes of backends: verbs in plain array code, and the properties of backends in host memory."""

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
    """Verbs in plain array code, for backends without a kernel of their own for these verbs."""

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
    """Base class of the backends in host memory, which compute one batch at a time and spread it over threads."""

    lanes = 1
    memory_errors: tuple[type[Exception], ...] = (MemoryError,)
    xp: ModuleType = np

    def __init__(self) -> None:
        self.most_frames = sys.maxsize

    def lane(self) -> AbstractContextManager[None]:
        """A context without effect: batches on the host do not need to be kept apart."""
        return nullcontext()

    def close(self) -> None:
        """Do nothing: arrays and threads end with the backend."""
