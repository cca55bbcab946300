"""One run of a live server: its frames are indexed, its cell is learned, and its results are stored."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..devices import Devices
from ..errors import FfbidxError, NothingProcessed, UsageError
from ..model.basis import as_given
from ..model.detector.beam_shift import NO_SHIFT, BeamShift
from ..model.detector.panels import GivenGeometry
from ..model.lattice import Lattice
from ..model.records.run import Learned, RunRecord
from ..read.cells.input_cell import cell_written_out
from ..read.run_inputs import RunInputs
from ..read.sift import ResolutionLimits
from ..run.account import Account
from ..run.input_cells import CellSet, index_batch
from ..run.job import Job
from ..run.judgement import judged
from ..run.learning.distorted import moved_block
from ..run.learning.settling import BEAM_OFF, Settled
from ..run.outcome import BatchFound
from ..run.request import input_cells_of
from ..run.summary import Summary
from ..write import MemoryStore, Output, PartsStore, Store
from ..write.formats.names import RESULTS_FILE
from .answers import BatchAnswers
from .columns import FrameColumns
from .drift import Drift
from .frames import Placing
from .keeper import Keeper
from .learner import Learner, Lessons
from .messages import Control, MessageError
from .request import ServeRequest

LEARNED = "from frame {} ({}) on the run uses the cell learned from its first {} frames"
MOVED = "from frame {} ({}) on the run has the beam moved by {:+.2f} mrad in x and {:+.2f} mrad in y"
CHANGED = "from frame {} ({}) on the run uses {}, set by a control message"


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


class OneRun:
    """A run from its first frame to its end.

    Parameters
    ----------
    job
        The input cells, parameters and limits of the run.
    devices
        The devices that compute the frames.
    name
        Name of the run.
    output
        Name of the results file; empty: nothing is stored.
    overwrite, resume
        Whether an existing output is replaced, and whether a stopped run is resumed, as in a run of files.
    learning_devices
        Function that opens the devices for learning, which goes on in parallel to the frames.

    Attributes
    ----------
    name : str
        Name of the run.
    beam_shift : BeamShift
        Shift of the beam for the next frames.
    n_frames : int
        Number of frames so far.
    """

    def __init__(
        self,
        job: LiveJob,
        devices: Devices,
        name: str,
        *,
        output: str,
        overwrite: bool,
        resume: bool,
        learning_devices: Callable[[], Devices],
    ) -> None:
        self.name, self.output = name, output
        self._devices = devices
        self._job: LiveJob = dataclasses.replace(job, output=output)
        self._store = self._opened(output, overwrite, resume)
        self.account = Account(self._job, devices.name, self._store)
        saved = self.account.saved
        if saved.is_complete:
            raise UsageError(f"--resume: {output} is complete: another name, or --overwrite to start again")
        self.account.cells.take_up(saved.learned or [])
        self.beam_shift = job.beam_shift + (saved.learned[0].beam_shift if saved.learned else NO_SHIFT)
        self._learned: list[Learned] = saved.learned or []
        self._used: list[LiveJob] = []
        self._never = threading.Event()
        self._answered: tuple[BatchFound, CellSet | None] | None = None
        p = self.account.p if saved.learned is None else self.account.p.replace(learn_cell=0)
        self._learner = Learner(self._job, p, learning_devices)
        self._limits, self._drift = ResolutionLimits(job.d_min, job.d_max), Drift()
        self.n_frames = saved.mark.end.position
        self._keeper = Keeper(self._store, self._job, devices, self.account) if output else None

    def _opened(self, output: str, overwrite: bool, resume: bool) -> Store:
        if not output:
            return MemoryStore()
        inputs = RunInputs(None, self._job.lattices_of_rows)
        store = PartsStore([Output(output, RESULTS_FILE, inputs)], overwrite=overwrite, resume=resume)
        store.check([])
        return store

    def index(self, frames: Sequence[FrameColumns], placing: Placing, dropped: int) -> BatchAnswers:
        """Index frames, and return their answers; `account_for_answered` is to be called next.

        Parameters
        ----------
        frames
            Frames without problems in `placing`; those without number or name get one.
        placing
            The conversion of pixels to spots.
        dropped
            Number of frames that the server has dropped so far, for the answers.
        """
        frames = self._named(frames)
        if (lessons := self._learner.finished()) is not None:
            self._use(lessons, frames[0].names[0])
        if not self._used or self._used[-1].cells is not self._job.cells:
            self._used.append(self._job)
        block = placing.block(frames, self._limits, self.account.p.retry)
        if self.beam_shift:
            block = moved_block(block, self.beam_shift)
        ((_, cells),) = self.account.prepared(iter([block]), self._never)
        result = index_batch(self._devices, block, cells, self.account.p, keep_all=self._job.keep_all)
        found = self.account.outcome_of(block, cells, result)
        self.n_frames += block.n_frames
        self._answered = found, cells
        return BatchAnswers.of(found, frames, self.name, dropped)

    def account_for_answered(self) -> None:
        """Count and store the frames that `index` answered, which need not wait for that."""
        assert self._answered is not None
        (found, cells), self._answered = self._answered, None
        self.account.count(found)
        self._learner.add(found.batch)
        self._drift.add(found.batch, cells, found.result)
        if self._keeper is not None:
            self._keeper.put(found)

    def _named(self, frames: Sequence[FrameColumns]) -> list[FrameColumns]:
        named, first = list[FrameColumns](), self.n_frames
        for each in frames:
            named.append(each.named(first))
            first += each.n_frames
        return named

    def _use(self, lessons: Lessons, first: str) -> None:
        """Use the result of learning, from the frame with this name on."""
        note = self.account.note
        if lessons.left is not None:
            note(BEAM_OFF.format(*lessons.left.mrad))
        if lessons.moved:
            self.beam_shift += lessons.moved
            self._drift.moved()
            note(MOVED.format(self.n_frames, first, *lessons.moved.mrad))
        if lessons.learned:
            note(LEARNED.format(self.n_frames, first, self.account.p.learn_cell))
        self.account.cells.take_up(lessons.learned)
        self._learned += lessons.learned
        if self._keeper is not None:
            self._keeper.put(lessons.learned)

    def control(self, message: Control) -> str:
        """Use new cells and parameters for the frames that follow, and return a sentence about the change.

        Raises
        ------
        MessageError
            If they cannot be used; then nothing is changed.
        """
        job = self._job
        try:
            p = self.account.p.replace(**message.parameters)
            p.check_retry()
            job = job.with_cells([cell_written_out(cell) for cell in message.cells])
        except (FfbidxError, TypeError, ValueError) as error:
            raise MessageError(f"control: {error}") from None
        self._job, self.account.p = job, p
        self.account.cells.go_on_with(job, p)
        words = [f"the cells {'; '.join(message.cells)}"] if message.cells else []
        words += [f"{name} = {value}" for name, value in message.parameters.items()]
        text = CHANGED.format(self.n_frames, "the next", ", ".join(words))
        self.account.note(text)
        return text

    @property
    def beam_left(self) -> BeamShift | None:
        """Shift of the beam from its position in the run, by the newest crystals; None if it is not known yet."""
        return self._drift.left

    def save_if_due(self) -> None:
        """Save the gathered results if a save is due, even if no frame comes."""
        if self._keeper is not None:
            self._keeper.put(None)

    def finish(self, complete: bool) -> Summary:
        """End the run and make the results file.

        Parameters
        ----------
        complete
            Whether all frames have come; an incomplete run can be resumed.
        """
        self._learner.close()
        account, keeper = self.account, self._keeper
        try:
            if keeper is not None and self.n_frames:
                collector = keeper.finish()
                contest = account.saved.mark.contest
                if complete:
                    contest = judged(account, Settled(self._job, self._learned, iter(())), self._devices, collector)
                collector.header = dataclasses.replace(
                    collector.header, lattices=" ".join(each.code for each in self._lattices_of_rows())
                )
                try:
                    return account.finish(collector, self._devices.device, complete, contest).summary
                except NothingProcessed as error:
                    account.show(str(error))
            elif keeper is not None:
                keeper.finish()
        finally:
            self._store.close()
        return self._summary(complete)

    def _lattices_of_rows(self) -> tuple[Lattice, ...]:
        """The lattice of each input cell that was used, in the order of their numbers in the results."""
        if any(job.cells is None for job in self._used):
            return ()
        cells = as_given(np.concatenate([job.cells for job in self._used if job.cells is not None]))
        lattices = tuple(lattice for job in self._used for lattice in job.lattices)
        return dataclasses.replace(self._job, cells=cells, lattices=lattices).lattices_of_rows

    def _summary(self, complete: bool) -> Summary:
        """The summary of a run whose results are not stored."""
        tally, header = self.account.tally, self._job.header(self._devices.name, self._devices.device)
        return tally.summary(
            self.account.cells.summaries(tally),
            method=header.method,
            backend=header.backend,
            device=header.device,
            output="",
            complete=complete,
        )
