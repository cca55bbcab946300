"""A whole run: reader, bounded queue, batches, backend, results. Spots are in memory for a few batches only."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from .errors import NothingProcessed
from .indexer import Backend, get_backend, index_frames
from .input_cells import InputCells
from .job import Job
from .model.frame import BatchResult, FrameBlock, FrameStatus
from .model.results import ResultsHeader
from .read.ahead import read_ahead
from .summary import Summary, Tally
from .version import VERSION
from .write import ResultsWriter, table


@dataclass(frozen=True)
class Progress:
    """How far a run is: given to the caller after the learning and after every batch.

    Attributes
    ----------
    frames, indexed, crystals : int
        So far.
    total : int or None
        Frames of the whole job, where that is known.
    seconds : float
        Since the start.
    problems : tuple of str
        Those that came up since the event before.
    """

    frames: int
    indexed: int
    crystals: int
    total: int | None
    seconds: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A run's summary, and its results ready for a file."""

    summary: Summary
    writer: ResultsWriter

    def as_hdf5(self) -> bytes:
        """The results file."""
        return self.writer.to_bytes(self.summary.complete)

    def as_table(self) -> bytes:
        """The text table."""
        return table(self.writer.results(self.summary.complete))


def index(
    job: Job, *, progress: Callable[[Progress], None] = lambda event: None, stop: threading.Event | None = None
) -> Outcome:
    """Index all frames of a job.

    Parameters
    ----------
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
    """
    stop = stop or threading.Event()
    frames = job.blocks()
    run = _Run(job, get_backend(job.backend, job.device, job.threads))
    complete = True
    with closing(read_ahead(frames)) as blocks:
        head, rest = first_frames(blocks, run.p.learn_cell)
        if not stop.is_set():
            run.cells.learn(run.backend, head)
        for batch in job.batches(itertools.chain(head, rest)):
            if stop.is_set():
                complete = False
                break
            run.index(batch)
            progress(run.event())
    return run.outcome(complete)


def first_frames(blocks: Iterator[FrameBlock], n: int) -> tuple[list[FrameBlock], Iterator[FrameBlock]]:
    """The first n frames of blocks, and the blocks of all frames after them."""
    head: list[FrameBlock] = []
    while n > 0 and (block := next(blocks, None)) is not None:
        head.append(block[:n])
        if block.n_frames > n:
            return head, itertools.chain([block[n:]], blocks)
        n -= block.n_frames
    return head, blocks


class _Run:
    """The state of a run between its batches."""

    def __init__(self, job: Job, backend: Backend) -> None:
        self.job, self.backend = job, backend
        p = job.parameters
        self.p = p.replace(n_output_cells=min(p.n_output_cells, p.max_output_cells))
        self.tally = Tally()
        self.total = job.count_frames()
        self.writer = ResultsWriter(
            ResultsHeader(VERSION, self.p.method, self.p.as_json(), backend.name, backend.device, **job.setup)
        )
        self.cells = InputCells(job, self.p, self.writer, self._tell)
        self._told: list[str] = []

    def index(self, batch: FrameBlock) -> None:
        """Index a batch and keep its results."""
        for problem in batch.problems:
            self._tell(problem)
        status, rows = batch.status.copy(), np.zeros(0, dtype=np.int32)
        result = BatchResult.empty(batch.n_frames)
        if batch.has_usable_frames:
            cells = self.cells.get(batch)
            self.cells.look_at_units(batch)
            result = index_frames(
                self.backend, batch.spots, batch.offsets, cells.plan, self.p,
                given_cells=cells.given, keep_all=self.job.keep_all,
            )
            result, rows = cells.as_meant(result), cells.rows
            usable = batch.status == FrameStatus.NOT_INDEXED
            status[usable & (np.diff(batch.offsets) < self.p.fewest_spots)] = FrameStatus.TOO_FEW_SPOTS
            status[np.diff(result.crystal_offsets) > 0] = FrameStatus.INDEXED
        self.writer.add(batch, result, status, rows)
        self.tally.add(batch, status, result, rows)

    def event(self) -> Progress:
        """The event for the caller."""
        problems, self._told = tuple(self._told), []
        t = self.tally
        return Progress(t.n_frames, t.n_indexed, t.n_crystals, self.total, t.seconds, problems)

    def outcome(self, complete: bool) -> Outcome:
        """What was found."""
        if not self.job.limit_cells:
            p = self.p.replace(max_input_cells=self.cells.most)
            self.writer.header = dataclasses.replace(self.writer.header, parameters=p.as_json())
        summary = self.tally.summary(
            self.cells.summaries(self.tally), method=self.p.method, backend=self.backend.name,
            device=self.backend.device, output=self.job.output, complete=complete,
        )
        if complete and summary.processed == 0:
            raise NothingProcessed(_why_nothing(summary))
        return Outcome(summary, self.writer)

    def _tell(self, problem: str) -> None:
        if self.tally.tell(problem):
            self._told.append(problem)


def _why_nothing(summary: Summary) -> str:
    if summary.frames == 0:
        return "the input has no frames: nothing to index"
    first = f"; the first problem: {summary.problems[0]}" if summary.problems else ""
    return f"none of the {summary.frames} frames and files could be used{first}"
