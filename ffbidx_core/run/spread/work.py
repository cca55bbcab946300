"""The interface between a run and whoever computes its frames, and the choice between this process and workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from ...devices import Devices, Workers
from ...model.records.frame import FrameBlock
from ...write.stores import Store
from ..account import Account
from ..collector import Collector
from ..job import Job
from ..learning import Settled
from .here import Here


class Work(Protocol):
    """The computation of the frames of a run."""

    @property
    def fill(self) -> tuple[float, float]:
        """The fill of the queues before the computation and before the writing, 0 to 1."""

    def first_blocks(self, job: Job) -> Iterator[FrameBlock]:
        """Read the first frames of a job, from which the run learns; see `settle`."""

    def do(self, settled: Settled, collector: Collector, done: Callable[[], object]) -> bool:
        """Compute all unfinished frames, count them, and hand them to the collector in the order of the input.

        Parameters
        ----------
        settled
            The job and the cells after learning.
        collector
            The collector of the run, which may be used by another thread until the frames are computed.
        done
            Function that is called whenever some frames are finished.

        Returns
        -------
        bool
            Whether all frames were computed; false if the run was stopped before.
        """

    def close(self) -> None:
        """Stop reading, and give up what is not finished."""


def work_of(devices: Devices, account: Account, store: Store, stop: threading.Event) -> Work:
    """The work of a run, done by workers in tasks if its frames are in files that do not grow.

    Workers save their results in parts, which does not suit a store that needs all results at once.
    """
    job = account.job
    if isinstance(devices, Workers) and job.follow is None and job.arrays is None and not store.keeps_all:
        # Most runs have a single device, and need not wait for the import.
        from .on_workers import OnWorkers

        return OnWorkers(devices, account, stop)
    return Here(devices, account, stop)
