"""The job of a live run, whose frames arrive as messages, and its change by control messages."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

from ...errors import FfbidxError
from ...model.detector.beam_shift import NO_SHIFT, BeamShift
from ...model.detector.panels import GivenGeometry
from ...model.records.run import RunRecord
from ...read.cells.input_cell import cell_written_out
from ...run.job import Job
from ...run.request import input_cells_of
from ..messages import Control, MessageError
from ..request import ServeRequest, check_learning


@dataclass(frozen=True)
class LiveJob(Job):
    """A job whose frames arrive as messages; its inputs are the spot files that the run itself writes.

    Attributes
    ----------
    placed_by : str
        Text of the geometry with which pixels are converted to spots before these are stored.
    beam_shift : BeamShift
        Shift of the beam at the start of the run.
    """

    placed_by: str = ""
    beam_shift: BeamShift = NO_SHIFT

    def record(self, backend: str) -> RunRecord:
        """The record of a run whose inputs have not come yet."""
        record = super().record(backend)
        settings = record.settings | {"geometry": self.placed_by, "beam_shift": list(self.beam_shift.mrad)}
        return dataclasses.replace(record, settings=settings, inputs=(), growing=True)

    def count_frames(self) -> int | None:
        """None, because the number of frames is not known in advance."""
        return None

    def changed(self, message: Control) -> Self:
        """The job with the cells and parameters of a control message.

        Raises
        ------
        MessageError
            If they cannot be used.
        """
        try:
            p = self.parameters.replace(**message.parameters)
            check_learning(p)
            job = dataclasses.replace(self, parameters=p)
            return job.with_cells([cell_written_out(cell) for cell in message.cells])
        except (FfbidxError, TypeError, ValueError) as error:
            raise MessageError(f"control: {error}") from None


def job_of(request: ServeRequest, geometry: GivenGeometry | None) -> LiveJob:
    """The job that a request describes; its frames hold spots already, so it has no geometry of its own."""
    same = request.run_request
    job = LiveJob(
        [],
        same.parameters_in_force,
        backend=request.backend,
        device=request.device,
        threads=request.threads,
        batch_size=request.batch_size,
        d_min=request.d_min,
        d_max=request.d_max,
        save_seconds=request.save_every,
        config=same.options([]),
        placed_by=geometry.text if geometry else "",
        beam_shift=NO_SHIFT if request.beam_shift is None else BeamShift(mrad=request.beam_shift),
    )
    return job.with_cells(input_cells_of(same))
