"""The door of the core in Python: a request in, results out."""

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
from ..read.results_file import ResultsFile, open_results
from ..write import ResultsWriter
from ..write.outputs import RESULTS_FILE
from . import pipeline
from .outcome import Outcome
from .preparation import PreparedRun, prepared
from .request import RunRequest
from .summary import Progress, Summary


@dataclass(frozen=True, repr=False)
class RunResults:
    """The results of a run and its summary. What `Results` has, this has too.

    Attributes
    ----------
    results : Results, ResultsFile or None
        The results in memory, or those in a results file; None where they went to other outputs only.
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
        return f"<{type(self).__name__}: {s.frames} frames, {s.indexed} indexed, {s.crystals} crystals{whole}>"

    def __len__(self) -> int:
        return self.summary.frames

    def __getitem__(self, frames: int | slice) -> Results:
        """Some frames: those of a slice, or one; from a results file nothing else is read."""
        return self._kept()[frames]

    def _kept(self) -> Results | ResultsFile:
        if self.results is None:
            raise UsageError(
                "the results went to outputs that Python does not read: name a results file (.h5) among outputs, or "
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
        Called after every batch with how far the run is.
    stop
        Once it is set the run ends with the batches that are finished; the results are not `complete` then.

    Returns
    -------
    RunResults
        From memory; of a run with a results file among its outputs from that file.

    Raises
    ------
    UsageError, ParameterError
        For what cannot be asked, alone or together.
    ArrayError
        For arrays of another shape or type than is wanted.
    InputError, CellError
        For files and cells that cannot be used.
    BackendUnavailable
        When the backend or device is not there.
    NothingProcessed
        When no frame could be used.
    OutputError
        When outputs cannot be written.

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
        As for `index`.

    Returns
    -------
    Indexing
        An iterator over the events of the run; its `results` are there after the last one.
    """
    return Indexing(request, stop)


class Indexing:
    """A run that is under way in a thread of its own: an iterator over its events.

    The run begins with the first event that is asked for, and goes on where a loop over the events is left. `close`,
    or the end of a `with` block, stops it after the batch at hand.

    Attributes
    ----------
    stop : threading.Event
        Ends the run with the batches that are finished, once it is set.
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
        """The results; where events are left, the run goes on to its end first."""
        for _ in self._events:
            pass
        if self._results is None:
            raise UsageError("the run was closed before it began: there are no results")
        return self._results

    def close(self) -> None:
        """Stop the run; what is finished stays in `results`."""
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
                # The events were left before the last one.
                self.stop.set()
            thread.join()
        if errors:
            raise errors[0]


def _in_memory(outcome: Outcome) -> Results:
    """The results of a run without outputs; without frames where it was stopped before the first batch was finished."""
    return outcome.results() if outcome.summary.frames else ResultsWriter(outcome.header).results(False)


def _from_file(run: PreparedRun) -> ResultsFile | None:
    """The results of a run from the first results file among its outputs."""
    path = next((path for path, wanted in run.outputs.items() if wanted == RESULTS_FILE), None)
    return None if path is None else open_results(path)


def _to_stdout(data: bytes) -> None:
    print(data.decode(), end="", file=sys.stdout)
