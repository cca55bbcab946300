"""The store that saves the results of a run in parts beside its outputs, and makes the outputs from them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...errors import OutputError, UsageError
from ...model.records.doubt import Contest
from ...model.records.frame import Place
from ...model.records.results import Results, ResultsHeader
from ...model.records.run import InputIdentity, Learned, Mark, RunRecord
from ...read.files.identity import identities
from ...read.files.inputs import Source
from ...read.files.probe import Prober
from ...read.results import read_run, results_in_pieces
from ..check import WAYS_ON
from ..ending import Ending
from ..formats.names import PARTS_SUFFIX, RESULTS_FILE
from ..join import JoinAhead, are_large, write_joined
from ..outputs import Output
from ..record import record_of
from ..results import results_file
from ..stores import Saved
from .folder import PartsFolder


class PartsStore:
    """A store with saved parts in `OUTPUT.parts`, each written completely or not at all, and then the outputs.

    A run that ends before its first saved part leaves nothing but its outputs.

    Parameters
    ----------
    outputs
        Outputs of the run; the saved parts are beside the first output that is a file.
    overwrite
        Whether outputs or the parts of another run may be replaced.
    resume
        Whether to resume the run that left parts, or an incomplete results file.
    prober
        Opens each input first, so that one that hangs does not delay the others.
    """

    keeps_all = False

    def __init__(
        self,
        outputs: Sequence[Output],
        *,
        overwrite: bool = False,
        resume: bool = False,
        prober: Prober | None = None,
    ) -> None:
        self._outputs, self._prober = outputs, prober
        self._overwrite, self._resume = overwrite, resume
        self.output = next(output.path for output in outputs if output.stream is None)
        self._results_files = [output.path for output in outputs if output.format == RESULTS_FILE]
        self._results_file = next(iter(self._results_files), None)
        self._folder = PartsFolder(self.output + PARTS_SUFFIX)
        self._last: Results | None = None
        self._ahead: JoinAhead | None = None
        self._mark = Mark()
        self._groups: list[Learned] | None = None
        self._complete: Ending | None = None

    def check(self, inputs: Iterable[str]) -> None:
        """Raise an error before the run if outputs could not be written; see `Output.check`."""
        inputs = list(inputs)
        for output in self._outputs:
            output.check(self._overwrite or self._resume, inputs, ways_on=WAYS_ON)
        if not (self._overwrite or self._resume) and self._folder.has_parts:
            raise OutputError(
                self.output,
                f"{self._folder.path} is of a run that did not end: --resume goes on with it, --overwrite starts again",
            )

    @property
    def is_complete(self) -> bool:
        """Whether the results file is there and holds the whole run."""
        return self._complete is not None

    def begin(self, record: RunRecord) -> Saved:
        """Begin this run, or resume it.

        Raises
        ------
        UsageError
            If the existing run has other settings or inputs; the message names the first difference.
        OutputError, InputError
            If the existing saved parts or results cannot be used.
        """
        self._record = record
        notes: list[str] = []
        if self._resume and self._folder.has_ledger:
            self._folder.hold()
            self._folder.remove_unfinished(self._results_files)
            notes = self._take_up_parts()
        elif self._resume and self._results_file is not None and os.path.lexists(self._results_file):
            # Parts without a ledger remain from a run that died while it removed them.
            self._folder.clear(self._results_files)
            self._take_up_results(self._results_file)
        elif self._resume and os.path.lexists(self.output):
            raise OutputError(
                self.output,
                f"--resume: is there without saved parts ({self._folder.path}), so it is complete or of another run, "
                "and only a results file records which (-o FILE.h5); --overwrite starts the run again",
            )
        else:
            # The existing parts belong to no run any more, because `check` has refused all other cases.
            self._folder.clear(self._results_files)
        return Saved(self._mark, self._groups, notes, self.is_complete, self._record.inputs if record.growing else ())

    def _take_up_parts(self) -> list[str]:
        ledger, then, end = self._folder.left()
        self._check(then, end)
        self._mark, self._groups, notes = self._folder.take_up(ledger)
        return notes

    def _take_up_results(self, output: str) -> None:
        header, is_complete, then, mark, groups = read_run(output)
        self._check(then, mark.end)
        self._mark, self._groups = mark, groups
        if is_complete:
            self._complete = Ending(header, True, then, mark, groups)
            return
        self._folder.begin(self._record, self._groups)
        self._folder.copy(output, mark, self._inputs)

    def _check(self, then: RunRecord, end: Place) -> None:
        if self._record.growing:
            # These are the files that were begun so far, in their present state; the run continues with them.
            begun = then.inputs[: end.source + (end.frame > 0)]
            now = identities((Source(known.path) for known in begun), self._prober)
            difference = replace(self._record, inputs=now).difference(replace(then, inputs=begun), end.source)
            self._record = replace(self._record, inputs=begun)
        else:
            difference = self._record.difference(then)
        if difference:
            raise UsageError(
                f"--resume: this is not the run that {self.output} is of: {difference}; --overwrite starts it again"
            )

    @property
    def _inputs(self) -> tuple[InputIdentity, ...] | None:
        """The inputs begun so far, for a run that follows its inputs; otherwise None."""
        return self._record.inputs if self._record.growing else None

    def pieces(self) -> Iterator[Results]:
        """Yield all results so far, some frames at a time."""
        if self._last is not None:
            yield self._last
        for path in self._files:
            yield from results_in_pieces(path)

    @property
    def _files(self) -> list[str]:
        """The files with all results so far, except those in memory."""
        return [self._results_file or self.output] if self.is_complete else self._folder.parts

    def learned(self, groups: list[Learned]) -> None:
        """Keep the learned cells; they are on the disk with the first saved part."""
        self._groups = groups
        self._folder.learned(groups)

    def note_inputs(self, inputs: tuple[InputIdentity, ...]) -> None:
        """Note the inputs begun so far, which go to the ledger with the next saved part, and to the outputs."""
        self._record = replace(self._record, inputs=inputs)

    def save(self, results: Results, mark: Mark, complete: bool | None = None) -> None:
        """Save a part; a run that fits into one part saves none, unless its output could not be resumed without it."""
        if self.is_complete:
            # This is the end of a share without frames, which the results file has already.
            return
        if complete is not None and not self._folder.is_begun and (complete or self._results_file is not None):
            self._last = results
        else:
            with self._naming_the_mend():
                self._folder.begin(self._record, self._groups)
                self._folder.save(results_file(results, number_names=True), mark, self._inputs)
                self._join()
        self._mark.extend(mark)

    def expect_parts(self) -> str:
        """The folder of the saved parts; the child process that joins them if they are large starts with the first."""
        folder = self.folder
        # Its imports take half a second. It is needed only later, if at all.
        with contextlib.suppress(OSError):
            self._start_joining()
        return folder

    @property
    def folder(self) -> str:
        """The folder of the saved parts."""
        with self._naming_the_mend():
            self._folder.begin(self._record, self._groups)
        return os.path.abspath(self._folder.path)

    def adopt(self, path: str, mark: Mark, crc32: int) -> None:
        """Make a file that a worker has saved in the folder the next part."""
        with self._naming_the_mend():
            self._folder.adopt(path, mark, crc32)
            self._join()
        self._mark.extend(mark)

    def _join(self) -> None:
        """Give the saved parts to a child process, which joins them while the run goes on, once they are large."""
        if self._results_file is None or not (self._joining or are_large(self._folder.parts)):
            return
        if ahead := self._start_joining():
            for path, crc32 in self._folder.parts_with_checksums[ahead.n_parts :]:
                ahead.add(path, crc32)

    def _start_joining(self) -> JoinAhead | None:
        """The child process, which is started if need be; None if no output is a results file."""
        if self._ahead is None and self._results_file is not None:
            self._ahead = JoinAhead(self._folder.unfinished(self._results_file))
        return self._ahead

    @property
    def _joining(self) -> JoinAhead | None:
        """The child process, once it has been given parts."""
        return self._ahead if self._ahead is not None and self._ahead.n_parts else None

    def end(self) -> None:
        """Declare that no further results come; a child that joins them then has the rest of the run for the disk."""
        if ahead := self._joining:
            ahead.end()

    def publish(self, header: ResultsHeader, complete: bool, contest: Contest) -> None:
        """Write the outputs from all saved parts, with the contest of the run's crystals, then remove the parts.

        If the results file was complete before the run, only outputs that do not exist are written, from this file.
        """
        if self._complete is not None:
            for output in self._outputs:
                if output.stream is None and not os.path.exists(output.path):
                    self._publish(output, self._complete)
            return
        with self._naming_the_mend():
            self._join()
            # A child that joins parts compares their checksums itself.
            is_unread = self._joining is None or len(self._outputs) > 1
            if is_unread and (problem := self._folder.first_damage()):
                raise OutputError(self.output, f"cannot be made: {problem}")
            mark = replace(self._mark, contest=contest)
            for output in self._outputs:
                self._publish(output, Ending(header, complete, self._record, mark, self._groups))
        if complete or self._results_file is not None:
            self.abandon()

    def _publish(self, output: Output, ending: Ending) -> None:
        overwrite = self._overwrite or self._resume
        if output.path == self._results_file and (ahead := self._joining):
            ahead.publish(output.path, ending, overwrite)
        elif output.format == RESULTS_FILE:
            parts = self._files if self._last is None else [self._last]
            temporary = self._folder.unfinished(output.path)
            write_joined(output.path, parts, ending, overwrite=overwrite, temporary=temporary)
        else:
            inputs = output.inputs.as_recorded(ending.header)
            made = record_of(ending.header, ending.record)
            replace(output, inputs=inputs).write(self.pieces(), made, overwrite)

    @contextlib.contextmanager
    def _naming_the_mend(self) -> Iterator[None]:
        """A context that adds to an `OutputError` where finished work is kept, and how to resume it."""
        try:
            yield
        except OutputError as error:
            if not self._folder.parts:
                raise
            mend = f"what is finished is in {self._folder.path}, --resume goes on with it"
            raise OutputError(error.path, f"{error.problem}; {mend}") from None

    def abandon(self) -> None:
        """Remove the saved parts."""
        self._end_joining()
        self._folder.remove()
        self.close()

    def close(self) -> None:
        """Release the lock on the folder of parts, and remove the folder if no part was saved."""
        self._end_joining()
        self._folder.close()

    def _end_joining(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
