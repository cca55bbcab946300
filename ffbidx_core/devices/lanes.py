"""Computing several batches at once, which keeps devices busy."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class HasLanes(Protocol):
    """A backend, or several devices, with a number of lanes."""

    @property
    def lanes(self) -> int:
        """The number of batches that are best in progress at once."""


class FreeLanes:
    """The free lanes of a device, which go to the batches of the earliest task first.

    Tasks that are done at once would otherwise share the lanes evenly and end at the same time, and the device would
    have nothing to compute while all of them save their results and read the next frames.

    Parameters
    ----------
    n
        Number of lanes.
    """

    def __init__(self, n: int) -> None:
        self._n_free, self._arrivals = n, itertools.count()
        self._waiting: list[tuple[int, int]] = []
        self._changed = threading.Condition()

    @property
    def n_waiting(self) -> int:
        """Number of batches that wait for a lane."""
        return len(self._waiting)

    @contextmanager
    def lane(self, turn: int) -> Iterator[None]:
        """A context with a lane of its own, which is waited for.

        Parameters
        ----------
        turn
            Number of the task of the batch; batches of tasks with smaller numbers come first.
        """
        with self._changed:
            mine = turn, next(self._arrivals)
            heapq.heappush(self._waiting, mine)
            self._changed.wait_for(lambda: self._n_free > 0 and self._waiting[0] == mine)
            heapq.heappop(self._waiting)
            self._n_free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._n_free += 1
                self._changed.notify_all()


def in_lanes(
    where: HasLanes, batches: Iterable[T], work: Callable[[T], R], pauses: Callable[[T], bool] = lambda batch: False
) -> Iterator[tuple[T, R]]:
    """Work on batches, `where.lanes` of them at a time, and yield them with their results in their order.

    With several lanes the next batches are computed while the caller handles a result; as many as there are lanes are
    taken in advance, so that no lane waits for the caller even if all end at the same time. If a batch `pauses`,
    because no others come for now, finished batches are yielded at once. One lane works in the caller's thread, when
    the next result is asked for. An exception of `work` is raised in place of its result.
    """
    if where.lanes == 1:
        for batch in batches:
            yield batch, work(batch)
        return

    with ThreadPoolExecutor(where.lanes, "ffbidx-lane") as pool:
        under_way: deque[tuple[T, Future[R]]] = deque()
        try:
            for batch in batches:
                under_way.append((batch, pool.submit(work, batch)))
                while len(under_way) > 2 * where.lanes or (under_way and pauses(batch) and under_way[0][1].done()):
                    first, future = under_way.popleft()
                    yield first, future.result()
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
        finally:
            for _, future in under_way:
                future.cancel()
