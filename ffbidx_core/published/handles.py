"""The published interface as functions on handles, which PSI's package has in addition to the class."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .indexer import Indexer

_indexers: dict[int, Indexer] = {}
_numbers = itertools.count(1)


def indexer(*args: Any, **options: Any) -> int:
    """Make an indexer and return its handle; the arguments are those of `Indexer`."""
    made, handle = Indexer(*args, **options), next(_numbers)
    _indexers[handle] = made
    return handle


def index(
    handle: int, spots: NDArray[Any], input_cells: NDArray[Any], *args: Any, **options: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Index one frame; the arguments after the handle and the returned values are those of `Indexer.run`.

    Raises
    ------
    RuntimeError
        If the handle is unknown, or was released.
    """
    return _of(handle).run(spots, input_cells, *args, **options)


def release(handle: int) -> None:
    """Release an indexer and its memory.

    Raises
    ------
    RuntimeError
        If the handle is unknown, or was released.
    """
    _of(handle).close()
    del _indexers[handle]


def _of(handle: int) -> Indexer:
    try:
        return _indexers[handle]
    except (KeyError, TypeError):
        raise RuntimeError(f"{handle!r} is the handle of no indexer: make one by ffbidx.indexer()") from None
