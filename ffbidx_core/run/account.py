"""The account of a run: it counts what was found on the frames, and collects notes for the user."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ..errors import InputError, NothingProcessed
from ..model.chance.in_run import expected_false_in_run
from ..model.records.doubt import Contest
from ..model.records.frame import FrameBlock, Place
from ..model.records.remedy import Remedy
from ..model.records.results import Results
from ..model.records.run import Mark
from ..read import Source, read_blocks
from ..read.files.opened_results import OpenResults
from ..read.geometry.distance import first_distance
from ..write.stores import Store
from .collector import Collector
from .input_cells import CellSet, InputCells
from .job import Job
from .outcome import BatchFound, Outcome
from .sample import EvenSample
from .summary import Progress
from .tally import Tally


class Account:
    """Counts the frames of a run and takes its notes; it belongs to the caller's thread.

    Parameters
    ----------
    job
        The work of the run.
    backend
        Name of the backend in use.
    store
        The store of the results, which begins the run or resumes a stopped one.

    Attributes
    ----------
    inputs : tuple of InputIdentity
        Identities of the inputs when the run began.
    saved : Saved
        The state of the run in the store when it was resumed.
    saved_lattices : str
        Codes of the lattices of the input cells, as the last saved part of a resumed run has them.
    start : Place
        The place of the first frame that is not finished yet.
    cells : InputCells
        The input cells of the run.
    tally : Tally
        The counts of frames, spots and crystals.
    sample : EvenSample
        Some of the indexed frames, so far those of a run that is resumed.
    remedy : Remedy or None
        Option that is probably wrong, by the first frames; None if all seem right.
    remedy_of_learned : Remedy or None
        Option that would give the learned cell the size of the given one; None if it has about this size.
    """

    def __init__(self, job: Job, backend: str, store: Store) -> None:
        self.job, self.p = job, job.in_force
        self.tally, self.sample = Tally(), EvenSample(self.p.judge_frames)
        self.remedy: Remedy | None = None
        self.remedy_of_learned: Remedy | None = None
        self.cells = InputCells(job, self.p, self.note, self.show)
        self.saved_lattices = ""
        self._to_keep: list[str] = []
        self._to_show: list[str] = []
        record = job.record(backend)
        self.inputs, self.saved = record.inputs, store.begin(record)
        if job.follow is not None:
            job.follow.take_up(self.saved.begun)
        self.start = job.start if self.saved.mark.end == Place() else self.saved.mark.end
        self._take_up(store)

    @functools.cached_property
    def total(self) -> int | None:
        """The number of frames of the whole run; None if it is not known. It is counted when it is first needed."""
        return self.job.count_frames()

    def _take_up(self, store: Store) -> None:
        for piece in store.pieces():
            self._count(piece)
            self.saved_lattices = piece.header.lattices
            self.sample.add(piece)
        self.cells.most = max(self.cells.most, self.saved.mark.most_cells)
        self.tally.take_up(self.saved.mark)
        # The notes of these frames are in the marks already, and notes on saved parts do not belong to the results.
        self._to_keep.clear()
        for note in self.saved.notes:
            self.show(note)
        for note in self.job.notes:
            if note not in self.saved.mark.problems:
                self.note(note)

    def check_growth(self, job: Job) -> None:
        """Refuse to go on in a file that has grown, and whose last finished frame is not what it was.

        Raises
        ------
        InputError
            When the spots of that frame have another checksum.
        """
        mark = self.saved.mark
        if job.follow is None or mark.end.frame == 0:
            return
        source = job.follow.inputs[mark.end.source].path
        frame = Source(source, mark.end.frame - 1)
        blocks = read_blocks(
            [frame],
            d_min=job.d_min,
            d_max=job.d_max,
            geometry=job.geometry,
            by_intensity=job.parameters.retry,
            prober=job.prober,
        )
        if next(blocks).last_checksum != mark.checksum:
            mend = "--overwrite starts the run again"
            raise InputError(source, f"--resume: frame {frame.index} has changed since it was indexed; {mend}")

    def prepared(self, batch: FrameBlock) -> CellSet | None:
        """The input cells of the next batch, whose problems are shown; None if no frame is usable."""
        for problem in batch.problems:
            self.show(problem)
        return self.cells.of_batch(batch)

    def with_notes(self, found: BatchFound) -> BatchFound:
        """A computed batch with the notes that came up since the previous one."""
        notes, self._to_keep = self._to_keep, []
        return dataclasses.replace(found, notes=notes, inputs=self.job.begun_inputs)

    def count(self, found: BatchFound) -> None:
        """Count the frames of a batch."""
        batch = found.batch
        rows = np.zeros(0, np.int32) if found.cells is None else found.cells.rows
        self.tally.add(found.status, batch.n_spots, found.result, rows)
        self.tally.n_left_out += batch.n_left_out
        self.tally.n_off_panels += batch.n_off_panels

    def saved_elsewhere(self, results: OpenResults, mark: Mark) -> None:
        """Count what a worker found and saved, and sample it; notes that come up go to its mark."""
        for problem in mark.problems:
            self.show(problem)
        self._count(results)
        self.sample.add(results)
        self.cells.most = max(self.cells.most, mark.most_cells)
        self.tally.n_left_out += mark.n_left_out
        self.tally.n_off_panels += mark.n_off_panels
        for problem in self._to_keep:
            mark.note(problem)
        self._to_keep.clear()

    def _count(self, results: Results | OpenResults) -> None:
        """Count results that are saved."""
        rows = self.cells.numbers(results.input_cells)
        self.tally.add(results.status, results.n_spots, results, rows)

    def progress(self, to_compute: float, to_write: float = 0.0, to_learn: int | None = None) -> Progress:
        """The progress of the run, with the problems that came up since the last call."""
        problems, t = tuple(self.new_problems()), self.tally
        return Progress(
            t.n_frames,
            t.n_indexed,
            t.n_crystals,
            self.total,
            t.seconds,
            problems,
            t.n_before,
            to_compute,
            to_write,
            to_learn,
        )

    def new_problems(self) -> list[str]:
        """The problems that came up since the last call, to be shown."""
        problems, self._to_show = self._to_show, []
        return problems

    def finish(self, collector: Collector, device: str, complete: bool, contest: Contest) -> Outcome:
        """Make the collector save the remaining results and write the output.

        Parameters
        ----------
        device
            Name of the device on which the run was computed.
        complete
            Whether the run reached its end.
        contest
            Result of comparing the crystals with decoy lattices.

        Raises
        ------
        NothingProcessed
            If no frame could be used.
        """
        header = dataclasses.replace(collector.header, device=device)
        if not self.job.limit_cells:
            header = dataclasses.replace(header, parameters=self.p.replace(max_input_cells=self.cells.most).as_json())
        if complete and self.tally.n_processed == 0 and self.job.span is None:
            collector.store.abandon()
            raise self._nothing()
        collector.finish(header, complete, self.tally.n_frames, self.job.begun_inputs, contest)
        for note in filter(None, (self.tally.note_of_origin, self.tally.note_of_panels)):
            self.show(note)
        summary = self.tally.summary(
            self.cells.summaries(self.tally),
            method=header.method,
            backend=header.backend,
            device=device,
            output=self.job.output,
            complete=complete,
            expected_false=self._expected_false(),
            contest=contest,
            remedy=self._remedy(contest),
            distortion=self.cells.distortion,
        )
        return Outcome(summary, header, collector.store)

    def _nothing(self) -> NothingProcessed:
        """The error of a run without a usable frame; it has the right number if one in another unit is the reason."""
        error = NothingProcessed(self.tally.why_nothing)
        first = first_distance(self.job.paths, self.job.geometry, self.job.prober)
        if first is not None and first.in_metres is not None:
            error.option = "--distance", f"{first.in_metres:.6g}", "the distance is in m, not in mm"
        return error

    def _remedy(self, contest: Contest) -> Remedy | None:
        if contest.is_lost or contest.is_open or not contest.multiple_cell:
            remedy = self.remedy or (None if contest.is_lost else self.remedy_of_learned)
            return None if remedy is None or remedy.option is None else remedy
        return Remedy("--cell", [contest.multiple_cell], contest.multiple)

    def _expected_false(self) -> float | None:
        p = self.p
        return expected_false_in_run(self.tally.status, p.max_false_rate, p.retry) if p.accept == "chance" else None

    def note(self, problem: str) -> None:
        """Note a problem that belongs to no batch: it is shown, and kept with the next results."""
        self._to_keep.append(problem)
        self.show(problem)

    def show(self, problem: str) -> None:
        """Show a problem that is not kept in the results, or that is kept with its batch."""
        if self.tally.note(problem):
            self._to_show.append(problem)
