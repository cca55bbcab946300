"""A run on workers: tasks are made from its frames, and their saved results are taken in the order of the input."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np

from ...devices import Workers
from ...devices.devices import PATIENCE, Task
from ...errors import BackendUnavailable, InputError
from ...model.records.doubt import Contest
from ...model.records.frame import Place
from ...model.records.results import ResultsHeader
from ...model.records.run import InputIdentity
from ...nouns import counted
from ...read.files.identity import identities
from ...read.results import read_results
from ...read.spans import Cut, Cutter
from ...write.parts.folder import save_part
from ...write.stores import Store
from ..account import Account
from ..collector import Collector
from ..job import Job
from ..judgement import judged, look_at_scale
from ..learning import Settled, settle
from ..outcome import Outcome
from ..summary import Progress
from ..tally import Tally
from .worker_task import FramesTask, Receipt, index_task, warm_up

TASK_FRAMES = 65536
"""Number of frames of the largest tasks."""
TASK_SECONDS = 8.0
"""Seconds of work in a task once the speed of workers is known; this is lost when a worker dies."""
FIRST_FRAMES, FEWEST_FRAMES = 256, 16
"""Smallest number of frames of the first tasks, and of the tasks that divide the end of the input."""
FIRST_BATCHES = 4
"""Number of batches of the first tasks: enough for all lanes of a GPU."""
GROWTH = 4
AHEAD = 4
"""Number of tasks from the first unfinished one to the last submitted one, per task that is done at once."""


def index_on(
    workers: Workers,
    job: Job,
    *,
    store: Store,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Index all frames of a job on workers, each of which reads, computes and saves tasks.

    The results are those of `pipeline.index`, and so are the parameters and the errors, except those of the workers.
    Once `stop` is set, unfinished tasks are given up.
    """
    stop = stop or threading.Event()
    # Refuses at once what makes no sense.
    job.blocks()
    with closing(store):
        if not workers.name:
            summary = Tally().summary(
                [], method=job.parameters.method, backend=job.backend, device="", output=job.output, complete=False
            )
            return Outcome(summary, job.header("", ""), store)
        account, ended, contest = Account(job.on(workers.name), workers.name, store), False, Contest()
        settled = Settled(account.job, [], iter(()))
        inputs = identities(account.job.sources, account.job.prober)
        with _unless_stopped(account, stop):
            if account.saved.learned is None and account.p.learn_cell:
                _warm_up(workers, account, inputs)
            settled = settle(account, workers, store, first=Job.first_blocks, stop=stop)
        header = settled.job.header(workers.name, workers.device)
        collector = Collector(store, header, account.sample, save_seconds=job.save_seconds)
        with _unless_stopped(account, stop):
            tasks = Tasks(workers, account, settled, inputs, header, store, stop)
            with closing(tasks):
                for receipt in tasks.receipts():
                    if receipt.part:
                        _take(account, collector, receipt)
                    progress(account.progress(tasks.fill))
            if tasks.ended:
                collector.end()
            contest = judged(account, settled, workers, collector) if tasks.ended else Contest()
            look_at_scale(account, settled, workers, contest)
            ended = tasks.ended
        workers.release()
        return account.finish(collector, workers.device, ended, contest)


@contextlib.contextmanager
def _unless_stopped(account: Account, stop: threading.Event) -> Iterator[None]:
    """A context in which failing workers end the run or, once `stop` is set, only the block."""
    try:
        yield
    except BackendUnavailable as error:
        # The signal that stopped the run may also have stopped the workers.
        if not stop.is_set():
            raise BackendUnavailable(
                f"{error}; with --resume the run continues after the {counted(account.tally.n_frames, 'frame')} done"
            ) from error


def _warm_up(workers: Workers, account: Account, inputs: Sequence[InputIdentity]) -> None:
    """Make workers do the first batch of a run while another learns, so that their first task waits for nothing.

    Their results are dropped. An input that cannot be read is an error of the run itself.
    """
    job = account.job
    with contextlib.suppress(InputError):
        if cut := _cutter(job, account.start).cut(job.batch_size or 1):
            header = job.header(workers.name, workers.device)
            workers.warm_up(warm_up, FramesTask.of(job, cut, inputs, [], header, ""))


def _cutter(job: Job, start: Place) -> Cutter:
    """The division of the frames of a job, from a place in the input on."""
    return Cutter(job.sources, start=start, end=None if job.span is None else job.span.end, **job.counted)


def _take(account: Account, collector: Collector, receipt: Receipt) -> None:
    """Count what a worker has found, and take over the file in which it is saved."""
    part = receipt.part
    path = part if isinstance(part, str) else save_part(collector.store.folder, part)
    for given, sentences in receipt.shown:
        account.cells.show_once(given, sentences)
    results = read_results(path)
    account.saved_elsewhere(results, receipt.mark, receipt.n_off_panels)
    collector.adopt(path, results, receipt.mark, receipt.crc32)


class Tasks:
    """The tasks of a run: some are submitted in advance, and results are taken in the order of the input.

    Attributes
    ----------
    ended : bool
        Whether the results of all tasks have come.
    """

    def __init__(
        self,
        workers: Workers,
        account: Account,
        settled: Settled,
        inputs: Sequence[InputIdentity],
        header: ResultsHeader,
        store: Store,
        stop: threading.Event,
    ) -> None:
        self._workers, self._account, self._store, self._stop = workers, account, store, stop
        self._header = header
        self._job, self._learned = settled.job, settled.learned
        self._inputs = inputs
        self._under_way: deque[tuple[Cut, Task]] = deque()
        batch_size = self._job.batch_size or 1
        # A task costs some ten milliseconds besides its frames, and smaller batches do not fill a GPU.
        self._fewest = max(FEWEST_FRAMES, batch_size // 2)
        self._most = min(max(FIRST_FRAMES, FIRST_BATCHES * batch_size), TASK_FRAMES)
        self.ended = False
        self._begin(account.start)

    def _begin(self, start: Place) -> None:
        """Plan the tasks from a place in the input on."""
        self.close()
        self._cutter = _cutter(self._job, start)
        self._asked = self._account.tally.n_frames

    @property
    def fill(self) -> float:
        """The share of the submitted tasks that are still to be computed, 0 to 1."""
        return sum(not task.is_done for _, task in self._under_way) / max(1, len(self._under_way))

    def receipts(self) -> Iterator[Receipt]:
        """Yield the results of all tasks, until they end or the run is stopped."""
        while not self._stop.is_set():
            self._ask()
            if not self._under_way:
                self.ended = True
                return
            cut, task = self._under_way[0]
            if not task.wait(PATIENCE):
                continue
            self._under_way.popleft()
            receipt: Receipt = task.result()
            self._workers.seen(receipt.device)
            self._measure(cut, receipt)
            yield receipt
            if (receipt.n_frames, receipt.last or cut.start) != (cut.n_frames, cut.last):
                # A file was truncated or replaced.
                self._begin(_end(self._job, cut, receipt))

    def _ask(self) -> None:
        """Submit some tasks to the workers in advance."""
        n = self._workers.n_at_once
        while len(self._under_way) < AHEAD * n and (cut := self._cutter.cut(self._size(n))):
            self._asked += cut.n_frames
            wanted = FramesTask.of(self._job, cut, self._inputs, self._learned, self._header, self._store.folder)
            self._under_way.append((cut, self._workers.submit(_frames_of(self._job, cut), index_task, wanted)))

    def _size(self, n: int) -> int:
        """Number of frames of the next task; it decreases towards the end, so that all workers finish together."""
        size = self._most
        if self._account.total is not None:
            size = min(size, max(self._fewest, (self._account.total - self._asked) // (2 * n)))
        # A smaller batch at the end of each task would not fill a GPU.
        return size - size % batch if size > (batch := self._job.batch_size or 1) else size

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
