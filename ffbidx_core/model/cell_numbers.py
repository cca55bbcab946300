"""Numbers of the input cells of a run, by which results refer to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .basis import ConventionalCells, as_given
from .cell import Array


class CellNumbers:
    """Input cells of a run, numbered from 0 in the order of their first occurrence: the rows of `/input_cells`.

    Two input cells are the same if their elements agree to the bit, where -0 equals 0. A run, its saved parts, the
    results file joined from these and a merged file all number their input cells in this way, and so agree.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._cells: list[Array] = []

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def cells(self) -> ConventionalCells:
        """The input cells (n, 3, 3), each as it first occurred; rows a, b, c, angstrom."""
        return as_given(np.array(self._cells, dtype=np.float64).reshape(-1, 3, 3))

    def of(self, cells: ConventionalCells) -> NDArray[np.int32]:
        """Numbers (M,) of input cells (M, 3, 3); a cell that occurs for the first time gets the next number."""
        return np.array([self._of(np.asarray(cell, dtype=np.float64)) for cell in cells], dtype=np.int32)

    def find(self, cell: ConventionalCells) -> int | None:
        """The number of an input cell (3, 3), or None if the cell has not occurred."""
        return self._numbers.get(_bits(np.asarray(cell, dtype=np.float64)))

    def _of(self, cell: Array) -> int:
        """The number of a cell (3, 3), which is added if it occurs for the first time."""
        number = self._numbers.setdefault(_bits(cell), len(self._cells))
        if number == len(self._cells):
            self._cells.append(cell)
        return number


def _bits(cell: Array) -> bytes:
    """The bytes of a cell, by which equal cells are recognised."""
    # Adding 0 turns -0 into 0.
    return (cell + 0.0).tobytes()
