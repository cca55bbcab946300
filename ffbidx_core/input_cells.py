"""The input cells of a run: which compete on a frame, what was learned of them, where the search starts."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .indexer import Backend
from .job import Job
from .learn import learn_cells
from .model.cell import Array, is_left_handed
from .model.frame import BatchResult, FrameBlock
from .model.lattice import primitive_basis
from .model.plan import SearchPlan
from .model.units import suspicious_units
from .parameters import Parameters
from .summary import CellSummary, Tally
from .write import ResultsWriter

MOST_PLANS = 256
"""Search plans that are kept; of more sets of input cells the oldest plan is dropped and made again when needed."""


@dataclass
class CellSet:
    """Input cells that compete on a frame.

    Attributes
    ----------
    given : (M, 3, 3) float64
        As the user gave them, centred ones by their primitive cell.
    conventional : (M, 3, 3) float64
        What makes the cells that the user means of these: conventional @ given.
    rows : (M,) int32
        Their rows of `/input_cells`.
    plan : SearchPlan
        The search, for the learned cells where there are any.
    """

    given: Array
    conventional: Array
    rows: NDArray[np.int32]
    plan: SearchPlan

    def as_meant(self, result: BatchResult) -> BatchResult:
        """A result with conventional cells."""
        cells = self.conventional[result.input_cell] @ result.cells.astype(np.float64)
        return dataclasses.replace(result, cells=cells.astype(np.float32))


class InputCells:
    """All input cells of a run.

    Parameters
    ----------
    job
        Says which cells a block has.
    p
        For the search and the learning.
    writer
        Numbers the cells and keeps the learned ones.
    tell
        Called with each thing that a user should know.

    Attributes
    ----------
    most : int
        Most cells that competed on a frame so far.
    """

    def __init__(self, job: Job, p: Parameters, writer: ResultsWriter, tell: Callable[[str], object]) -> None:
        self._job, self._p, self._writer, self._tell = job, p, writer, tell
        self._sets: dict[bytes, CellSet] = {}
        self._learned: dict[bytes, Array] = {}
        self._given_of_row: dict[int, Array] = {}
        self._learned_of_row: dict[int, tuple[Array, int]] = {}
        self._suspicious: set[bytes] = set()
        self.most = 1

    def learn(self, backend: Backend, blocks: Sequence[FrameBlock]) -> None:
        """Learn the cells of these blocks from their frames."""
        groups: dict[bytes, list[FrameBlock]] = {}
        for block in blocks:
            if block.has_usable_frames:
                groups.setdefault(self._job.cells_of(block).tobytes(), []).append(block)
        for key, group in groups.items():
            given, frames = self._job.cells_of(group[0]), FrameBlock.joined(group)
            bases = self._primitive_bases(given)
            cells, n_crystals = learn_cells(backend, frames.spots, frames.offsets, bases @ given, self._p)
            cells = np.linalg.inv(bases) @ cells
            rows, taught = self._rows(given), np.flatnonzero(n_crystals)
            if len(taught):
                self._learned[key] = cells
                self._writer.learned(rows[taught], cells[taught])
                self._learned_of_row |= {int(rows[m]): (cells[m], int(n_crystals[m])) for m in taught}

    def get(self, block: FrameBlock) -> CellSet:
        """The input cells of a block with their search."""
        given = self._job.cells_of(block)
        key = given.tobytes()
        if key not in self._sets:
            if len(self._sets) >= MOST_PLANS:
                del self._sets[next(iter(self._sets))]
            used, bases = self._learned.get(key, given), self._primitive_bases(given)
            plan, conventional = SearchPlan.make(bases @ used, self._p), np.asarray(np.linalg.inv(bases), np.float64)
            self._sets[key] = CellSet(bases @ given, conventional, self._rows(given), plan)
        return self._sets[key]

    def _primitive_bases(self, given: Array) -> Array:
        """The basis of each input cell's primitive cell, (M, 3, 3)."""
        centrings = self._job.centrings(len(given))
        return np.stack([primitive_basis(*pair) for pair in zip(given, centrings, strict=True)])

    def look_at_units(self, block: FrameBlock) -> None:
        """Tell once for each set of cells what looks like nanometres."""
        given = self._job.cells_of(block)
        if given.tobytes() not in self._suspicious:
            for sentence in suspicious_units(block.spots, block.offsets, given):
                self._suspicious.add(given.tobytes())
                self._tell(sentence)

    def summaries(self, tally: Tally) -> list[CellSummary]:
        """What became of each cell, in the order of `/input_cells`."""
        return [
            tally.cell_summary(row, given, *self._learned_of_row.get(row, (None, 0)))
            for row, given in sorted(self._given_of_row.items(), key=operator.itemgetter(0))
        ]

    def _rows(self, given: Array) -> NDArray[np.int32]:
        """Rows of `/input_cells`; left-handed cells are told of when they come up first."""
        rows = self._writer.input_rows(given)
        self.most = max(self.most, len(given))
        for row, cell in zip(rows.tolist(), given, strict=True):
            if row not in self._given_of_row and is_left_handed(cell):
                self._tell(f"input cell {row} is left-handed; it is taken as it is")
            self._given_of_row[row] = cell
        return rows
