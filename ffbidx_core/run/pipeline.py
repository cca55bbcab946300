"""The way through a run: it opens its devices and its store, learns, computes, judges and finishes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext

from ..devices import Devices, Workers, open_devices
from ..devices.memory import memory_explained
from ..errors import BackendUnavailable
from ..model.records.doubt import Contest
from ..nouns import counted
from ..write.stores import MemoryStore, Store
from .account import Account
from .collector import Collector
from .job import Job
from .judgement import judged, look_at_scale
from .learning import settle
from .learning.ready import get_ready
from .outcome import Outcome
from .spread import work_of
from .summary import Progress
from .tally import Tally


def index(
    job: Job,
    *,
    store: Store | None = None,
    devices: Devices | None = None,
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
    devices
        Devices that are open already, and that the caller closes; by default those of the job are opened and closed.
    progress
        Function that is called with the progress whenever some frames are finished: a batch, or a task of a worker.
    stop
        Event that is polled between batches; once it is set the run ends with the finished frames and is not
        `complete`. Unfinished tasks of workers are given up.

    Raises
    ------
    BackendUnavailable
        If the backend or device that was asked for is not available, or all workers have failed.
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
    used = devices or open_devices(job.backend, job.device, job.threads, get_ready)
    with (
        memory_explained(job.parameters, job.batch_size),
        nullcontext() if devices else closing(used),
        closing(store or MemoryStore()) as kept,
    ):
        if not used.name:
            return _without_devices(job, kept)
        account = Account(job.on(used.name), used.name, kept)
        header = account.job.header(used.name, used.device)
        checksums = job.follow is not None
        collector = Collector(kept, header, account.sample, save_seconds=job.save_seconds, checksums=checksums)
        is_complete, contest = False, Contest()
        with _unless_stopped(account, collector, stop):
            with closing(work_of(used, account, kept, stop)) as work:

                def report(to_learn: int | None = None) -> None:
                    progress(account.progress(*work.fill, to_learn))

                if job.follow is not None:
                    # This event reports the frames of the first batch, which were read some time ago.
                    report()
                settled = settle(account, used, kept, first=work.first_blocks, stop=stop, waiting=report)
                collector.begin(settled.job.header(used.name, used.device))
                has_ended = work.do(settled, collector, report)
            if has_ended:
                # The inputs of a run that follows them are known only at its end.
                if job.follow is None:
                    collector.end()
                contest = judged(account, settled, used, collector)
                look_at_scale(account, settled, used, contest)
            is_complete = has_ended
        if devices is None and isinstance(used, Workers):
            used.release()
        return account.finish(collector, used.device, is_complete, contest)


@contextlib.contextmanager
def _unless_stopped(account: Account, collector: Collector, stop: threading.Event) -> Iterator[None]:
    """A context in which failing workers end the run, which can be resumed, or, once `stop` is set, only the block."""
    try:
        yield
    except BackendUnavailable as error:
        # The signal that stopped the run may also have stopped the workers.
        if stop.is_set():
            return
        if isinstance(collector.store, MemoryStore):
            raise
        collector.save_rest()
        if account.tally.n_frames == 0:
            raise
        done = counted(account.tally.n_frames, "frame")
        raise BackendUnavailable(f"{error}; with --resume the run continues after the {done} done") from error


def _without_devices(job: Job, store: Store) -> Outcome:
    """The outcome of a run that was stopped before a worker came."""
    summary = Tally().summary(
        [], method=job.parameters.method, backend=job.backend, device="", output=job.output, complete=False
    )
    return Outcome(summary, job.header("", ""), store)
