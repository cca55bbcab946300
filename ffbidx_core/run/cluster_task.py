"""A task of a run, and its computation on a worker of a cluster."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass

import numpy as np

from ..devices.devices import Devices
from ..devices.lanes import in_lanes
from ..errors import InputError
from ..model.basis import ConventionalCells
from ..model.records.frame import ConventionalResult, FrameBlock
from ..model.records.run import InputIdentity, Learned
from ..read.ahead import read_ahead
from ..read.files.identity import identities
from ..read.spans import Cut
from .input_cells import CellSet, InputCells, index_batch
from .job import Job

DEPTH = 2
"""Number of blocks that are read ahead."""


@dataclass(frozen=True)
class FramesTask:
    """Consecutive frames of a run, and everything that a worker needs to index them.

    Attributes
    ----------
    job
        The job of the run with the sources of the task only; its span is the stretch of the task.
    first
        Number of the first of these sources among all sources of the run.
    inputs
        Identities of these sources as seen by the process that runs the command.
    learned
        The learned cells of the run.
    """

    job: Job
    first: int
    inputs: Sequence[InputIdentity]
    learned: list[Learned]

    @classmethod
    def of(cls, job: Job, cut: Cut, inputs: Sequence[InputIdentity], learned: list[Learned]) -> FramesTask:
        """The task of a job that a `Cut` describes."""
        n = len(job.sources)
        end = cut.last.source + 1 if cut.end == cut.last.position else n
        # Keep at least two sources if there are two: a bad file is an error only if it is the only file of the run.
        first = max(0, min(cut.start.source, n - 2))
        piece = slice(first, max(end, first + 2))
        span = dataclasses.replace(cut, start=dataclasses.replace(cut.start, source=cut.start.source - first))
        mine = dataclasses.replace(job, sources=job.sources[piece], span=span, config={}, output="")
        return cls(mine, first, inputs[piece], learned)


@dataclass(frozen=True)
class Piece:
    """Results of consecutive frames with the same input cells.

    Attributes
    ----------
    batch
        The frames, without their spots.
    result
        The results, with conventional cells.
    given : (M, 3, 3) float64 or None
        The input cells as the user gave them, rows a, b, c, angstrom; None if no frame is usable.
    shown : list of str
        Messages for the user about these cells, such as units that look wrong.
    """

    batch: FrameBlock
    result: ConventionalResult
    given: ConventionalCells | None
    shown: list[str]


@dataclass(frozen=True)
class Answer:
    """The results of a task, the device that computed them, and the computing time in seconds."""

    pieces: list[Piece]
    device: str
    seconds: float


def index_task(devices: Devices, task: FramesTask) -> Answer:
    """Index a task, on a worker.

    Raises
    ------
    InputError
        If an input has another size here than for the run, or is the only input of the run and cannot be used.
    """
    with task.job.prober or nullcontext():
        return _indexed(devices, task)


def _indexed(devices: Devices, task: FramesTask) -> Answer:
    begin = time.perf_counter()
    job = task.job
    for here, there in zip(identities(job.sources, job.prober), task.inputs, strict=True):
        if here.size != there.size:
            sizes = " for a worker and ".join(f"{n} bytes" if n >= 0 else "no file" for n in (here.size, there.size))
            raise InputError(here.path, f"is {sizes} here: all must see the same inputs under the same names")
    shown: list[str] = []
    # The process that runs the command numbers the cells and makes the notes about them.
    cells = InputCells(job, job.parameters, lambda sentence: None, shown.append)
    cells.take_up(task.learned)

    def prepared(blocks: Iterator[FrameBlock]) -> Iterator[tuple[FrameBlock, CellSet | None, list[str]]]:
        for batch in job.batches(blocks):
            found = cells.get(batch) if batch.has_usable_frames else None
            shown.clear()
            if found is not None:
                cells.look_at_units(batch)
            yield batch, found, shown.copy()

    pieces: list[Piece] = []
    with closing(read_ahead(job.blocks(), DEPTH)) as blocks:
        work = in_lanes(
            devices,
            prepared(blocks),
            lambda item: index_batch(devices, item[0], item[1], job.parameters, keep_all=job.keep_all),
        )
        for (batch, found, sentences), result in work:
            pieces.append(_piece(batch, result, found, sentences, task.first))
    return Answer(_joined(pieces), devices.device, time.perf_counter() - begin)


def _piece(batch: FrameBlock, result: ConventionalResult, cells: CellSet | None, shown: list[str], first: int) -> Piece:
    assert batch.places is not None
    places = batch.places + np.array([first, 0, 0, 0])
    light = dataclasses.replace(batch, spots=np.zeros((0, 3), np.float32), cells=None, places=places)
    return Piece(light, result, None if cells is None else cells.as_given, shown)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The pieces, with consecutive ones of the same input cells joined."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if not groups or groups[-1][0].given is not piece.given:
            groups.append([])
        groups[-1].append(piece)
    return [
        Piece(
            FrameBlock.joined([piece.batch for piece in group]),
            ConventionalResult.joined([piece.result for piece in group]),
            group[0].given,
            [sentence for piece in group for sentence in piece.shown],
        )
        for group in groups
    ]
