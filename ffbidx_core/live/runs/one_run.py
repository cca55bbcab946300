"""One run of a live server: its frames are indexed, its cell is learned, and its results are stored."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ...devices import Devices
from ...errors import NothingProcessed, UsageError
from ...model.basis import as_given
from ...model.detector.beam_shift import NO_SHIFT, BeamShift
from ...model.lattice import Lattice, lattices_by_cell
from ...model.records.run import Learned
from ...read.run_inputs import RunInputs
from ...read.sift import ResolutionLimits
from ...run.account import Account
from ...run.input_cells import CellSet
from ...run.judgement import judged
from ...run.learning.distorted import moved_block
from ...run.learning.settling import BEAM_OFF, Settled
from ...run.outcome import BatchFound
from ...run.spread.batches import index_batch
from ...run.summary import Summary
from ...write import MemoryStore, Output, PartsStore, Store
from ...write.formats.names import RESULTS_FILE
from ..answers import BatchAnswers
from ..columns import FrameColumns
from ..frames import WARM_UP, WARM_UP_OF, Placing, made_up_frames
from .drift import Drift
from .job import LiveJob
from .keeper import Keeper
from .learner import Learner, Lessons

LEARNED = "from frame {} ({}) on the run uses the cell learned from its first {} frames"
MOVED = "from frame {} ({}) on the run has the beam moved by {:+.2f} mrad in x and {:+.2f} mrad in y"
CHANGED = "from frame {} ({}) on the run uses {}, set by a control message"


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
        Function that opens the devices for learning, which goes on in parallel to the frames; None: nothing is
        learned.

    Raises
    ------
    UsageError, OutputError, InputError
        If the output exists, or belongs to another run or a complete one, or cannot be written or resumed.

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
        learning_devices: Callable[[], Devices] | None,
    ) -> None:
        self.name, self.output = name, output
        self._devices = devices
        self._job: LiveJob = dataclasses.replace(job, output=output)
        self._store = self._opened(output, overwrite, resume)
        with contextlib.ExitStack() as if_refused:
            # A store that is left open would refuse the next run with this output.
            if_refused.callback(self._store.close)
            self.account = Account(self._job, devices.name, self._store)
            saved = self.account.saved
            if saved.is_complete:
                raise UsageError(f"--resume: {output} is complete: another name, or --overwrite to start again")
            self._keeper = Keeper(self._store, self._job, devices, self.account) if output else None
            if_refused.pop_all()
        self.account.cells.take_up(saved.learned or [])
        self.beam_shift = job.beam_shift + (saved.learned[0].beam_shift if saved.learned else NO_SHIFT)
        self._learned: list[Learned] = saved.learned or []
        self._jobs, self._kept_cells = [self._job], 0
        # Control messages before the run was resumed may have set cells that no job of this process has.
        codes = self.account.saved_lattices.split()
        self._before = list(zip(self.account.cells.given, map(Lattice.of_code, codes), strict=False))
        self._answered: tuple[BatchFound, CellSet | None] | None = None
        self._learner = Learner(self._job, self.account.p, learning_devices if saved.learned is None else None)
        self._limits, self._drift = ResolutionLimits(job.d_min, job.d_max), Drift()
        self.n_frames = saved.mark.end.position

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
        block = placing.block(frames, self._limits, self.account.p.retry)
        if self.beam_shift:
            block = moved_block(block, self.beam_shift)
        cells, p = self.account.prepared(block), self.account.p
        result = index_batch(self._devices, block, cells, p, keep_all=self._job.keep_all)
        found = self.account.with_notes(BatchFound.of(block, cells, result, p))
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
            if (n_cells := len(self.account.cells.given)) > self._kept_cells:
                self._keeper.put(self._lattice_codes())
                self._kept_cells = n_cells
            self._keeper.put(found)

    def warm_up(self, placing: Placing) -> None:
        """Compute made-up frames, as the first frames of the next runs are computed, and end this run."""
        for n in (*WARM_UP, *WARM_UP_OF.get(self._devices.name, ())):
            self.index([made_up_frames(self._job.cells, n)], placing, 0)
            self.account_for_answered()
        self.finish(complete=False)

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
            note(LEARNED.format(self.n_frames, first, self._learner.n_frames))
        self.account.cells.take_up(lessons.learned)
        self._learned += lessons.learned
        if self._keeper is not None:
            self._keeper.put(lessons.learned)

    def control(self, job: LiveJob, changes: str) -> str:
        """Use the cells and parameters of a job for the frames that follow.

        Parameters
        ----------
        job
            The job as a control message has changed it.
        changes
            Words for the changes.

        Returns
        -------
        str
            A sentence about the changes, which is also kept in the results.
        """
        self._job = dataclasses.replace(job, output=self.output)
        if self._job.cells is not self._jobs[-1].cells:
            self._jobs.append(self._job)
        self.account.p = job.in_force
        self.account.cells.go_on_with(self._job, job.in_force)
        text = CHANGED.format(self.n_frames, "the next", changes)
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
                    settled = Settled(self._with_all_cells(), self._learned, iter(()))
                    contest = judged(account, settled, self._devices, collector)
                try:
                    return account.finish(collector, self._devices.device, complete, contest).summary
                except NothingProcessed as error:
                    account.show(str(error))
            elif keeper is not None:
                keeper.finish()
        finally:
            self._store.close()
        return self._summary(complete)

    def _with_all_cells(self) -> LiveJob:
        """The job with the input cells that the run has had so far, as far as their lattices are known."""
        cells = [cell[None] for cell, _ in self._before] + [job.cells for job in self._jobs if job.cells is not None]
        lattices = (*(known for _, known in self._before), *(each for job in self._jobs for each in job.lattices))
        return dataclasses.replace(self._job, cells=as_given(np.concatenate(cells)), lattices=lattices)

    def _lattice_codes(self) -> str:
        """The codes of the lattices of all input cells that were searched for so far, in the order of their numbers."""
        job = self._with_all_cells()
        return " ".join(each.code for each in lattices_by_cell(self.account.cells.given, job.cells, job.lattices))

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
