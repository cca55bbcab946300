"""The saved parts of a run, beside its outputs, with their ledger."""

from __future__ import annotations

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..errors import InputError, OutputError, UsageError
from ..model.records.doubt import Contest
from ..model.records.frame import Place
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, Learned, Mark, RunRecord
from ..read.files.identity import identities
from ..read.files.inputs import Source
from ..read.results import read_run, results_in_pieces
from ..read.results_file import ResultsFile, open_results
from .atomic import copy_file, make_directory, remove_directory, write_file
from .ending import Ending
from .join import JoinAhead, are_large, write_joined
from .ledger import Ledger, NotedInputs
from .outputs import RESULTS_FILE, Output
from .record import record_of
from .results import results_file
from .stores import Saved

SUFFIX = ".parts"
LEDGER = "ledger.jsonl"
LEDGER_FORMAT, LEDGER_VERSION = "ffbidx-ledger", 1
WAYS_ON = "--overwrite, or --resume to go on with its run"
"""Options for an output that is there."""


class PartsStore:
    """Results as saved parts in `OUTPUT.parts`, each written whole or not at all, with a ledger; then the outputs.

    A run that ends before its first saved part leaves nothing but its outputs.

    Parameters
    ----------
    outputs
        Outputs of the run; the saved parts lie beside the first one that is a file.
    overwrite
        Whether outputs or the parts of another run may be replaced.
    resume
        Whether to take up the run that left parts, or a results file that is not complete.
    """

    keeps_all = False

    def __init__(self, outputs: Sequence[Output], *, overwrite: bool = False, resume: bool = False) -> None:
        self._outputs = outputs
        self._overwrite, self._resume = overwrite, resume
        self.output = next(output.path for output in outputs if output.stream is None)
        self._results_file = next((output.path for output in outputs if output.format == RESULTS_FILE), None)
        self.folder = self.output + SUFFIX
        self._ledger: Ledger | None = None
        self._lock = -1
        self._last: Results | None = None
        self._ahead: JoinAhead | None = None
        self._mark, self._noted = Mark(), NotedInputs()
        self._groups: list[Learned] | None = None
        self.is_complete = False

    def check(self, inputs: Iterable[str]) -> None:
        """Refuse outputs that could not be written, before the run; see `Output.check`."""
        inputs = list(inputs)
        for output in self._outputs:
            output.check(self._overwrite or self._resume, inputs, ways_on=WAYS_ON)
        if self._overwrite or self._resume:
            return
        with contextlib.suppress(InputError):
            if any("shard" in line for line in Ledger.open(os.path.join(self.folder, LEDGER)).lines):
                raise OutputError(
                    self.output,
                    (f"{self.folder} is of a run that did not end: --resume goes on with it, --overwrite starts again"),
                )

    def begin(self, record: RunRecord) -> Saved:
        """Begin this run, or take it up.

        Raises
        ------
        UsageError
            When the run that is there has other settings or inputs; the message names the first that differs.
        OutputError, InputError
            When the saved parts or results that are there cannot be used.
        """
        self._record = record
        notes: list[str] = []
        if self._resume and os.path.lexists(os.path.join(self.folder, LEDGER)):
            self._hold()
            notes = self._take_up_parts()
        elif self._resume and self._results_file is not None and os.path.lexists(self._results_file):
            # Parts without a ledger are what is left of a run that died while it removed them.
            remove_directory(self.folder)
            self._take_up_results(self._results_file)
        elif self._resume and os.path.lexists(self.output):
            mend = "only a results file is taken up without them; --overwrite starts the run again"
            raise OutputError(self.output, f"is there, but no {self.folder}: {mend}")
        else:
            # What is there is nobody's any more: `check` has refused all else.
            remove_directory(self.folder)
        return Saved(self._mark, self._groups, notes, self.is_complete, self._record.inputs if record.growing else ())

    def _take_up_parts(self) -> list[str]:
        ledger = Ledger.open(os.path.join(self.folder, LEDGER))
        head = ledger.lines[0] if ledger.lines else {}
        if head.get("format") != LEDGER_FORMAT or head.get("format_version") != LEDGER_VERSION:
            raise InputError(ledger.path, "is no ledger of this program: --overwrite starts the run again")
        n_inputs = head["inputs"]
        self._noted = NotedInputs.of_lines(ledger.lines[1:])
        ends = [line["mark"]["end"] for line in ledger.lines if "shard" in line]
        self._check(RunRecord(head["settings"], tuple(self._noted.inputs)), Place(*ends[-1]) if ends else Place())
        whole, notes = n_inputs + 1, []
        for line in ledger.lines[n_inputs + 1 :]:
            if "shard" in line and (problem := self._damage(line)):
                notes.append(f"{problem}; the frames from there on are computed again")
                break
            if "shard" in line:
                self._mark.extend(Mark.from_dict(line["mark"]))
            elif "learned" in line:
                self._groups = [Learned.from_dict(values) for values in line["learned"]]
            whole += 1
        if notes:
            ledger = Ledger.begin(ledger.path, ledger.lines[:whole])
        self._ledger = ledger
        return notes

    def _damage(self, line: dict[str, Any]) -> str:
        path = os.path.join(self.folder, line["shard"])
        try:
            found = _checksum(path)
        except OSError as error:
            return f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"
        return "" if found == line["crc32"] else f"{path}: is damaged, its checksum is wrong"

    def _take_up_results(self, output: str) -> None:
        _, self.is_complete, then, mark, groups = read_run(output)
        self._check(then, mark.end)
        self._mark, self._groups = mark, groups
        if self.is_complete:
            return
        self._begin_ledger()
        path = self._part_path(0)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        copy_file(output, path)
        self._add_part(path, mark, _checksum(path))

    def _check(self, then: RunRecord, end: Place) -> None:
        if self._record.growing:
            # The files that were begun until the end, as they are now; the run goes on with them.
            begun = then.inputs[: end.source + (end.frame > 0)]
            now = identities(Source(known.path) for known in begun)
            difference = replace(self._record, inputs=now).difference(replace(then, inputs=begun), end.source)
            self._record = replace(self._record, inputs=begun)
        else:
            difference = self._record.difference(then)
        if difference:
            raise UsageError(
                f"--resume: this is not the run that {self.output} is of: {difference}; --overwrite starts it again"
            )

    def _begin_ledger(self) -> Ledger:
        if self._ledger is None:
            make_directory(self.folder)
            self._hold()
            record, self._noted = self._record, NotedInputs(self._record.inputs)
            lines: list[dict[str, Any]] = [
                {
                    "format": LEDGER_FORMAT,
                    "format_version": LEDGER_VERSION,
                    "settings": record.settings,
                    "inputs": len(self._noted.inputs),
                }
            ]
            lines += [{"input": list(source)} for source in self._noted.inputs]
            if self._groups is not None:
                lines.append({"learned": [group.as_dict() for group in self._groups]})
            self._ledger = Ledger.begin(os.path.join(self.folder, LEDGER), lines)
        return self._ledger

    def _hold(self) -> None:
        """Keep other programs from the parts while this one is at work."""
        if self._lock >= 0:
            return
        with contextlib.suppress(OSError):
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(self.folder, "another run is at work on it") from None

    @property
    def _lines(self) -> list[dict[str, Any]]:
        """The lines of the ledger that name saved parts."""
        return [] if self._ledger is None else [line for line in self._ledger.lines if "shard" in line]

    @property
    def _parts(self) -> list[str]:
        return [os.path.join(self.folder, line["shard"]) for line in self._lines]

    def _part_path(self, number: int) -> str:
        return os.path.join(self.folder, f"{number:06d}.h5")

    def pieces(self) -> Iterator[Results]:
        """All results so far, some frames at a time."""
        if self._last is not None:
            yield self._last
        for path in self._files:
            yield from results_in_pieces(path)

    def views(self) -> Iterator[Results | ResultsFile]:
        """All results so far, part by part; those of saved parts are read when they are asked for."""
        if self._last is not None:
            yield self._last
        yield from map(open_results, self._files)

    @property
    def _files(self) -> list[str]:
        """The files with all results so far, besides those in memory."""
        return [self._results_file or self.output] if self.is_complete else self._parts

    def learned(self, groups: list[Learned]) -> None:
        """Keep the learned cells; they are on the disk with the first saved part."""
        self._groups = groups
        if self._ledger is not None:
            self._ledger.add({"learned": [group.as_dict() for group in groups]})

    def note_inputs(self, inputs: tuple[InputIdentity, ...]) -> None:
        """Take the inputs begun so far; they are in the ledger with the next saved part, and in the outputs."""
        self._record = replace(self._record, inputs=inputs)

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Save a part. A run that fits into one needs none, unless its output could not be taken up without it."""
        if complete is not None and self._ledger is None and (complete or self._results_file is not None):
            self._last = results
        else:
            with self._naming_the_mend():
                self._begin_ledger()
                path, image = self._part_path(len(self._parts)), results_file(results)
                write_file(path, image, overwrite=True)
                self._add_part(path, mark, zlib.crc32(image))
        self._mark.extend(mark)

    def _add_part(self, path: str, mark: Mark, checksum: int) -> None:
        ledger = self._begin_ledger()
        line = {"shard": os.path.basename(path), "mark": mark.as_dict(), "crc32": checksum}
        if self._record.growing:
            line["inputs"] = self._noted.news(self._record.inputs)
        ledger.add(line)

    def join_ahead(self) -> None:
        """Have a child process join the saved parts from now on: no further ones come."""
        if self.is_complete or self._last is not None or self._results_file is None:
            return
        if are_large(self._parts):
            with self._naming_the_mend():
                self._check_parts()
                self._ahead = JoinAhead(self._parts, self.folder)

    def _check_parts(self) -> None:
        for line in self._lines:
            if problem := self._damage(line):
                raise OutputError(self.output, f"cannot be made: {problem}")

    def publish(self, header: ResultsHeader, complete: bool, contest: Contest) -> None:
        """Write the outputs from all saved parts, with what they say of the run's crystals, then remove the parts."""
        if self.is_complete:
            return
        with self._naming_the_mend():
            if self._ahead is None:
                self._check_parts()
            mark = replace(self._mark, contest=contest)
            for output in self._outputs:
                self._publish(output, Ending(header, complete, self._record, mark, self._groups))
        if complete or self._results_file is not None:
            self.abandon()

    def _publish(self, output: Output, ending: Ending) -> None:
        overwrite = self._overwrite or self._resume
        if output.path == self._results_file and self._ahead is not None:
            self._ahead.publish(output.path, ending, overwrite)
        elif output.format == RESULTS_FILE:
            parts: list[str] | list[bytes] = self._parts
            if self._last is not None:
                parts = [results_file(self._last)]
            folder = self.folder if self._ledger is not None else None
            write_joined(output.path, parts, ending, folder=folder, overwrite=overwrite)
        else:
            inputs = output.inputs.as_recorded(ending.header)
            made = record_of(ending.header, ending.record)
            replace(output, inputs=inputs).write(self.pieces(), made, overwrite)

    @contextlib.contextmanager
    def _naming_the_mend(self) -> Iterator[None]:
        """Add to an `OutputError` inside where finished work is kept, and how to go on with it."""
        try:
            yield
        except OutputError as error:
            if not self._lines:
                raise
            mend = f"what is finished is in {self.folder}, --resume goes on with it"
            raise OutputError(error.path, f"{error.problem}; {mend}") from None

    def abandon(self) -> None:
        """Remove the saved parts."""
        self._end_joining()
        if self._ledger is not None:
            self._ledger.remove()
            remove_directory(self.folder)
            self._ledger = None
        self.close()

    def close(self) -> None:
        """Release the lock on the folder of parts, and remove the folder where no part was saved."""
        self._end_joining()
        if self._ledger is not None and not self._lines:
            remove_directory(self.folder)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _end_joining(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


def _checksum(path: str) -> int:
    value = 0
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            value = zlib.crc32(piece, value)
    return value
