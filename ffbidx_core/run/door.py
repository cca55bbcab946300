"""The Python interface to a whole run: `index` and `index_iter` take a request and return results."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from ..errors import UsageError
from ..model.records.results import Results
from ..nouns import counted
from ..read.results_file import ResultsFile, open_results
from ..write import ResultsWriter
from ..write.formats.names import RESULTS_FILE
from . import pipeline
from .outcome import Outcome
from .preparation import PreparedRun, prepared
from .request import RunRequest
from .summary import Progress, Summary


@dataclass(frozen=True, repr=False)
class RunResults:
    """The results of a run and its summary; all attributes of `Results` are available.

    Attributes
    ----------
    results : Results, ResultsFile or None
        The results in memory or in a results file; None if they went to other outputs only.
    summary : Summary
        Counts and figures of the run.
    """

    results: Results | ResultsFile | None
    summary: Summary

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._kept(), name)

    def __repr__(self) -> str:
        s = self.summary
        whole = "" if s.complete else ", stopped before the end"
        frames, crystals = counted(s.frames, "frame"), counted(s.crystals, "crystal")
        return f"<{type(self).__name__}: {frames}, {s.indexed} indexed, {crystals}{whole}>"

    def __len__(self) -> int:
        return self.summary.frames

    def __getitem__(self, frames: int | slice) -> Results:
        """The results of a slice of frames or of one frame; from a results file only these are read."""
        return self._kept()[frames]

    def _kept(self) -> Results | ResultsFile:
        if self.results is None:
            raise UsageError(
                "the results went to outputs that Python does not read: name a results file (.h5) in outputs, or "
                "none to have the results in memory"
            )
        return self.results


def index(
    request: RunRequest,
    *,
    progress: Callable[[Progress], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> RunResults:
    """Index frames, as `ffbidx index` does.

    Parameters
    ----------
    request
        The frames, the input cells, the parameters and the outputs; without outputs the results stay in memory.
    progress
        Function that is called with the progress of the run after every batch.
    stop
        Event that ends the run with the finished batches once it is set; the results are then not `complete`.

    Returns
    -------
    RunResults
        The results, from memory or, if a results file is among the outputs, from that file.

    Raises
    ------
    UsageError, ParameterError
        If values or combinations of the request are not allowed.
    ArrayError
        If an array has the wrong shape or type.
    InputError, CellError
        If a file or a cell cannot be used.
    BackendUnavailable
        If the backend or device is not available.
    NothingProcessed
        If no frame could be used.
    OutputError
        If an output cannot be written.

    Examples
    --------
    >>> import ffbidx_core
    >>> request = ffbidx_core.RunRequest("lysozyme.h5", "lysozyme.cell")  # doctest: +SKIP
    >>> results = ffbidx_core.index(request)  # doctest: +SKIP
    """
    request.check(in_memory=True)
    with prepared(request) as run:
        if not run.outputs:
            outcome = pipeline.index(run.job, progress=progress, stop=stop)
            return RunResults(_in_memory(outcome), outcome.summary)
        summary = run.index(run.store(_to_stdout), progress=progress, stop=stop)
        is_written = summary.frames > 0 or summary.complete
        if is_written:
            run.keep_spots()
        return RunResults(_from_file(run) if is_written else None, summary)


def index_iter(request: RunRequest, *, stop: threading.Event | None = None) -> Indexing:
    """Index frames as `index` does, step by step.

    Parameters
    ----------
    request, stop
        The request and the stop event, as for `index`.

    Returns
    -------
    Indexing
        An iterator over the events of the run; its `results` are available after the last event.
    """
    return Indexing(request, stop)


class Indexing:
    """A run in progress in a thread of its own, and an iterator over its events.

    The run starts when the first event is requested, and goes on if a loop over the events is left. `close`, or the end
    of a `with` block, stops it after the current batch.

    Attributes
    ----------
    stop : threading.Event
        Event that ends the run with the finished batches once it is set.
    """

    def __init__(self, request: RunRequest, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()
        self._request = request
        self._events = self._run()
        self._results: RunResults | None = None

    def __iter__(self) -> Iterator[Progress]:
        return self._events

    def __next__(self) -> Progress:
        return next(self._events)

    @property
    def results(self) -> RunResults:
        """The results; if events are left, the run is first completed."""
        for _ in self._events:
            pass
        if self._results is None:
            raise UsageError("the run was closed before it began: there are no results")
        return self._results

    def close(self) -> None:
        """Stop the run; the finished frames stay in `results`."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> Generator[Progress, None, None]:
        events: SimpleQueue[Progress | None] = SimpleQueue()
        errors: list[BaseException] = []

        def work() -> None:
            try:
                self._results = index(self._request, progress=events.put, stop=self.stop)
            except BaseException as error:
                errors.append(error)
            finally:
                events.put(None)

        thread = threading.Thread(target=work, name="ffbidx index")
        thread.start()
        try:
            while (event := events.get()) is not None:
                yield event
        finally:
            if thread.is_alive() and self._results is None and not errors:
                # The caller left the iteration before the last event.
                self.stop.set()
            thread.join()
        if errors:
            raise errors[0]


def _in_memory(outcome: Outcome) -> Results:
    """The results of a run without outputs; they are empty if the run was stopped before its first batch finished."""
    return outcome.results() if outcome.summary.frames else ResultsWriter(outcome.header).results(False)


def _from_file(run: PreparedRun) -> ResultsFile | None:
    """The results of a run from the first results file among its outputs."""
    path = next((path for path, wanted in run.outputs.items() if wanted == RESULTS_FILE), None)
    return None if path is None else open_results(path)


def _to_stdout(data: bytes) -> None:
    print(data.decode(), end="", file=sys.stdout)
