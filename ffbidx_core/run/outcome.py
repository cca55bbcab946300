"""The outcome of a run, and of each batch on its way to the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..model.records.frame import ConventionalResult, FrameBlock, FrameStatus
from ..model.records.reason import with_status
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity
from ..parameters import Parameters
from ..write.stores import Store
from .input_cells import KnownCells
from .summary import Summary


@dataclass(frozen=True)
class Outcome:
    """The summary of a run, and the store with its results."""

    summary: Summary
    header: ResultsHeader
    store: Store

    def pieces(self) -> Iterator[Results]:
        """Yield the results, some frames at a time."""
        return self.store.pieces()

    def results(self) -> Results:
        """The results of a run whose store keeps them in memory."""
        (results,) = self.store.pieces()
        return dataclasses.replace(results, header=self.header, complete=self.summary.complete)


@dataclass(frozen=True)
class BatchFound:
    """A batch with its results, on its way to the store.

    Attributes
    ----------
    batch
        The frames of the batch.
    status : (F,) uint8
        The `FrameStatus` of each frame.
    result
        The results of all frames, with conventional cells.
    cells : KnownCells or None
        The input cells that competed on the frames; None if no frame is usable.
    notes : sequence of str
        Notes that came up since the previous batch, besides the problems of the batch itself.
    inputs : tuple of InputIdentity or None
        For a run that follows its inputs, the inputs begun when the batch was done; None for any other run.
    """

    batch: FrameBlock
    status: NDArray[np.uint8]
    result: ConventionalResult
    cells: KnownCells | None
    notes: Sequence[str] = ()
    inputs: tuple[InputIdentity, ...] | None = None

    @property
    def without_spots(self) -> Self:
        """The same without the spots, which take most of the memory and are no part of the results."""
        return dataclasses.replace(self, batch=dataclasses.replace(self.batch, spots=self.batch.spots[:0].copy()))

    @classmethod
    def of(cls, batch: FrameBlock, cells: KnownCells | None, result: ConventionalResult, p: Parameters) -> Self:
        """A batch with the status of each frame, which follows from the results and the parameters of the run."""
        status = batch.status.copy()
        usable = batch.status == FrameStatus.NOT_INDEXED.value
        few = usable & (np.diff(batch.offsets) - result.n_at_origin < p.fewest_spots)
        status[few] = FrameStatus.TOO_FEW_SPOTS.value
        status[np.diff(result.crystal_offsets) > 0] = FrameStatus.INDEXED.value
        result = dataclasses.replace(result, reason=with_status(result.reason, status))
        return cls(batch, status, result, cells)
