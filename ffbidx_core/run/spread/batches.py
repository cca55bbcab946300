"""The loop in which batches are computed: by the process of a run, and by each worker for its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...devices import Devices
from ...devices.lanes import in_lanes
from ...model.records.frame import ConventionalResult, FrameBlock
from ...parameters import Parameters
from ..input_cells import CellSet
from ..job import Job
from ..outcome import BatchFound


def computed(
    devices: Devices, job: Job, batches: Iterable[FrameBlock], prepared: Callable[[FrameBlock], CellSet | None]
) -> Iterator[BatchFound]:
    """Compute batches, as many at once as the devices have lanes, and yield their results in the order of the input.

    Parameters
    ----------
    devices
        The devices that compute the batches.
    job
        The job of which the batches are.
    batches
        The batches; one without frames means that no others come for now.
    prepared
        Function that returns the input cells of a batch, or None if no frame is usable. It is called in the order of
        the batches, in the caller's thread.
    """
    p = job.in_force

    def compute(item: tuple[FrameBlock, CellSet | None]) -> ConventionalResult:
        return index_batch(devices, *item, p, keep_all=job.keep_all)

    items = ((batch, prepared(batch)) for batch in batches)
    for (batch, cells), result in in_lanes(devices, items, compute, lambda item: not item[0].n_frames):
        yield BatchFound.of(batch, cells, result, p)


def index_batch(
    devices: Devices, batch: FrameBlock, cells: CellSet | None, p: Parameters, *, keep_all: bool
) -> ConventionalResult:
    """The results of a batch with conventional cells; they are empty if the batch has no usable frames."""
    if cells is None:
        return ConventionalResult.empty(batch.n_frames)
    result = devices.index_frames(
        batch.spots,
        batch.offsets,
        cells.plan,
        p,
        given_cells=cells.given,
        keep_all=keep_all,
        by_intensity=batch.by_intensity,
    )
    return cells.as_meant(result)
