"""Several batches under way at once, where there are devices to wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class HasLanes(Protocol):
    """A backend, or several devices."""

    @property
    def lanes(self) -> int:
        """Batches that are best under way at once."""


def in_lanes(
    where: HasLanes, batches: Iterable[T], work: Callable[[T], R], pauses: Callable[[T], bool] = lambda batch: False
) -> Iterator[tuple[T, R]]:
    """Work on batches, `where.lanes` of them at a time, and give them back with their results in their order.

    While the caller looks at a result the next batches are under way. An exception of `work` comes where its result
    would have come. Where a batch `pauses`, as no others come for now, those that are finished are given back at once.
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
