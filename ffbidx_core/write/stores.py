"""Stores for the results of a run in progress; the store in `parts` keeps them on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..model.records.doubt import Contest
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, Learned, Mark, RunRecord
from ..read.results import read_results
from .atomic import remove_file
from .formats.table import table_pieces


@dataclass
class Saved:
    """The state of a run in its store before it goes on.

    Attributes
    ----------
    mark : Mark
        Progress of the run.
    learned : list of Learned or None
        The learned cells; None if nothing was learned yet.
    notes : list of str
        Notes for the user on the resumed results.
    is_complete : bool
        Whether the run is finished.
    begun : tuple of InputIdentity
        For a run that follows its inputs, the inputs that it had begun, in their order; the run continues with them.
    """

    mark: Mark = field(default_factory=Mark)
    learned: list[Learned] | None = None
    notes: list[str] = field(default_factory=list)
    is_complete: bool = False
    begun: tuple[InputIdentity, ...] = ()


class Store(Protocol):
    """A store that receives the results of a run, part by part in the order of the input.

    Attributes
    ----------
    keeps_all : bool
        Whether the store needs all results at once at the end.
    """

    keeps_all: bool

    def begin(self, record: RunRecord) -> Saved:
        """Begin this run, or resume it."""

    def pieces(self) -> Iterator[Results]:
        """Yield all results so far, some frames at a time."""

    def learned(self, groups: list[Learned]) -> None:
        """Keep the learned cells."""

    def note_inputs(self, inputs: tuple[InputIdentity, ...]) -> None:
        """Note the inputs that a run which follows them has begun so far; they are kept with the next results."""

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Keep the results of the next frames, and the progress of the run.

        `complete` is given with the last results only, and states whether the run reached its end.
        """

    def expect_parts(self) -> str:
        """The folder in which workers save parts; what takes them over gets ready while they compute the first ones."""

    @property
    def folder(self) -> str:
        """The folder for parts that workers save, which is made if necessary."""

    def adopt(self, path: str, mark: Mark, crc32: int) -> None:
        """Keep the results of the next frames, which a worker has saved in `folder`; see `save`.

        Parameters
        ----------
        path, crc32
            Name and checksum of the results file.
        """

    def end(self) -> None:
        """Declare that no further results come before `publish`."""

    def publish(self, header: ResultsHeader, complete: bool, contest: Contest) -> None:
        """Make the output from all saved results; `contest` states whether its crystals are to be believed."""

    def abandon(self) -> None:
        """Discard all saved results."""

    def close(self) -> None:
        """Close open files; saved results that were not published are kept."""


class MemoryStore:
    """A store that keeps results in memory."""

    keeps_all = True

    def __init__(self) -> None:
        self._saved: list[Results] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def begin(self, record: RunRecord) -> Saved:
        """Begin a run."""
        return Saved()

    def pieces(self) -> Iterator[Results]:
        """Yield all results so far."""
        return iter(self._saved)

    def learned(self, groups: list[Learned]) -> None:
        """Do nothing, because the results hold the learned cells."""

    def note_inputs(self, inputs: tuple[InputIdentity, ...]) -> None:
        """Do nothing, because results in memory do not record the inputs."""

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Keep the results of the next frames."""
        self._saved.append(results)

    def expect_parts(self) -> str:
        """The folder in which workers save parts."""
        return self.folder

    @property
    def folder(self) -> str:
        """A folder for temporary files, in which workers save parts."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="ffbidx-")
        return self._folder.name

    def adopt(self, path: str, mark: Mark, crc32: int) -> None:
        """Keep the results of the next frames, which a worker has saved."""
        self.save(read_results(path), mark)
        remove_file(path)

    def end(self) -> None:
        """Do nothing, because the results are in memory."""

    def publish(self, header: ResultsHeader, complete: bool, contest: Contest) -> None:
        """Do nothing, because there is no output."""

    def abandon(self) -> None:
        """Discard the results."""
        self._saved = []

    def close(self) -> None:
        """Remove temporary files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class TableStream(MemoryStore):
    """A store that writes the text table to a stream as the results come.

    Parameters
    ----------
    write
        Function that takes the next bytes.
    """

    keeps_all = False

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write
        self._begun = False

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Write the lines of the results of the next frames."""
        for number, piece in enumerate(table_pieces([results])):
            if number or not self._begun:
                self._write(piece)
        self._begun = True
