"""The numbers by which results name the input cells of a run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .cell import Array


class CellNumbers:
    """Input cells of a run, numbered from 0 in the order in which they come up first: the rows of `/input_cells`.

    Two input cells are the same where their numbers agree to the bit, -0 and 0 being one. A run, its saved parts, the
    file that they are joined to and a merged file all number their input cells so, and agree.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._cells: list[Array] = []

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def cells(self) -> Array:
        """The input cells, each as it came up first, (n, 3, 3)."""
        return np.array(self._cells, dtype=np.float64).reshape(-1, 3, 3)

    def of(self, cells: Iterable[Array]) -> NDArray[np.int32]:
        """Numbers (M,) of input cells (M, 3, 3); cells that did not come up before get the next ones."""
        return np.array([self._of(np.asarray(cell, dtype=np.float64)) for cell in cells], dtype=np.int32)

    def find(self, cell: Array) -> int | None:
        """The number of an input cell (3, 3); None where it did not come up."""
        return self._numbers.get(_bits(np.asarray(cell, dtype=np.float64)))

    def _of(self, cell: Array) -> int:
        number = self._numbers.setdefault(_bits(cell), len(self._cells))
        if number == len(self._cells):
            self._cells.append(cell)
        return number


def _bits(cell: Array) -> bytes:
    # Adding 0 makes -0 a 0.
    return (cell + 0.0).tobytes()
