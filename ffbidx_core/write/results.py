"""The results file of a run, gathered block by block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array
from ..model.frame import BatchResult, FrameBlock
from ..model.results import Results, ResultsHeader


class ResultsWriter:
    """Gathers the results of blocks in the order of the input."""

    def __init__(self, header: ResultsHeader) -> None:
        self.header = header

    def input_rows(self, cells: Array) -> NDArray[np.int32]:
        """Rows of `/input_cells` for cells (M, 3, 3); those not seen before are added."""
        raise NotImplementedError

    def learned(self, rows: NDArray[np.int32], cells: Array) -> None:
        """Keep the learned cells (M, 3, 3) that stand for rows of `/input_cells`."""
        raise NotImplementedError

    def add(
        self, block: FrameBlock, result: BatchResult, status: NDArray[np.uint8], input_cell_rows: NDArray[np.int32]
    ) -> None:
        """Append a block.

        Parameters
        ----------
        result
            Of all frames of the block; those that were not indexed have no cells.
        status : (F,)
            As `FrameStatus`.
        input_cell_rows : (M,)
            Row of `/input_cells` for each input cell of the block, as `input_rows` gave it.
        """
        raise NotImplementedError

    def results(self, complete: bool) -> Results:
        """All that was gathered."""
        raise NotImplementedError

    def to_bytes(self, complete: bool) -> bytes:
        """The results file (HDF5)."""
        raise NotImplementedError
