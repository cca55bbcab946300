"""Computing several batches at once, which keeps devices busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class HasLanes(Protocol):
    """A backend, or several devices, with a number of lanes."""

    @property
    def lanes(self) -> int:
        """The number of batches that are best in progress at once."""


def in_lanes(
    where: HasLanes, batches: Iterable[T], work: Callable[[T], R], pauses: Callable[[T], bool] = lambda batch: False
) -> Iterator[tuple[T, R]]:
    """Work on batches, `where.lanes` of them at a time, and yield them with their results in their order.

    The next batches are computed while the caller handles a result. An exception of `work` is raised in place of its
    result. If a batch `pauses`, because no others come for now, finished batches are yielded at once.
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
                while len(under_way) > where.lanes or (under_way and pauses(batch) and under_way[0][1].done()):
                    first, future = under_way.popleft()
                    yield first, future.result()
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
        finally:
            for _, future in under_way:
                future.cancel()
