"""The threads that share out the frames of a batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..shared import OnHost

FEWEST_PER_TASK, MOST_PER_TASK = 4, 32
"""Frames that a thread takes at a time: enough to hide the hand-over, few enough to share out evenly."""


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CpuThreads(OnHost):
    """The processors of this machine.

    Parameters
    ----------
    threads
        Threads that share out the frames of a batch; None: one for each processor that may be used.
    """

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self.threads = threads or available_threads()
        self._pool, self._process = self._new_pool(), os.getpid()

    def _new_pool(self) -> ThreadPoolExecutor | None:
        return ThreadPoolExecutor(self.threads, "ffbidx") if self.threads > 1 else None

    @property
    def device(self) -> str:
        """What it runs on, in words."""
        return f"{self.threads} thread{'s' * (self.threads > 1)}"

    def _each(self, n_frames: int, task: Callable[[int, int], None], fewest: int = FEWEST_PER_TASK) -> None:
        """Call task(first, last) on ranges of frames, `fewest` at least, in the threads."""
        if self._process != os.getpid():
            # Threads do not come along in a fork.
            self._pool, self._process = self._new_pool(), os.getpid()
        if self._pool is None or n_frames <= fewest:
            task(0, n_frames)
            return
        # Two rounds for each thread, so that none waits long for the last.
        size = min(max(-(-n_frames // (2 * self.threads)), fewest), MOST_PER_TASK)
        for _ in self._pool.map(lambda first: task(first, min(first + size, n_frames)), range(0, n_frames, size)):
            pass
