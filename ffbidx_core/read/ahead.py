"""Reading in a separate thread, a few blocks ahead of the computation."""

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
"""Time between two checks of whether to stop, seconds."""


class ReadAhead(Generic[T], Iterator[T]):
    """The items of an iterable, produced by another thread that is at most `depth` items ahead.

    An exception of the iterable is raised here, after the items before it. `close` ends the thread as soon as it has
    produced its current item.

    Parameters
    ----------
    items
        The iterable.
    depth
        Largest number of items that wait.
    stop
        Event after which the iterator waits for no further item: it stops, and `ended` stays false.

    Attributes
    ----------
    ended : bool
        Whether all items of the iterable have been delivered.
    """

    def __init__(self, items: Iterable[T], depth: int = 2, stop: threading.Event | None = None) -> None:
        self._items, self._stop = items, stop or threading.Event()
        self._made: queue.Queue[object] = queue.Queue(depth)
        self._closed = threading.Event()
        self.ended = False
        # The thread is a daemon, so that a reader that hangs on a dead file system does not keep the program alive.
        self._thread = threading.Thread(target=self._work, name="ffbidx-reader", daemon=True)
        self._thread.start()

    @property
    def fill(self) -> float:
        """Fraction of the queue that is filled, from 0 to 1."""
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
        """The next item, or None at the end of the iterable and after the event `stop`."""
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._made.get(timeout=_PATIENCE)
                self.ended = item is _END
                return None if self.ended else item
            if self._stop.is_set():
                return None

    def close(self, seconds: float | None = 1.0) -> None:
        """Stop the thread, and wait for its end for at most some seconds, or without a limit for None."""
        self._closed.set()
        self._thread.join(timeout=seconds)

    def _put(self, item: object) -> None:
        """Hand over an item, unless the iterator is closed before there is room for it."""
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._made.put(item, timeout=_PATIENCE)
                return

    def _work(self) -> None:
        """Produce the items, in the thread."""
        try:
            for item in self._items:
                self._put(item)
                if self._closed.is_set():
                    return
            self._put(_END)
        except BaseException as error:
            self._put(_Failure(error))


class _Failure:
    """An exception of the iterable, on its way through the queue."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def read_ahead(items: Iterable[T], depth: int = 2, stop: threading.Event | None = None) -> ReadAhead[T]:
    """The items of an iterable, read ahead by another thread; see `ReadAhead`."""
    return ReadAhead(items, depth, stop)


def in_order(items: Iterable[T], work: Callable[[T], R], threads: int) -> Iterator[R]:
    """Apply a function to items in several threads, and yield the results in the order of the items.

    An exception of the iterable is raised after the results of the items before it. With one thread the function is
    called in the caller's thread.

    Parameters
    ----------
    items
        The items, which are taken in the caller's thread.
    work
        Function of an item.
    threads
        Number of threads that call the function.
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
