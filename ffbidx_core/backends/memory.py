"""The verbs of a backend that move arrays between host and device, and that run other verbs together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..model.records.batch import SpotBatch
from ..model.xp import XpArray

State: TypeAlias = tuple[Any, ...]
"""What steps start from and end with: arrays of the backend, tuples of them, and at least one `SpotBatch`."""
Steps: TypeAlias = Callable[..., tuple[State, Sequence[XpArray]]]
"""Steps of `Memory.run_steps`: a function of a state and of arrays, which returns a state and arrays for the host."""


class Same:
    """A key that equals the keys of the same object, which it keeps alive.

    Parameters
    ----------
    what
        Object, which is not to be changed.
    """

    def __init__(self, what: object) -> None:
        self._what = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._what is self._what

    def __hash__(self) -> int:
        return id(self._what)


class Memory(Protocol):
    """The verbs by which arrays come to a backend and back."""

    def constant(self, array: NDArray[Any]) -> XpArray:
        """The backend's array with the content of one in host memory, which must stay as it is and is copied once."""

    def on_device(self, *arrays: NDArray[Any]) -> Sequence[XpArray]:
        """The backend's arrays with the contents of arrays in host memory, copied together; not to be changed."""

    def on_host(self, *arrays: XpArray) -> Sequence[NDArray[Any]]:
        """The contents of arrays in host memory; a backend whose arrays are elsewhere waits for them once."""

    def load(self, spots: XpArray, offsets: XpArray) -> SpotBatch:
        """Pack spots (N, 3) and offsets (F + 1,), each frame sorted by (|s|^2, x, y, z), with |s|^2 in float64."""

    def load_few(self, spots: NDArray[Any], offsets: NDArray[Any]) -> SpotBatch:
        """As `load`, for spots in host memory; frames without spots may follow those that are given."""

    def chosen_few(self, frames: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of chosen frames, after which numbers of frames without spots may follow.

        Parameters
        ----------
        frames : (n,)
            Numbers of frames in a batch, ascending.
        counts : (F,)
            Number of spots of each frame of the batch.
        """

    def run_steps(
        self, key: Hashable, steps: Steps, state: State, *inputs: NDArray[Any]
    ) -> tuple[State, Sequence[NDArray[Any]]]:
        """Run several verbs on a batch, between which the host needs no results.

        A backend may record what the steps do to a small batch, and repeat it without calling them. The arrays of a
        state are then written again when the same steps run on the next batch of the lane.

        Parameters
        ----------
        key
            Key that is equal only for steps that do the same with equally shaped arrays.
        steps
            Function of the state and of the inputs as arrays of the backend, which returns the state after the steps
            and the arrays that the host needs.
        state
            State that other steps have returned, or one of arrays that are only used once.
        inputs
            Arrays in host memory.

        Returns
        -------
        state : tuple
            State after the steps.
        results : sequence of ndarray
            The arrays that the host needs, in host memory.
        """
