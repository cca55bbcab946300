"""Following of input that grows while it is read: files in SWMR mode and new files, until a file or a time ends it.

Files are read in the order in which they appear, and in the order of their names if they are found together. A file
that is still being written, cannot be read or has no frames does not delay those after it. The frames of a file stay
together: the next file is begun when the current one is closed, or its writer has been silent for a minute. The result
is that of an ordinary run on the finished files in that order, whenever the files were examined.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from ...errors import InputError
from ...model.detector.panels import GivenGeometry
from ...model.records.frame import Place
from ...model.records.run import InputIdentity
from ..blocks import UNITS_ASSUMED
from ..files.identity import identities, size_and_time, text_of
from ..files.inputs import Source
from ..files.probe import Prober
from ..formats.open import open_spots
from ..frames import Pause, RawFrames
from ..selection import Selection, readable_frames, unreadable_row
from .arrivals import Arrivals
from .ending import SILENT, Ending
from .watched import ANEW, LOOK, NOT_WHOLE, Watched

LULL = 0.5
"""Time between pauses, seconds; no frame waits longer for a batch to fill up."""
SLOW_LOOK = 5.0
"""Longest time between two looks for new frames, seconds."""
GRACE = 10.0
"""Time that writers have at the end of the input to complete their files, seconds."""


class Follower:
    """A reader of the files that some names stand for, while they appear and grow.

    Parameters
    ----------
    names
        Files, directories and patterns, see `names_to_follow`.
    stop_file
        File whose existence ends the input, after all frames that exist by then have been read.
    stop_after
        Time without a new frame after which the input ends, seconds.
    leave_out
        Files that are not inputs, wherever they appear.
    prober
        Prober that opens each file first, so that one that hangs does not delay the others; None for no probing.

    Attributes
    ----------
    arrivals : Arrivals
        Detection of new files among the names.
    sources : tuple of Source
        Files that have been begun so far, in their order.
    inputs : tuple of InputIdentity
        Identity of each of these files at its last look.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        stop_file: str | None = None,
        stop_after: float | None = None,
        leave_out: Iterable[str] = (),
        prober: Prober | None = None,
    ) -> None:
        self._ending, self._prober = Ending(stop_file, stop_after), prober
        self.arrivals = Arrivals(names, leave_out)
        self._sources: list[Source] = []
        self._inputs: list[InputIdentity] = []
        self._waiting: dict[str, Watched] = {}
        self._current: Watched | None = None
        self._place = Place()
        self._units_noted = False
        self._notes: list[str] = []
        self._looking = 0.0

    @property
    def sources(self) -> tuple[Source, ...]:
        """A copy of the list of files that have been begun so far."""
        return tuple(self._sources)

    @property
    def inputs(self) -> tuple[InputIdentity, ...]:
        """A copy of the identities of the files that have been begun so far."""
        return tuple(self._inputs)

    def take_up(self, begun: Iterable[InputIdentity]) -> None:
        """Continue with the files that an earlier run had begun; to be called before any frame is read."""
        self._inputs = list(begun)
        self._sources = self._sources_of_inputs()

    @property
    def named(self) -> list[Source]:
        """The names as sources, whether files exist or not."""
        return [Source(name) for name in self.arrivals.names]

    def wait(self, geometry: GivenGeometry | None, show: Callable[[str], object]) -> list[Source]:
        """Wait for the first readable file and show problems of others; return it, or at the end all existing files."""
        shown = set()
        while not self._ending.has_come():
            self._find()
            for file in self._waiting.values():
                file.look(geometry)
                if file.may_be_read:
                    return [Source(file.path)]
                if file.problem and not file.problem.endswith(NOT_WHOLE) and file.problem not in shown:
                    show(f"waiting: {file.problem}")
                    shown.add(file.problem)
            if not shown:
                show(f"waiting for the first frame of {', '.join(self.arrivals.names)}")
                shown.add("")
            time.sleep(LOOK)
        return [Source(path) for path in self.arrivals.there()]

    def frames(
        self, selection: Selection, start: Place, at_once: int, geometry: GivenGeometry | None
    ) -> Iterator[RawFrames | Pause]:
        """The frames as they arrive, from a place on, with pauses about every `LULL` seconds while there are none."""
        self._go_back(start)
        self._ending.note_frame()
        last_pause = time.monotonic()
        while not (selection.finished or self._ending.has_come()):
            began, self._looking = time.monotonic(), 0.0
            self._find()
            self._looking += time.monotonic() - began
            while not selection.finished:
                yield from self._new_frames(selection, at_once, geometry)
                if not self._go_on(geometry):
                    break
            now = time.monotonic()
            if now - last_pause >= LULL:
                yield self._pause()
                last_pause = now
            # Looks that take long, because of many or large files or a slow file system, are made less often.
            time.sleep(min(max(LOOK, 4 * self._looking), SLOW_LOOK))
        if not selection.finished:
            yield from self._rest(selection, at_once, geometry)
        # The files no longer grow, so that hashes are added by which they are recognised wherever they are copied.
        self._inputs = [
            now if now[:4] == known[:4] else known
            for now, known in zip(identities(self._sources, self._prober), self._inputs, strict=True)
        ]

    def _go_back(self, start: Place) -> None:
        """Return to a place in the files that were begun; files begun after it are read again."""
        kept = start.source + (start.frame > 0)
        del self._inputs[kept:]
        again = {source.path: Watched(source.path, self._prober) for source in self._sources[kept:]}
        self._waiting = again | self._waiting
        self._sources = self._sources_of_inputs()
        for source in self._sources:
            self.arrivals.found.add(source.path)
            self._waiting.pop(source.path, None)
        self._place = start
        self._current = Watched(self._sources[-1].path, self._prober) if start.frame > 0 else None

    def _sources_of_inputs(self) -> list[Source]:
        there = {text_of(path): path for path in self.arrivals.there()}
        return [Source(there.get(known.path, known.path)) for known in self._inputs]

    def _find(self) -> None:
        """Look for new files."""
        self._waiting |= {path: Watched(path, self._prober) for path in self.arrivals.new()}

    def _look(self, file: Watched, geometry: GivenGeometry | None) -> None:
        began = time.monotonic()
        file.look(geometry)
        self._looking += time.monotonic() - began

    def _pause(self) -> Pause:
        notes, self._notes = self._notes, []
        return Pause(notes)

    def _go_on(self, geometry: GivenGeometry | None) -> bool:
        """Begin the next file if one can be read and the current one has ended; return whether a file was begun."""
        current, silent = self._current, self._ending.is_silent
        at_its_end = current is None or (current.closed and not current.problem and self._place.frame >= current.ready)
        if current is not None and current.is_there and not (at_its_end or silent):
            return False
        for file in self._waiting.values():
            self._look(file, geometry)
            if file.may_be_read:
                if current is not None and silent and not current.closed:
                    self._notes.append(f"{current.path}: no new frame for {SILENT:g} s, the files after it go on")
                self._begin(file)
                return True
            if file.is_new:
                # A file that was found earlier is read earlier.
                return False
        return False

    def _begin(self, file: Watched) -> None:
        self._waiting.pop(file.path, None)
        self._current = file
        self._sources.append(Source(file.path))
        self._inputs.append(InputIdentity(text_of(file.path), -1, *file.size_and_time))
        self._place = Place(len(self._sources) - 1, 0, self._place.position, self._place.taken)

    def _new_frames(self, selection: Selection, at_once: int, geometry: GivenGeometry | None) -> Iterator[RawFrames]:
        """The frames that the current file has gained since it was read last."""
        file = self._current
        if file is None:
            return
        if not file.closed or self._place.frame >= file.ready:
            self._look(file, geometry)
        if file.is_there:
            self._inputs[-1] = InputIdentity(text_of(file.path), -1, *file.size_and_time)
        yield from self._read(file, selection, at_once, geometry)
        problem = self._what_is_wrong(file, (file.problem or file.error) if self._ending.is_silent else "")
        if problem and file is self._current:
            yield self._leave_out(file, problem)

    def _what_is_wrong(self, file: Watched, problem: str) -> str:
        """A problem of the current file, or that it was modified after it was read to its end; else empty."""
        return f"{file.path}: {ANEW}" if file.is_modified and self._place.frame >= file.ready else problem

    def _read(
        self, file: Watched, selection: Selection, at_once: int, geometry: GivenGeometry | None
    ) -> Iterator[RawFrames]:
        if file.problem or self._place.frame >= file.ready:
            return
        try:
            with contextlib.closing(open_spots(file.path, geometry, self._prober)) as spots:
                spots.n_frames = min(spots.n_frames, file.ready)
                file.check(spots)
                whole, source = file.closed, self._sources[-1]
                for raw in readable_frames(spots, source, self._place, selection, at_once, whole=whole):
                    if spots.units_assumed and not self._units_noted:
                        raw.problems.append(f"an input's /spots: {UNITS_ASSUMED}")
                        self._units_noted = True
                    self._place = Place(*raw.places[-1].tolist())
                    file.note(raw)
                    yield raw
                    self._ending.note_frame()
        except InputError as error:
            # Reading a file that grows is tried again later.
            file.error = str(error)
            selection.position, selection.taken = self._place.position, self._place.taken
            if file.closed:
                yield self._leave_out(file, file.error)
        else:
            file.note_end()
            self._place = Place(self._place.source, spots.n_frames, selection.position, selection.taken)

    def _leave_out(self, file: Watched, problem: str) -> RawFrames:
        """Give up the current file, and return the row that stands for it or for its rest."""
        rest = "; the rest of the file is left out" if self._place.frame > 0 else ""
        self._place = Place(len(self._sources), 0, self._place.position, self._place.taken)
        self._current = None
        return unreadable_row(file.path, f"{problem}{rest}", self._place)

    def _rest(self, selection: Selection, at_once: int, geometry: GivenGeometry | None) -> Iterator[RawFrames | Pause]:
        """All frames that exist when the input has ended, then a row for each file that cannot be read."""
        self._find()
        deadline = time.monotonic() + GRACE
        at_hand = [] if self._current is None else [self._current]
        while time.monotonic() < deadline and any(f.is_changing for f in (*at_hand, *self._waiting.values())):
            yield self._pause()
            time.sleep(LOOK)
        passed = len(self._sources) - len(at_hand)
        unreadable = []
        for file in (*at_hand, *self._waiting.values()):
            if selection.finished:
                return
            if not file.is_there:
                # The file was read under another name, or was a temporary file.
                continue
            file.last_look(geometry)
            if file is not self._current:
                if file.problem:
                    unreadable.append(file)
                    continue
                self._begin(file)
            self._inputs[-1] = InputIdentity(text_of(file.path), -1, *file.size_and_time)
            yield from self._read(file, selection, at_once, geometry)
            if file is self._current and (problem := self._what_is_wrong(file, file.problem)):
                yield self._leave_out(file, problem)
        yield self._pause()
        for file in unreadable:
            self._begin(file)
            yield self._leave_out(file, file.problem)
        yield from self._not_as_they_were(passed)

    def _not_as_they_were(self, passed: int) -> Iterator[RawFrames]:
        """A row for each of the first files that has changed since it was read, and for each name without a file."""
        changed = [
            (source.path, "has changed since it was indexed: what came later is left out")
            for source, known in zip(self._sources[:passed], self._inputs, strict=False)
            if size_and_time(source.path, self._prober) not in ((known.size, known.mtime_ns), (-1, -1))
        ]
        missing = [(name, "no file came") for name in self.arrivals.missing]
        for path, problem in changed + missing:
            yield unreadable_row(path, f"{path}: {problem}", self._place)
