"""A task of a dask cluster, and the error that the run raises if the task fails."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from ..errors import BackendUnavailable
from ..version import VERSION


class Task:
    """A task of a worker, whose result is fetched as soon as it is available."""

    def __init__(self, future: Any, what: str) -> None:
        self._future, self._what = future, what
        self._done = threading.Event()
        self._answer: Any = None
        self._error: BaseException | None = None
        future.add_done_callback(self._fetch)

    def _fetch(self, future: Any) -> None:
        try:
            self._answer = future.result()
        except BaseException as error:
            self._error = error
        # The worker may now release the result.
        self._future = None
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end of the task; returns whether it is done."""
        return self._done.wait(seconds)

    @property
    def is_done(self) -> bool:
        """Whether the task has ended, with a result or an error."""
        return self._done.is_set()

    def result(self) -> Any:
        """The result of a task that is done.

        Raises
        ------
        BackendUnavailable
            If every worker to which the task was given died, or the scheduler has gone.
        Exception
            If the task raised an error.
        """
        if self._error is not None:
            raise self._explained(self._error)
        return self._answer

    def _explained(self, error: BaseException) -> BaseException:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            n = error.allowed_failures + 1
            return BackendUnavailable(f"{n} workers of dask died one after the other with {self._what}: see their logs")
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("ffbidx"):
            return BackendUnavailable(f"a worker of dask has no ffbidx: install ffbidx {VERSION} there")
        if isinstance(error, RuntimeError) and str(error).startswith("Error during deserialization"):
            return BackendUnavailable(f"the scheduler of dask cannot load ffbidx: install ffbidx {VERSION} there too")
        if isinstance(error, FutureCancelledError):
            return BackendUnavailable("the connection to the dask scheduler is lost")
        return error

    def cancel(self) -> None:
        """Give up the task, whose result is no longer needed."""
        future = self._future
        if future is not None:
            with contextlib.suppress(Exception):
                future.cancel()
