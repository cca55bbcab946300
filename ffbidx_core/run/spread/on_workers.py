"""The work of a run on workers: tasks are made from its frames, and their saved results are taken in order."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from ...devices import Workers
from ...devices.devices import PATIENCE, Task
from ...errors import InputError
from ...model.records.frame import FrameBlock, Place
from ...model.records.run import Mark
from ...read.files.opened_results import opened
from ...read.spans import Cut, Cutter
from ...write.behind import WriteBehind
from ...write.ledger import DAMAGED, checksum_of
from ...write.parts.folder import save_part
from ..account import Account
from ..collector import Collector
from ..job import Job
from ..learning import Settled
from .here import DEPTH
from .worker_task import FramesTask, Receipt, index_task, warm_up

TASK_FRAMES = 131072
"""Number of frames of the largest tasks, so large that what each costs besides its frames does not count."""
TASK_SECONDS = 8.0
"""Seconds of work in a task once the speed of workers is known; this is lost when a worker dies."""
FIRST_FRAMES, FEWEST_FRAMES = 256, 16
"""Smallest number of frames of the first tasks, and of the tasks that divide the end of the input."""
FIRST_BATCHES = 4
"""Number of batches of the first tasks: enough for all lanes of a GPU."""
GROWTH = 4
AHEAD = 4
"""Number of tasks from the first unfinished one to the last submitted one, per task that is done at once."""
Part = tuple[str, Mark, int]
"""A saved part as `Collector.adopt` takes it: name of the file, progress of the run, and checksum."""


class OnWorkers:
    """The work of a run on workers, see `Work`: some tasks are submitted in advance, and results are taken in order.

    While the run learns, the workers do its first batch, so that their first task waits for nothing.
    """

    def __init__(self, workers: Workers, account: Account, stop: threading.Event) -> None:
        self._workers, self._account, self._stop = workers, account, stop
        self._inputs = account.inputs
        self._under_way: deque[tuple[Cut, Task]] = deque()
        self._writer: WriteBehind[Part] | None = None
        self._batch_size = account.job.batch_size or 1
        # A task costs some ten milliseconds besides its frames, and smaller batches do not fill a GPU.
        self._fewest = max(FEWEST_FRAMES, self._batch_size // 2)
        self._most = min(max(FIRST_FRAMES, FIRST_BATCHES * self._batch_size), TASK_FRAMES)
        if account.saved.learned is None and account.p.learn_cell:
            self._warm_up(account.job)

    def _warm_up(self, job: Job) -> None:
        """Make workers do the first batch, whose results are dropped; the run itself reports inputs with errors."""
        with contextlib.suppress(InputError):
            if cut := _cutter(job, self._account.start).cut(self._batch_size):
                header = job.header(self._workers.name, self._workers.device)
                self._workers.warm_up(warm_up, FramesTask.of(job, cut, self._inputs, [], header, ""))

    @property
    def fill(self) -> tuple[float, float]:
        """The share of the submitted tasks that are still to be computed, and the fill of the queue of their parts."""
        to_compute = sum(not task.is_done for _, task in self._under_way) / max(1, len(self._under_way))
        return to_compute, 0.0 if self._writer is None else self._writer.fill

    def first_blocks(self, job: Job) -> Iterator[FrameBlock]:
        """Read the first frames; the workers read them again."""
        return job.first_blocks()

    def do(self, settled: Settled, collector: Collector, done: Callable[[], object]) -> bool:
        """Compute the frames in tasks; see `Work`. The parts are taken over in a thread, which waits for the disk."""
        with WriteBehind[Part](lambda part: collector.adopt(*part), DEPTH) as self._writer:
            is_ended = self._take_all(settled, collector, self._writer.put, done)
            self._writer.finish()
        return is_ended

    def _take_all(
        self,
        settled: Settled,
        collector: Collector,
        adopt: Callable[[Part], None],
        done: Callable[[], object],
    ) -> bool:
        """Count what the workers find, and hand over their parts; returns whether all frames were computed."""
        self._begin(settled.job, self._account.start)
        while not self._stop.is_set():
            self._ask(settled, collector)
            if not self._under_way:
                return True
            cut, task = self._under_way[0]
            if not task.wait(PATIENCE):
                continue
            self._under_way.popleft()
            receipt: Receipt = task.result()
            self._workers.seen(receipt.device)
            self._measure(cut, receipt)
            if receipt.part:
                adopt(_counted(self._account, collector, receipt))
            done()
            if (receipt.n_frames, receipt.last or cut.start) != (cut.n_frames, cut.last):
                # A file was truncated or replaced.
                self._begin(settled.job, _end(settled.job, cut, receipt))
        return False

    def _begin(self, job: Job, start: Place) -> None:
        """Plan the tasks from a place in the input on."""
        self.close()
        self._cutter = _cutter(job, start)
        self._asked = self._account.tally.n_frames

    def _ask(self, settled: Settled, collector: Collector) -> None:
        """Submit some tasks to the workers in advance."""
        most, job = AHEAD * self._workers.n_at_once, settled.job
        while len(self._under_way) < most and (cut := self._cutter.cut(self._size())):
            self._asked += cut.n_frames
            folder = collector.store.expect_parts()
            wanted = FramesTask.of(job, cut, self._inputs, settled.learned, collector.header, folder)
            self._under_way.append((cut, self._workers.submit(_frames_of(job, cut), index_task, wanted)))

    def _size(self) -> int:
        """Number of frames of the next task; it decreases towards the end, so that all workers finish together."""
        size = self._most
        if self._account.total is not None:
            share = (self._account.total - self._asked) // (2 * max(1, self._workers.n_workers))
            size = min(size, max(self._fewest, share))
        # A smaller batch at the end of each task would not fill a GPU.
        return size - size % self._batch_size if size > self._batch_size else size

    def _measure(self, cut: Cut, receipt: Receipt) -> None:
        """Adjust the size of tasks to the number of frames that a worker computes in `TASK_SECONDS`."""
        speed = cut.n_frames / max(receipt.seconds, 1e-3)
        if cut.n_frames >= self._fewest:
            self._most = int(np.clip(speed * TASK_SECONDS, self._fewest, min(GROWTH * self._most, TASK_FRAMES)))

    def close(self) -> None:
        """Give up the tasks in progress."""
        for _, task in self._under_way:
            task.cancel()
        self._under_way.clear()


def _cutter(job: Job, start: Place) -> Cutter:
    """The division of the frames of a job, from a place in the input on."""
    return Cutter(job.sources, start=start, end=None if job.span is None else job.span.end, **job.counted)


def _counted(account: Account, collector: Collector, receipt: Receipt) -> Part:
    """Count what a worker has found; returns the file in which it is saved, as `Collector.adopt` takes it."""
    part = receipt.part
    path = part if isinstance(part, str) else save_part(collector.store.folder, part)
    if checksum_of(path) != receipt.crc32:
        raise InputError(path, DAMAGED)
    for given, sentences in receipt.shown:
        account.cells.show_once(given, sentences)
    with opened(path, is_own=True) as results:
        account.saved_elsewhere(results, receipt.mark)
    return path, receipt.mark, receipt.crc32


def _frames_of(job: Job, cut: Cut) -> str:
    """The frames of a cut as text, or the file with which it begins if it has no frames."""
    place = cut.last if cut.n_frames else cut.start
    path = job.sources[min(place.source, len(job.sources) - 1)].path
    last = f"{path}//{place.frame - 1}"
    if cut.n_frames < 2:
        return f"the frame {last}" if cut.n_frames else path
    return f"the {cut.n_frames} frames up to {last}"


def _end(job: Job, cut: Cut, receipt: Receipt) -> Place:
    """The place after the rows that came instead of those of the cut."""
    if not receipt.part:
        path = job.sources[cut.start.source].path
        raise InputError(path, f"has changed: {_frames_of(job, cut)} were expected, and did not come")
    return receipt.mark.end
