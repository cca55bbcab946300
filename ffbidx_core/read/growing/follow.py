"""Input that grows while it is read: files in SWMR mode, and files that appear, until a file or a time says stop.

Files are taken in the order in which they appear, those found at one look in the order of the names; a file that is
still being written, cannot be read or has no frames does not hold up those after it. The frames of a file follow each
other, so that the next file is begun when the one at hand was closed (or its writer said nothing for a minute). What
is read so is what an ordinary run would read of the finished files named in that order, however the looks fell.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator

from ...errors import InputError
from ...model.detector.panels import GivenGeometry
from ...model.records.frame import Place
from ...model.records.run import InputIdentity
from ..blocks import UNITS_ASSUMED
from ..files.identity import identities, size_and_time, text_of
from ..files.inputs import Source
from ..formats.open import is_results, open_spots
from ..frames import Pause, RawFrames
from ..selection import Selection, readable_frames, unreadable_row
from .arrivals import Arrivals
from .ending import SILENT, Ending
from .watched import ANEW, LOOK, NOT_WHOLE, Watched

LULL = 0.5
"""Seconds between pauses: no frame waits longer for a batch to become full."""
SLOW_LOOK = 5.0
"""Seconds between looks at most."""
GRACE = 10.0
"""Seconds that files have in the end to be written to their end."""


class Follower:
    """The files that some names stand for, as they appear and grow.

    Parameters
    ----------
    names
        Files, directories and patterns, see `names_to_follow`.
    stop_file
        Once it exists, what is there by then is read and the input ends.
    stop_after
        Seconds without a new frame after which it ends.
    leave_out
        Files that are no input, wherever they appear.

    Attributes
    ----------
    sources : tuple of Source
        The files that were begun so far, in their order.
    inputs : tuple of InputIdentity
        Size, time of modification and hash of each of these files, as it was looked at last.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        stop_file: str | None = None,
        stop_after: float | None = None,
        leave_out: Iterable[str] = (),
    ) -> None:
        self._ending = Ending(stop_file, stop_after)
        self._arrivals = Arrivals(names, leave_out)
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
        """The files that were begun so far; files that are begun later do not change what was given."""
        return tuple(self._sources)

    @property
    def inputs(self) -> tuple[InputIdentity, ...]:
        """The identities of the files that were begun so far; later looks do not change what was given."""
        return tuple(self._inputs)

    def take_up(self, begun: Iterable[InputIdentity]) -> None:
        """Go on with the files that an earlier run had begun, before any frame is read."""
        self._inputs = list(begun)
        self._sources = self._sources_of_inputs()

    @property
    def named(self) -> list[Source]:
        """What was named, whatever is there."""
        return [Source(name) for name in self._arrivals.names]

    def inputs_among(self, paths: Iterable[str]) -> list[str]:
        """Those of some files that are input, results not."""
        there = {os.path.abspath(path) for path in self._arrivals.there()}
        return [path for path in paths if os.path.abspath(path) in there and not is_results(path)]

    def wait(self, geometry: GivenGeometry | None, show: Callable[[str], object]) -> list[Source]:
        """Wait for the first file that can be read, and show what is wrong with others; all there are at the end."""
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
                show(f"waiting for the first frame of {', '.join(self._arrivals.names)}")
                shown.add("")
            time.sleep(LOOK)
        return [Source(path) for path in self._arrivals.there()]

    def frames(
        self, selection: Selection, start: Place, at_once: int, geometry: GivenGeometry | None
    ) -> Iterator[RawFrames | Pause]:
        """The frames as they come, from a place on, with pauses about every `LULL` seconds while there are none."""
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
            # Looks that take long, at large or many files or on a slow file system, are made less often.
            time.sleep(min(max(LOOK, 4 * self._looking), SLOW_LOOK))
        if not selection.finished:
            yield from self._rest(selection, at_once, geometry)
        # Now that they grow no more: by their content they are known again wherever they are copied.
        self._inputs = [
            now if now[:4] == known[:4] else known
            for now, known in zip(identities(self._sources), self._inputs, strict=True)
        ]

    def _go_back(self, start: Place) -> None:
        """Go on at a place in the files that were begun; those begun behind it come again."""
        kept = start.source + (start.frame > 0)
        del self._inputs[kept:]
        again = {source.path: Watched(source.path) for source in self._sources[kept:]}
        self._waiting = again | self._waiting
        self._sources = self._sources_of_inputs()
        for source in self._sources:
            self._arrivals.found.add(source.path)
            self._waiting.pop(source.path, None)
        self._place = start
        self._current = Watched(self._sources[-1].path) if start.frame > 0 else None

    def _sources_of_inputs(self) -> list[Source]:
        there = {text_of(path): path for path in self._arrivals.there()}
        return [Source(there.get(known.path, known.path)) for known in self._inputs]

    def _find(self) -> None:
        """Look for new files."""
        self._waiting |= {path: Watched(path) for path in self._arrivals.new()}

    def _look(self, file: Watched, geometry: GivenGeometry | None) -> None:
        began = time.monotonic()
        file.look(geometry)
        self._looking += time.monotonic() - began

    def _pause(self) -> Pause:
        notes, self._notes = self._notes, []
        return Pause(notes)

    def _go_on(self, geometry: GivenGeometry | None) -> bool:
        """Begin the next file, where there is one that can be read and the one at hand is at its end."""
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
                # It was found first, so that it goes first.
                return False
        return False

    def _begin(self, file: Watched) -> None:
        self._waiting.pop(file.path, None)
        self._current = file
        self._sources.append(Source(file.path))
        self._inputs.append(InputIdentity(text_of(file.path), -1, *file.size_and_time))
        self._place = Place(len(self._sources) - 1, 0, self._place.position, self._place.taken)

    def _new_frames(self, selection: Selection, at_once: int, geometry: GivenGeometry | None) -> Iterator[RawFrames]:
        """What the file at hand has got since it was read last."""
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
        """A problem of the file at hand, or that it was modified since it was read without growing; else empty."""
        return f"{file.path}: {ANEW}" if file.is_modified and self._place.frame >= file.ready else problem

    def _read(
        self, file: Watched, selection: Selection, at_once: int, geometry: GivenGeometry | None
    ) -> Iterator[RawFrames]:
        if file.problem or self._place.frame >= file.ready:
            return
        try:
            with contextlib.closing(open_spots(file.path, geometry)) as spots:
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
            # Of a file that grows it is tried again.
            file.error = str(error)
            selection.position, selection.taken = self._place.position, self._place.taken
            if file.closed:
                yield self._leave_out(file, file.error)
        else:
            file.note_end()
            self._place = Place(self._place.source, spots.n_frames, selection.position, selection.taken)

    def _leave_out(self, file: Watched, problem: str) -> RawFrames:
        """The row of a file, or of the rest of one, that cannot be read."""
        rest = "; the rest of the file is left out" if self._place.frame > 0 else ""
        self._place = Place(len(self._sources), 0, self._place.position, self._place.taken)
        self._current = None
        return unreadable_row(file.path, f"{problem}{rest}", self._place)

    def _rest(self, selection: Selection, at_once: int, geometry: GivenGeometry | None) -> Iterator[RawFrames | Pause]:
        """All that is there in the end; then a row for each thing that cannot be read."""
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
                # It was read, or was there for a moment only, under another name than its own.
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
        """A row for each of the first files that has changed since it was read, and for each that never came."""
        changed = [
            (source.path, "has changed since it was indexed: what came later is left out")
            for source, known in zip(self._sources[:passed], self._inputs, strict=False)
            if size_and_time(source.path) not in ((known.size, known.mtime_ns), (-1, -1))
        ]
        missing = [(name, "no file came") for name in self._arrivals.missing]
        for path, problem in changed + missing:
            yield unreadable_row(path, f"{path}: {problem}", self._place)
