"""A run by the workers of a cluster: each computes shards of the input, which come back in its order."""

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
from ..model.records.frame import Place
from ..read.files.identity import identities
from ..read.spans import Cut, Cutter
from ..write.behind import WriteBehind
from ..write.stores import Store
from .account import Account
from .cluster_task import Answer, Part, Shard, index_shard
from .collector import SHARD_FRAMES, Collector
from .job import Job
from .learning import Settled, settle
from .outcome import BatchFound
from .pipeline import DEPTH
from .summary import Progress, Summary, Tally

SHARD_SECONDS = 8.0
"""Time that a worker spends on a shard, once it is known how fast it is: so much of its work is lost when it dies."""
FIRST_FRAMES, FEWEST_FRAMES = 256, 16
"""Frames of the first shards, and of the smallest ones, which share out the end of the input."""
GROWTH = 4
AHEAD = 4
"""Shards for each worker between the first that is not done and the last that is asked for."""


def index_on(
    cluster: Cluster,
    job: Job,
    *,
    store: Store,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Summary:
    """Index all frames of a job on the workers of a cluster; the results are those of `pipeline.index`.

    Parameters, and errors besides those of the cluster, are as there. Once `stop` is set, shards that are not done
    are given up.
    """
    stop = stop or threading.Event()
    # Refuses at once what makes no sense.
    job.blocks()
    with closing(store):
        if not cluster.name:
            return Tally().summary(
                [], method=job.parameters.method, backend=job.backend, device="", output=job.output, complete=False
            )
        account, ended = Account(job.on(cluster.name), cluster.name, store), False
        settled = Settled(account.job, [], iter(()))
        with _unless_stopped(account, stop):
            settled = settle(account, cluster, store, first=Job.first_blocks, stop=stop)
        header = settled.job.header(cluster.name, cluster.device)
        collector = Collector(store, header, save_seconds=job.save_seconds)
        with _unless_stopped(account, stop, collector.save_rest):
            shards = Shards(cluster, account, settled, stop)
            with closing(shards), WriteBehind(collector.take, DEPTH) as writer:
                for part in shards.parts():
                    writer.put(_found(account, part))
                    progress(account.progress(shards.fill, writer.fill))
                writer.finish()
            ended = shards.ended
        return account.finish(collector, cluster.device, ended).summary


@contextlib.contextmanager
def _unless_stopped(account: Account, stop: threading.Event, save: Callable[[], None] = lambda: None) -> Iterator[None]:
    """A cluster that fails ends the run after a last save; one that fails once `stop` is set ends the block only."""
    try:
        yield
    except BackendUnavailable as error:
        # The signal that stops the run may have stopped the workers too.
        if not stop.is_set():
            save()
            raise BackendUnavailable(
                f"{error}; with --resume the run goes on behind the {account.tally.n_frames} frames that are done"
            ) from error


def _found(account: Account, part: Part) -> BatchFound:
    """Take up a part as `Account.prepared` and `Account.found` do a batch."""
    for problem in part.batch.problems:
        account.show(problem)
    cells = None
    if part.given is not None:
        cells = account.cells.known(part.given)
        account.cells.suspect(part.given, part.suspicions)
    return account.found(part.batch, cells, part.result)


class Shards:
    """The shards of a run on their way through a cluster: asked for some ahead, taken in the order of the input.

    Attributes
    ----------
    ended : bool
        Whether all have come.
    """

    def __init__(self, cluster: Cluster, account: Account, settled: Settled, stop: threading.Event) -> None:
        self._cluster, self._account, self._stop = cluster, account, stop
        self._job, self._learned = dataclasses.replace(settled.job, parameters=account.p), settled.learned
        self._inputs = identities(settled.job.sources)
        self._under_way: deque[tuple[Cut, Task]] = deque()
        self._most = FIRST_FRAMES
        self.ended = False
        self._begin(account.start)

    def _begin(self, start: Place) -> None:
        """Plan the shards from a place on."""
        self.close()
        job = self._job
        self._cutter = Cutter(
            job.sources,
            start=start,
            end=None if job.span is None else job.span.end,
            geometry=job.geometry,
            every=job.every,
            max_frames=job.max_frames,
        )
        self._asked = self._account.tally.n_frames

    @property
    def fill(self) -> float:
        """Share of the shards asked for that are still to be computed."""
        return sum(not task.is_done for _, task in self._under_way) / max(1, len(self._under_way))

    def parts(self) -> Iterator[Part]:
        """The results of all shards, until they end or the run is to stop."""
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
            yield from answer.parts
            if not _is_as_planned(cut, answer.parts):
                self._begin(_end(self._job, cut, answer.parts))

    def _ask(self) -> None:
        """Have the cluster work on some shards ahead."""
        n_workers = max(1, self._cluster.n_workers)
        while len(self._under_way) < AHEAD * n_workers and (cut := self._cutter.cut(self._size(n_workers))):
            self._asked += cut.n_frames
            shard = Shard.of(self._job, cut, self._inputs, self._learned)
            self._under_way.append((cut, self._cluster.submit(_frames_of(self._job, cut), index_shard, shard)))

    def _size(self, n_workers: int) -> int:
        """Frames of the next shard: the fewer the nearer the end is, so that no worker has much more to do."""
        size = self._most
        if self._account.total is not None:
            size = min(size, max(FEWEST_FRAMES, (self._account.total - self._asked) // (2 * n_workers)))
        return size

    def _measure(self, cut: Cut, answer: Answer) -> None:
        """Let shards grow to as many frames as a worker does in the time that one should take."""
        speed = cut.n_frames / max(answer.seconds, 1e-3)
        if cut.n_frames >= FEWEST_FRAMES:
            self._most = int(np.clip(speed * SHARD_SECONDS, FEWEST_FRAMES, min(GROWTH * self._most, SHARD_FRAMES)))

    def close(self) -> None:
        """Give up what is under way."""
        for _, task in self._under_way:
            task.cancel()
        self._under_way.clear()


def _frames_of(job: Job, cut: Cut) -> str:
    """The frames of a cut in words; the file that it begins with where it has none."""
    place = cut.last if cut.n_frames else cut.start
    path = job.sources[min(place.source, len(job.sources) - 1)].path
    last = f"{path}//{place.frame - 1}"
    if cut.n_frames < 2:
        return f"the frame {last}" if cut.n_frames else path
    return f"the {cut.n_frames} frames up to {last}"


def _is_as_planned(cut: Cut, parts: Sequence[Part]) -> bool:
    """Whether the frames that came are those of the cut: a file may break off, or be another than it was."""
    rows = [part.batch.places[part.batch.indices >= 0] for part in parts if part.batch.places is not None]
    places = np.concatenate([np.zeros((0, 4), np.int64), *rows])
    last = Place(*places[-1].tolist()) if len(places) else cut.start
    return len(places) == cut.n_frames and last == cut.last


def _end(job: Job, cut: Cut, parts: Sequence[Part]) -> Place:
    """The place behind the rows that came instead of a cut's."""
    if not parts:
        path = job.sources[cut.start.source].path
        raise InputError(path, f"has changed: {_frames_of(job, cut)} were to come, and did not")
    return parts[-1].batch.end
