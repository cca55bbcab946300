"""Where a run's results go while it runs; `parts` has the store that keeps them on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..model.records.doubt import Contest
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, Learned, Mark, RunRecord
from ..read.results_file import ResultsFile
from .formats.table import table_pieces


@dataclass
class Saved:
    """The state of a run in its store before it goes on.

    Attributes
    ----------
    mark : Mark
        How far the run has come.
    learned : list of Learned or None
        None: nothing was learned yet.
    notes : list of str
        Notes for the user on what was taken up.
    is_complete : bool
        Whether nothing is left to do.
    begun : tuple of InputIdentity
        The inputs that a run which follows them had begun, in their order; the run goes on with them.
    """

    mark: Mark = field(default_factory=Mark)
    learned: list[Learned] | None = None
    notes: list[str] = field(default_factory=list)
    is_complete: bool = False
    begun: tuple[InputIdentity, ...] = ()


class Store(Protocol):
    """Where a run's results go, saved part by saved part in the order of the input.

    Attributes
    ----------
    keeps_all : bool
        Whether it wants all results at once, in the end.
    """

    keeps_all: bool

    def begin(self, record: RunRecord) -> Saved:
        """Begin this run, or take it up."""

    def pieces(self) -> Iterator[Results]:
        """All results so far, some frames at a time."""

    def views(self) -> Iterator[Results | ResultsFile]:
        """All results so far, part by part; those of saved parts are read when they are asked for."""

    def learned(self, groups: list[Learned]) -> None:
        """Keep the learned cells."""

    def note_inputs(self, inputs: tuple[InputIdentity, ...]) -> None:
        """Take the inputs that a run which follows them has begun so far; they are kept with the next results."""

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Keep the results of the next frames, and how far the run has come with them.

        `complete` is given with the last ones only: whether the run came to its end.
        """

    def join_ahead(self) -> None:
        """Begin to make the output: no further results are saved."""

    def publish(self, header: ResultsHeader, complete: bool, contest: Contest) -> None:
        """Make the output of all that was saved; `contest` says whether its crystals are to be believed."""

    def abandon(self) -> None:
        """Throw away all that was saved."""

    def close(self) -> None:
        """Close open files. Results that were saved and not published stay."""


class MemoryStore:
    """Results in memory."""

    keeps_all = True

    def __init__(self) -> None:
        self._saved: list[Results] = []

    def begin(self, record: RunRecord) -> Saved:
        """Begin a run."""
        return Saved()

    def pieces(self) -> Iterator[Results]:
        """All results so far."""
        return iter(self._saved)

    def views(self) -> Iterator[Results | ResultsFile]:
        """All results so far."""
        return iter(self._saved)

    def learned(self, groups: list[Learned]) -> None:
        """The results hold them."""

    def note_inputs(self, inputs: tuple[InputIdentity, ...]) -> None:
        """Results in memory say nothing of the inputs."""

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Keep results."""
        self._saved.append(results)

    def join_ahead(self) -> None:
        """There is no output."""

    def publish(self, header: ResultsHeader, complete: bool, contest: Contest) -> None:
        """There is no output."""

    def abandon(self) -> None:
        """Forget the results."""
        self._saved = []

    def close(self) -> None:
        """Nothing is open."""


class TableStream(MemoryStore):
    """The text table, written to a stream as the results come.

    Parameters
    ----------
    write
        Takes the next bytes.
    """

    keeps_all = False

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write
        self._begun = False

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Write the lines of some results."""
        for number, piece in enumerate(table_pieces([results])):
            if number or not self._begun:
                self._write(piece)
        self._begun = True
