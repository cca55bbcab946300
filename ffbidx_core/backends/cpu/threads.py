"""The threads over which the frames of a batch are distributed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..shared import OnHost

FEWEST_PER_TASK, MOST_PER_TASK = 16, 32
"""Number of frames that a thread takes at a time: enough to hide the overhead, few enough for an even distribution."""


def available_threads() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CpuThreads(OnHost):
    """Base class of verbs that run on the processors of this machine.

    Parameters
    ----------
    threads
        Number of threads over which the frames of a batch are distributed; None for one on each usable processor.
    """

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self.threads = threads or available_threads()
        self._pool, self._process = self._new_pool(), os.getpid()

    def _new_pool(self) -> ThreadPoolExecutor | None:
        return ThreadPoolExecutor(self.threads, "ffbidx") if self.threads > 1 else None

    @property
    def device(self) -> str:
        """Description of the device: the number of threads."""
        return f"{self.threads} thread{'s' * (self.threads > 1)}"

    def _each(self, n_frames: int, task: Callable[[int, int], None], fewest: int = FEWEST_PER_TASK) -> None:
        """Call task(first, last) in the threads, on ranges of at least `fewest` frames."""
        if self._process != os.getpid():
            # A forked process has none of its parent's threads.
            self._pool, self._process = self._new_pool(), os.getpid()
        if self._pool is None or n_frames <= fewest:
            task(0, n_frames)
            return
        # Four ranges for each thread, so that no thread waits long for the last one.
        size = min(max(-(-n_frames // (4 * self.threads)), fewest), MOST_PER_TASK)
        for _ in self._pool.map(lambda first: task(first, min(first + size, n_frames)), range(0, n_frames, size)):
            pass
