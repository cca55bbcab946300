"""A task of a run, which a worker reads, computes and saves."""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass

import numpy as np

from ...devices.devices import Devices
from ...errors import InputError
from ...model.basis import ConventionalCells
from ...model.records.frame import Place
from ...model.records.results import ResultsHeader
from ...model.records.run import InputIdentity, Learned, Mark
from ...read.ahead import read_ahead
from ...read.files.identity import sizes
from ...read.spans import Cut
from ...write.parts.folder import is_seen, save_part
from ...write.results import results_file
from ..input_cells import InputCells
from ..job import Job
from ..part import Part
from .batches import computed

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
    header
        The record of how the results are made.
    folder
        Folder of the run's saved parts; empty if the results are not needed.
    """

    job: Job
    first: int
    inputs: Sequence[InputIdentity]
    learned: list[Learned]
    header: ResultsHeader
    folder: str

    @classmethod
    def of(
        cls,
        job: Job,
        cut: Cut,
        inputs: Sequence[InputIdentity],
        learned: list[Learned],
        header: ResultsHeader,
        folder: str,
    ) -> FramesTask:
        """The task of a job that a `Cut` describes."""
        n = len(job.sources)
        end = cut.last.source + 1 if cut.end == cut.last.position else n
        # Keep at least two sources if there are two: a bad file is an error only if it is the only file of the run.
        first = max(0, min(cut.start.source, n - 2))
        piece = slice(first, max(end, first + 2))
        span = dataclasses.replace(cut, start=dataclasses.replace(cut.start, source=cut.start.source - first))
        mine = dataclasses.replace(job, sources=job.sources[piece], span=span, config={}, output="")
        return cls(mine, first, inputs[piece], learned, header, folder)


@dataclass(frozen=True)
class Receipt:
    """The account of a task whose results are saved.

    Attributes
    ----------
    part : str or bytes
        Name of the results file, or its content if the worker does not see the folder of the run's saved parts; empty
        if nothing was read.
    crc32
        Checksum of the file.
    mark
        Progress of the run with these frames.
    n_frames
        Number of frames that were read; rows for files that cannot be read do not count.
    last
        Place after the last of these frames; None if there are none.
    shown : list of (cells, sentences)
        Messages for the user about sets of input cells, such as units that look wrong.
    device, seconds
        Name of the device that computed the results, and the time that the task took.
    """

    part: str | bytes
    crc32: int
    mark: Mark
    n_frames: int
    last: Place | None
    shown: list[tuple[ConventionalCells, list[str]]]
    device: str
    seconds: float


def index_task(devices: Devices, task: FramesTask) -> Receipt:
    """Read the frames of a task, index them and save their results, on a worker.

    Raises
    ------
    InputError
        If an input has another size here than for the run, or is the only input of the run and cannot be used.
    OutputError
        If the results cannot be written.
    """
    with task.job.prober or nullcontext():
        return _indexed(devices, task)


def warm_up(devices: Devices, task: FramesTask) -> None:
    """Do a task whose results are not needed, so that a worker has all that its first task needs."""
    index_task(devices, task)


def _indexed(devices: Devices, task: FramesTask) -> Receipt:
    begin = time.perf_counter()
    job = task.job
    for mine, given in zip(sizes(job.sources, job.prober), task.inputs, strict=True):
        if mine != given.size:
            both = " for a worker and ".join(f"{n} bytes" if n >= 0 else "no file" for n in (mine, given.size))
            raise InputError(given.path, f"is {both} here: all must see the same inputs under the same names")
    # The process that runs the command numbers the cells, makes the notes about them and shows the messages.
    cells = InputCells(job, job.in_force, lambda note: None, lambda message: None)
    cells.take_up(task.learned)
    part, n_frames, last = Part(task.header), 0, None
    with closing(read_ahead(job.blocks(), DEPTH)) as blocks:
        for found in computed(devices, job, job.batches(blocks), cells.of_batch):
            batch = found.batch
            assert batch.places is not None
            places = batch.places + np.array([task.first, 0, 0, 0])
            part.add(dataclasses.replace(found, batch=dataclasses.replace(batch, places=places)))
            read = places[batch.indices >= 0]
            n_frames += len(read)
            last = Place(*read[-1].tolist()) if len(read) else last
    image = results_file(part.results(), number_names=True) if part.n_frames else b""
    return Receipt(
        save_part(task.folder, image) if image and task.folder and is_seen(task.folder) else image,
        zlib.crc32(image),
        part.mark,
        n_frames,
        last,
        cells.shown,
        devices.device,
        time.perf_counter() - begin,
    )
