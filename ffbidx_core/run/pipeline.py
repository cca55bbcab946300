"""A whole run: reader, bounded queue, batches, backend, writer. Spots are in memory for a few batches only."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import numpy as np

from ..devices import Devices, open_devices
from ..devices.lanes import in_lanes
from ..errors import NothingProcessed
from ..model.detector.beam_shift import NO_SHIFT, BeamShift
from ..model.records.frame import BatchResult, FrameBlock, FrameStatus, Place, expected_false
from ..model.records.reason import with_status
from ..model.records.results import ResultsHeader
from ..model.records.run import Mark
from ..read.ahead import read_ahead
from ..read.geometry.choose import beam_option
from ..version import VERSION
from ..write import ResultsWriter
from ..write.behind import WriteBehind
from ..write.stores import MemoryStore, Saved, Store
from .input_cells import CellSet, InputCells, KnownCells, index_batch
from .job import Job, first_frames
from .learning import BEAM_MOVED, BEAM_OFF, learn_with_beam
from .outcome import Found, Outcome
from .summary import Progress, Tally

DEPTH = 2
"""Batches that wait between two stages at most."""
SHARD_FRAMES = 16384
"""Frames that are saved together at most, however short the time since the last ones."""


def index(
    job: Job,
    *,
    store: Store | None = None,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Index all frames of a job.

    Parameters
    ----------
    store
        Takes the results as they come, and may have those of a run to take up; unless given they stay in memory.
        The output is made of it, unless there are no frames.
    progress
        Called after every batch.
    stop
        Polled between batches; once it is set the run ends with what is finished, and is not `complete`.

    Raises
    ------
    BackendUnavailable
        When the backend or device asked for is not there.
    InputError, CellError, UsageError, ParameterError
        For inputs, cells and parameters that cannot be used.
    NothingProcessed
        When no frame could be used.
    OutputError
        When results cannot be written.
    """
    stop = stop or threading.Event()
    # Refuses at once what makes no sense.
    job.blocks()
    devices = open_devices(job.backend, job.device, job.threads)
    with closing(devices), closing(store or MemoryStore()) as kept:
        job = job.on(devices.name)
        run = Run(job, devices, kept)
        ahead = DEPTH * -(-(job.batch_size or 1) // job.block_size)
        with ExitStack() as stack:
            blocks = stack.enter_context(closing(read_ahead(run.blocks(), ahead, stop)))
            writer = stack.enter_context(WriteBehind(run.keep, DEPTH))
            if job.follow is not None:
                # The frames of the first batch, too, have come since some time.
                progress(run.event(blocks.fill, writer.fill))
            before = run.job
            learned = run.learn(blocks, stop, lambda there: progress(run.event(blocks.fill, writer.fill, there)))
            if run.job is not before:
                # What was read so far was read with the beam elsewhere.
                blocks.close(None)
                blocks = stack.enter_context(closing(read_ahead(run.blocks(), ahead, stop)))
                learned = run.learn(blocks, stop)
            batches = run.prepared(job.batches(learned), stop)
            for (batch, cells), result in in_lanes(devices, batches, run.compute, lambda item: not item[0].n_frames):
                writer.put(run.found(batch, cells, result))
                progress(run.event(blocks.fill, writer.fill))
            writer.finish()
        return run.outcome(blocks.ended and not run.stopped)


class Run:
    """The state of a run between its batches. `keep` belongs to the writer's thread, all else to the caller's."""

    def __init__(self, job: Job, devices: Devices, store: Store) -> None:
        self.job, self.devices, self.store = job, devices, store
        self.stopped = False
        p = job.parameters
        self.p = p.replace(n_output_cells=min(p.n_output_cells, p.max_output_cells))
        self.tally = Tally()
        self.total = job.count_frames()
        self.cells = InputCells(job, self.p, self._tell, self.show)
        self._beam_shift: BeamShift | None = None
        self._new: list[str] = []
        self._told: list[str] = []
        saved = store.begin(job.record(devices.name))
        if job.follow is not None:
            job.follow.take_up(saved.begun)
        self.start = job.start if saved.mark.end == Place() else saved.mark.end
        self.learned, self._is_complete = saved.learned, saved.is_complete
        if saved.learned:
            self.job = job.with_beam_shift(saved.learned[0].beam_shift)
        self.job.check_growth(saved.mark)
        self._take_up(saved)
        self._begin_shard()

    def _take_up(self, saved: Saved) -> None:
        for piece in self.store.pieces():
            self.tally.add(piece.status, piece.n_spots, piece, self.cells.rows(piece.input_cells))
        self.cells.most = max(self.cells.most, saved.mark.most_cells)
        self.cells.take_up(saved.learned or [])
        self.tally.take_up(saved.mark)
        # What these frames told is in the marks already, and what became of the parts is no part of the results.
        self._new.clear()
        for note in saved.notes:
            self.show(note)

    def blocks(self) -> Iterator[FrameBlock]:
        """The frames that are not finished yet."""
        return iter(()) if self._is_complete else self.job.blocks(self.start)

    def learn(
        self, blocks: Iterator[FrameBlock], stop: threading.Event, waiting: Callable[[int], object] = lambda there: None
    ) -> Iterator[FrameBlock]:
        """Learn from the first frames of the whole input, unless that was done; the blocks to index.

        Where they say that the beam is off, nothing is learned, and `job` is another one, to begin again with.
        """
        if self.learned is not None:
            return blocks
        if self.job.span is None:
            head, rest = first_frames(blocks, self.p.learn_cell, waiting)
            blocks = itertools.chain(head, rest)
        else:
            head, _ = first_frames(self.job.first_blocks(), self.p.learn_cell)
        if stop.is_set():
            return blocks
        p = self.p if self._beam_shift is None else self.p.replace(learn_beam=False)
        found, shift, left = learn_with_beam(self.cells, self.devices, head, p)
        if shift:
            self._move_beam(shift)
            return blocks
        if left is not None:
            self._tell(BEAM_OFF.format(*left.mrad))
        shift = self._beam_shift or NO_SHIFT
        self.learned = [dataclasses.replace(group, beam_shift=shift) for group, _ in found if group.n_crystals.any()]
        self.cells.take_up(self.learned)
        self.store.learned(self.learned)
        return blocks

    def _move_beam(self, shift: BeamShift) -> None:
        self._beam_shift, self.job = shift, self.job.with_beam_shift(shift)
        assert self.job.geometry is not None
        self._tell(BEAM_MOVED.format(*shift.mrad, beam_option(self.job.geometry)))
        self._begin_shard()

    def prepared(
        self, batches: Iterator[FrameBlock], stop: threading.Event
    ) -> Iterator[tuple[FrameBlock, CellSet | None]]:
        """Batches with their cells, until they end or the run is to stop."""
        for batch in batches:
            if stop.is_set():
                self.stopped = True
                return
            for problem in batch.problems:
                self.show(problem)
            if not batch.has_usable_frames:
                yield batch, None
                continue
            cells = self.cells.get(batch)
            self.cells.look_at_units(batch)
            yield batch, cells

    def compute(self, prepared: tuple[FrameBlock, CellSet | None]) -> BatchResult:
        """Index a batch; several threads may be at it."""
        batch, cells = prepared
        return index_batch(self.devices, batch, cells, self.p, keep_all=self.job.keep_all)

    def found(self, batch: FrameBlock, cells: KnownCells | None, result: BatchResult) -> Found:
        """Count what was found on a batch."""
        status = batch.status.copy()
        usable = batch.status == FrameStatus.NOT_INDEXED
        status[usable & (np.diff(batch.offsets) < self.p.fewest_spots)] = FrameStatus.TOO_FEW_SPOTS
        status[np.diff(result.crystal_offsets) > 0] = FrameStatus.INDEXED
        result = dataclasses.replace(result, reason=with_status(result.reason, status))
        self.tally.add(status, batch.n_spots, result, np.zeros(0, np.int32) if cells is None else cells.rows)
        self.tally.n_left_out += batch.n_left_out
        problems, self._new = self._new, []
        return Found(batch, status, result, cells, problems)

    def keep(self, found: Found) -> None:
        """Gather the results of a batch, and save them when there are enough."""
        if found.batch.n_frames:
            self._add(found)
        for problem in (*found.batch.problems, *found.problems):
            self._mark.tell(problem)
        late = time.monotonic() - self._since >= self.job.save_seconds
        if self._n_frames and not self.store.keeps_all and (late or self._n_frames >= SHARD_FRAMES):
            self._save()

    def _add(self, found: Found) -> None:
        batch, cells = found.batch, found.cells
        rows = np.zeros(0, dtype=np.int32)
        if cells is not None:
            rows = self._shard.input_rows(cells.as_given)
            if cells.learned is not None:
                taught = np.flatnonzero(cells.learned.n_crystals)
                self._shard.learned(rows[taught], cells.learned.cells[taught])
        self._shard.add(batch, found.result, found.status, rows)
        checksum = 0 if self.job.follow is None else batch.last_checksum
        self._mark.extend(Mark(batch.end, batch.n_left_out, len(rows), checksum=checksum))
        self._n_frames += batch.n_frames

    def _begin_shard(self) -> None:
        header = ResultsHeader(
            VERSION, self.p.method, self.p.as_json(), self.devices.name, self.devices.device, **self.job.setup
        )
        self._shard, self._mark, self._n_frames = ResultsWriter(header), Mark(), 0
        self._since = time.monotonic()

    def _save(self, complete: bool | None = None) -> None:
        self._note_inputs()
        self.store.save(self._shard.results(False), self._mark, complete)
        self._begin_shard()

    def _note_inputs(self) -> None:
        if self.job.follow is not None:
            self.store.note_inputs(self.job.follow.inputs)

    def save_rest(self) -> None:
        """Save what was gathered, of a run that cannot go on."""
        if self._n_frames:
            self._save()

    def event(self, to_compute: float, to_write: float, to_learn: int | None = None) -> Progress:
        """The event for the caller."""
        problems, self._told = tuple(self._told), []
        t = self.tally
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

    def outcome(self, complete: bool) -> Outcome:
        """Save the rest and make the output."""
        header = dataclasses.replace(self._shard.header, device=self.devices.device)
        if not self.job.limit_cells:
            p = self.p.replace(max_input_cells=self.cells.most)
            header = dataclasses.replace(header, parameters=p.as_json())
        if complete and self.tally.n_processed == 0 and self.job.span is None:
            self.store.abandon()
            raise NothingProcessed(self.tally.why_nothing)
        # A share of the frames may hold none.
        is_empty_share = complete and self.tally.n_frames == 0
        if self._n_frames or is_empty_share:
            self._save(complete)
        if self.tally.n_frames or is_empty_share:
            self._note_inputs()
            self.store.publish(header, complete)
        summary = self.tally.summary(
            self.cells.summaries(self.tally),
            method=self.p.method,
            backend=self.devices.name,
            device=self.devices.device,
            output=self.job.output,
            complete=complete,
            expected_false=self._expected_false(),
        )
        return Outcome(summary, header, self.store)

    def _expected_false(self) -> float | None:
        p = self.p
        return expected_false(self.tally.status, p.max_false_rate, p.retry) if p.accept == "chance" else None

    def _tell(self, problem: str) -> None:
        """Take up a problem that comes with no batch: it is shown, and kept with the next results."""
        self._new.append(problem)
        self.show(problem)

    def show(self, problem: str) -> None:
        """Take up a problem that its batch keeps."""
        if self.tally.tell(problem):
            self._told.append(problem)
