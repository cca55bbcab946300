"""Reading in threads of its own, a few blocks ahead of the computation."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_END = object()
_PATIENCE = 0.1


class ReadAhead(Generic[T], Iterator[T]):
    """The items of an iterable, made by another thread that is at most `depth` items ahead.

    An exception of the iterable is raised here, after the items before it. `close` ends the thread as soon as the item
    in its hands is made.

    Parameters
    ----------
    stop
        Once this event is set the iterator waits for no further item: it stops, and `ended` stays false.

    Attributes
    ----------
    ended : bool
        Whether all items of the iterable have come.
    """

    def __init__(self, items: Iterable[T], depth: int = 2, stop: threading.Event | None = None) -> None:
        self._items, self._stop = items, stop or threading.Event()
        self._made: queue.Queue[object] = queue.Queue(depth)
        self._closed = threading.Event()
        self.ended = False
        # A daemon: a reader that hangs on a dead file system must not keep the program from leaving.
        self._thread = threading.Thread(target=self._work, name="ffbidx-reader", daemon=True)
        self._thread.start()

    @property
    def fill(self) -> float:
        """Share of the queue that is filled, 0 to 1."""
        return self._made.qsize() / self._made.maxsize

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = None if self.ended else self._next()
        if item is None:
            raise StopIteration
        if isinstance(item, _Failure):
            self.ended = True
            raise item.error
        return item  # type: ignore[return-value]

    def _next(self) -> object | None:
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._made.get(timeout=_PATIENCE)
                self.ended = item is _END
                return None if self.ended else item
            if self._stop.is_set():
                return None

    def close(self, seconds: float | None = 1.0) -> None:
        """End the thread, and wait for its end, at most for some seconds; None: without a limit."""
        self._closed.set()
        self._thread.join(timeout=seconds)

    def _put(self, item: object) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._made.put(item, timeout=_PATIENCE)
                return

    def _work(self) -> None:
        try:
            for item in self._items:
                self._put(item)
                if self._closed.is_set():
                    return
            self._put(_END)
        except BaseException as error:
            self._put(_Failure(error))


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def read_ahead(items: Iterable[T], depth: int = 2, stop: threading.Event | None = None) -> ReadAhead[T]:
    """Read items ahead, see `ReadAhead`."""
    return ReadAhead(items, depth, stop)


def in_order(items: Iterable[T], work: Callable[[T], R], threads: int) -> Iterator[R]:
    """The results of work on items, in their order, which some threads do while the next items are taken.

    An exception of the items is raised behind the results of those before it. With one thread the caller works.
    """
    if threads == 1:
        yield from map(work, items)
        return
    under_way: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ffbidx-sieve")
    try:
        items, error = iter(items), None
        while error is None:
            try:
                under_way.append(pool.submit(work, next(items)))
            except Exception as raised:
                error = raised
            while under_way and (error is not None or len(under_way) > threads):
                yield under_way.popleft().result()
        if not isinstance(error, StopIteration):
            raise error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
