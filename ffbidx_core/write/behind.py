"""Writing in a thread of its own, a few items behind the computation."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_END = object()


class WriteBehind(Generic[T]):
    """Passes items in their order to a function in another thread, which is at most `depth` items behind.

    It is a context manager, left when all items are done, also after an exception inside. An exception of the function
    is raised by the next `put`, or by `finish`.
    """

    def __init__(self, work: Callable[[T], None], depth: int = 2) -> None:
        self._work = work
        self._items: queue.Queue[object] = queue.Queue(depth)
        self._error: BaseException | None = None
        # The thread is a daemon, so that a disk that hangs does not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="ffbidx-writer", daemon=True)

    @property
    def fill(self) -> float:
        """The fill of the queue, 0 to 1."""
        return self._items.qsize() / self._items.maxsize

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._items.put(_END)
            self._thread.join()

    def put(self, item: T) -> None:
        """Hand over an item; this waits while `depth` others are in the queue."""
        self._raise()
        self._items.put(item)

    def finish(self) -> None:
        """Wait until all items are done."""
        self._items.put(_END)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._items.get()) is not _END:
            # After an error, items are taken and dropped, so that no thread waits for room in the queue.
            if self._error is None:
                try:
                    self._work(item)  # type: ignore[arg-type]
                except BaseException as error:
                    self._error = error
