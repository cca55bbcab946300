"""The pipeline of a run: reader, bounded queue, batches, backend, writer; memory holds the spots of few batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

from ..devices import Workers, open_devices
from ..devices.memory import memory_explained
from ..model.records.doubt import Contest
from ..model.records.frame import FrameBlock
from ..read.ahead import ReadAhead, read_ahead
from ..write.behind import WriteBehind
from ..write.stores import MemoryStore, Store
from .account import Account
from .collector import Collector
from .job import Job
from .judgement import judged, look_at_scale
from .learning import settle
from .learning.ready import get_ready
from .outcome import Outcome
from .spread.batches import computed
from .summary import Progress

DEPTH = 2
"""Largest number of batches that wait between two stages."""


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
    job
        The frames and the settings of the run.
    store
        Store that receives the results and may hold those of a run to resume; by default results stay in memory. The
        output is made from it, unless there are no frames.
    progress
        Function that is called with the progress after every batch.
    stop
        Event that is polled between batches; once it is set the run ends with the finished frames and is not
        `complete`.

    Raises
    ------
    BackendUnavailable
        If the backend or device that was asked for is not available.
    InputError, CellError, UsageError, ParameterError
        If inputs, cells or parameters cannot be used.
    NothingProcessed
        If no frame could be used.
    OutputError
        If results cannot be written.
    """
    stop = stop or threading.Event()
    # This raises errors in the job at once.
    job.blocks()
    devices = open_devices(job.backend, job.device, job.threads, get_ready)
    if isinstance(devices, Workers) and store is not None and job.follow is None and job.arrays is None:
        from .spread.on_workers import index_on

        with memory_explained(job.parameters, job.batch_size), closing(devices):
            return index_on(devices, job, store=store, progress=progress, stop=stop)

    with memory_explained(job.parameters, job.batch_size), closing(devices), closing(store or MemoryStore()) as kept:
        account = Account(job.on(devices.name), devices.name, kept)
        is_share = job.span is not None
        with closing(Reader(account, stop)) as reader:
            if job.follow is not None:
                # This event reports the frames of the first batch, which were read some time ago.
                progress(account.progress(reader.fill))
            settled = settle(
                account,
                devices,
                kept,
                first=Job.first_blocks if is_share else reader.begin,
                stop=stop,
                waiting=lambda there: progress(account.progress(reader.fill, to_learn=there)),
            )
            blocks = reader.begin(settled.job) if is_share else settled.blocks
            header = settled.job.header(devices.name, devices.device)
            collector = Collector(
                kept, header, account.sample, save_seconds=job.save_seconds, checksums=job.follow is not None
            )
            with WriteBehind(collector.take, DEPTH) as writer:
                batches = reader.until_stopped(settled.job.batches(blocks))
                for computed_batch in computed(devices, settled.job, batches, account.prepared):
                    found = account.with_notes(computed_batch)
                    account.count(found)
                    writer.put(found)
                    progress(account.progress(reader.fill, writer.fill))
                writer.finish()
        complete = reader.ended
        # The inputs of a run that follows them are known only at its end.
        if complete and job.follow is None:
            collector.end()
        contest = judged(account, settled, devices, collector) if complete else Contest()
        look_at_scale(account, settled, devices, contest)
        return account.finish(collector, devices.device, complete, contest)


class Reader:
    """A thread that reads the unfinished frames of a run ahead; it may begin again with another job."""

    def __init__(self, account: Account, stop: threading.Event) -> None:
        self._account, self._stop = account, stop
        job = account.job
        self._depth = DEPTH * -(-(job.batch_size or 1) // job.block_size)
        self._blocks: ReadAhead[FrameBlock] | None = None
        self._is_stopped = False

    def begin(self, job: Job) -> Iterator[FrameBlock]:
        """Read the frames of a job instead of those of an earlier job."""
        if self._blocks is not None:
            self._blocks.close(None)
        is_complete = self._account.saved.is_complete
        blocks = iter(()) if is_complete else job.blocks(self._account.start)
        self._blocks = read_ahead(blocks, self._depth, self._stop)
        return self._blocks

    @property
    def fill(self) -> float:
        """The fill of the queue before the computation, 0 to 1."""
        return 0.0 if self._blocks is None else self._blocks.fill

    def until_stopped(self, batches: Iterator[FrameBlock]) -> Iterator[FrameBlock]:
        """Yield batches until the run is stopped."""
        for batch in batches:
            if self._stop.is_set():
                self._is_stopped = True
                return
            yield batch

    @property
    def ended(self) -> bool:
        """Whether all frames have been read, and no batch of them was left out."""
        return self._blocks is not None and self._blocks.ended and not self._is_stopped

    def close(self) -> None:
        """End the thread that reads."""
        if self._blocks is not None:
            self._blocks.close()
