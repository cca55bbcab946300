"""The work of a run in this process: reader, bounded queue, batches, devices, writer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from ...devices import Devices
from ...model.records.frame import FrameBlock
from ...read.ahead import ReadAhead, read_ahead
from ...write.behind import WriteBehind
from ..account import Account
from ..collector import Collector
from ..job import Job
from ..learning import Settled
from ..outcome import BatchFound
from .batches import computed

DEPTH = 2
"""Largest number of batches that wait between two stages; memory holds the spots of few batches."""
DEPTH_OF_RESULTS = 8
"""The same for batches without their spots, so that a disk that needs half a second does not hold up a GPU."""


class Here:
    """The work of a run in this process, see `Work`; reading and writing have threads of their own."""

    def __init__(self, devices: Devices, account: Account, stop: threading.Event) -> None:
        self._devices, self._account, self._stop = devices, account, stop
        job = account.job
        self._depth = DEPTH * -(-(job.batch_size or 1) // job.block_size)
        self._is_share = job.span is not None
        self._reader: ReadAhead[FrameBlock] | None = None
        self._writer: WriteBehind[BatchFound] | None = None
        self._is_stopped = False

    @property
    def fill(self) -> tuple[float, float]:
        """The fill of the queues of blocks to compute and of batches to write."""
        return (
            0.0 if self._reader is None else self._reader.fill,
            0.0 if self._writer is None else self._writer.fill,
        )

    def first_blocks(self, job: Job) -> Iterator[FrameBlock]:
        """Read the first frames; unless the run has a share of the frames, its computation goes on from there."""
        return job.first_blocks() if self._is_share else self._read(job)

    def _read(self, job: Job) -> Iterator[FrameBlock]:
        """Read the unfinished frames of a job ahead, instead of those of an earlier job."""
        if self._reader is not None:
            self._reader.close(None)
        is_complete = self._account.saved.is_complete
        self._reader = read_ahead(iter(()) if is_complete else job.blocks(self._account.start), self._depth, self._stop)
        return self._reader

    def do(self, settled: Settled, collector: Collector, done: Callable[[], object]) -> bool:
        """Compute the frames in batches."""
        job, account = settled.job, self._account
        blocks = self._read(job) if self._is_share else settled.blocks
        # A file that grows is known again by the spots of its last frame.
        needs_spots = job.follow is not None
        with WriteBehind(collector.take, DEPTH if needs_spots else DEPTH_OF_RESULTS) as self._writer:
            batches = self._until_stopped(job.batches(blocks))
            for batch in computed(self._devices, job, batches, account.prepared):
                found = account.with_notes(batch)
                account.count(found)
                self._writer.put(found if needs_spots else found.without_spots)
                done()
            self._writer.finish()
        return self._reader is not None and self._reader.ended and not self._is_stopped

    def _until_stopped(self, batches: Iterator[FrameBlock]) -> Iterator[FrameBlock]:
        for batch in batches:
            if self._stop.is_set():
                self._is_stopped = True
                return
            yield batch

    def close(self) -> None:
        """End the thread that reads."""
        if self._reader is not None:
            self._reader.close()
