"""A run on the workers of a cluster: tasks are made from its frames, and results come in the order of the input."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np

from ..devices.dask_cluster import Cluster
from ..devices.dask_task import PATIENCE, Task
from ..errors import BackendUnavailable, InputError
from ..model.records.doubt import Contest
from ..model.records.frame import Place
from ..nouns import counted
from ..read.files.identity import identities
from ..read.spans import Cut, Cutter
from ..write.behind import WriteBehind
from ..write.stores import Store
from .account import Account
from .cluster_task import Answer, FramesTask, Piece, index_task
from .collector import PART_FRAMES, Collector
from .job import Job
from .judgement import judged
from .learning import Settled, settle
from .outcome import BatchFound
from .pipeline import DEPTH
from .summary import Progress, Summary
from .tally import Tally

TASK_FRAMES = PART_FRAMES
"""Number of frames of the largest tasks."""
TASK_SECONDS = 8.0
"""Seconds of work in a task once the speed of workers is known; this is lost when a worker dies."""
FIRST_FRAMES, FEWEST_FRAMES = 256, 16
"""Number of frames of the first tasks, and of the smallest tasks, which divide the end of the input."""
GROWTH = 4
AHEAD = 4
"""Number of tasks per worker from the first unfinished one to the last submitted one."""


def index_on(
    cluster: Cluster,
    job: Job,
    *,
    store: Store,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Summary:
    """Index all frames of a job on the workers of a cluster; the results are those of `pipeline.index`.

    Parameters, and errors except those of the cluster, are those of `pipeline.index`. Once `stop` is set, unfinished
    tasks are given up.
    """
    stop = stop or threading.Event()
    # Refuses at once what makes no sense.
    job.blocks()
    with closing(store):
        if not cluster.name:
            return Tally().summary(
                [], method=job.parameters.method, backend=job.backend, device="", output=job.output, complete=False
            )
        account, ended, contest = Account(job.on(cluster.name), cluster.name, store), False, Contest()
        settled = Settled(account.job, [], iter(()))
        with _unless_stopped(account, stop):
            settled = settle(account, cluster, store, first=Job.first_blocks, stop=stop)
        header = settled.job.header(cluster.name, cluster.device)
        collector = Collector(store, header, account.sample, save_seconds=job.save_seconds)
        with _unless_stopped(account, stop, collector.save_rest):
            tasks = Tasks(cluster, account, settled, stop)
            with closing(tasks), WriteBehind(collector.take, DEPTH) as writer:
                for piece in tasks.pieces():
                    writer.put(_found(account, piece))
                    progress(account.progress(tasks.fill, writer.fill))
                writer.finish()
            contest = judged(account, settled, cluster, collector) if tasks.ended else Contest()
            ended = tasks.ended
        return account.finish(collector, cluster.device, ended, contest).summary


@contextlib.contextmanager
def _unless_stopped(account: Account, stop: threading.Event, save: Callable[[], None] = lambda: None) -> Iterator[None]:
    """A context in which a failing cluster ends the run after a last save, or once `stop` is set, only the block."""
    try:
        yield
    except BackendUnavailable as error:
        # The signal that stopped the run may also have stopped the workers.
        if not stop.is_set():
            save()
            raise BackendUnavailable(
                f"{error}; with --resume the run continues after the {counted(account.tally.n_frames, 'frame')} done"
            ) from error


def _found(account: Account, piece: Piece) -> BatchFound:
    """Count a piece, as `Account.prepared` and `Account.found` do for a batch."""
    for problem in piece.batch.problems:
        account.show(problem)
    cells = None
    if piece.given is not None:
        cells = account.cells.known(piece.given)
        account.cells.show_once(piece.given, piece.shown)
    return account.found(piece.batch, cells, piece.result)


class Tasks:
    """The tasks of a run on a cluster: some are submitted in advance, and results are taken in the order of the input.

    Attributes
    ----------
    ended : bool
        Whether the results of all tasks have come.
    """

    def __init__(self, cluster: Cluster, account: Account, settled: Settled, stop: threading.Event) -> None:
        self._cluster, self._account, self._stop = cluster, account, stop
        self._job, self._learned = dataclasses.replace(settled.job, parameters=account.p), settled.learned
        self._inputs = identities(settled.job.sources, settled.job.prober)
        self._under_way: deque[tuple[Cut, Task]] = deque()
        self._most = FIRST_FRAMES
        self.ended = False
        self._begin(account.start)

    def _begin(self, start: Place) -> None:
        """Plan the tasks from a place in the input on."""
        self.close()
        job = self._job
        self._cutter = Cutter(
            job.sources,
            start=start,
            end=None if job.span is None else job.span.end,
            **job.counted,
        )
        self._asked = self._account.tally.n_frames

    @property
    def fill(self) -> float:
        """The share of the submitted tasks that are still to be computed, 0 to 1."""
        return sum(not task.is_done for _, task in self._under_way) / max(1, len(self._under_way))

    def pieces(self) -> Iterator[Piece]:
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
            answer: Answer = task.result()
            self._cluster.seen(answer.device)
            self._measure(cut, answer)
            yield from answer.pieces
            if not _is_as_planned(cut, answer.pieces):
                self._begin(_end(self._job, cut, answer.pieces))

    def _ask(self) -> None:
        """Submit some tasks to the cluster in advance."""
        n_workers = max(1, self._cluster.n_workers)
        while len(self._under_way) < AHEAD * n_workers and (cut := self._cutter.cut(self._size(n_workers))):
            self._asked += cut.n_frames
            wanted = FramesTask.of(self._job, cut, self._inputs, self._learned)
            self._under_way.append((cut, self._cluster.submit(_frames_of(self._job, cut), index_task, wanted)))

    def _size(self, n_workers: int) -> int:
        """Number of frames of the next task; it decreases towards the end, so that all workers finish together."""
        size = self._most
        if self._account.total is not None:
            size = min(size, max(FEWEST_FRAMES, (self._account.total - self._asked) // (2 * n_workers)))
        return size

    def _measure(self, cut: Cut, answer: Answer) -> None:
        """Adjust the size of tasks to the number of frames that a worker computes in `TASK_SECONDS`."""
        speed = cut.n_frames / max(answer.seconds, 1e-3)
        if cut.n_frames >= FEWEST_FRAMES:
            self._most = int(np.clip(speed * TASK_SECONDS, FEWEST_FRAMES, min(GROWTH * self._most, TASK_FRAMES)))

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


def _is_as_planned(cut: Cut, pieces: Sequence[Piece]) -> bool:
    """Whether the frames that came are those of the cut; a file may be truncated or replaced."""
    rows = [piece.batch.places[piece.batch.indices >= 0] for piece in pieces if piece.batch.places is not None]
    places = np.concatenate([np.zeros((0, 4), np.int64), *rows])
    last = Place(*places[-1].tolist()) if len(places) else cut.start
    return len(places) == cut.n_frames and last == cut.last


def _end(job: Job, cut: Cut, pieces: Sequence[Piece]) -> Place:
    """The place after the rows that came instead of those of the cut."""
    if not pieces:
        path = job.sources[cut.start.source].path
        raise InputError(path, f"has changed: {_frames_of(job, cut)} were expected, and did not come")
    return pieces[-1].batch.end
