"""Base classes of backends: verbs in plain array code, and the properties of backends in host memory."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

import numpy as np

from .generic.expected_false import expected_false
from .generic.fit_whitened import fit_whitened


class GenericVerbs:
    """Verbs in plain array code, for backends without a kernel of their own for these verbs.

    They need nothing of the backend: the module of the arrays is `spots.xp`.
    """

    fit_whitened = staticmethod(fit_whitened)
    expected_false = staticmethod(expected_false)


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
