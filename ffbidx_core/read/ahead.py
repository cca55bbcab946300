"""Reading in a thread of its own, a few blocks ahead of the computation."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_END = object()


def read_ahead(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """The same items, made by another thread that is at most `depth` of them ahead.

    An exception of the iterator is raised here, after the items before it. Closing this generator ends the thread
    as soon as the item in its hands is made.
    """
    made: queue.Queue[object] = queue.Queue(depth)
    closed = threading.Event()

    def put(item: object) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                made.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if closed.is_set():
                    return
            put(_END)
        except BaseException as error:
            put(_Failure(error))

    # A daemon: a reader that hangs on a dead file system must not keep the program from leaving.
    thread = threading.Thread(target=work, name="ffbidx-reader", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join(timeout=1.0)


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
