"""Output for the user: progress, messages and the summary on standard error, data on standard output."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ffbidx_cli.columns import cell_table, print_facts
from ffbidx_cli.next_step import NextStep
from ffbidx_cli.sentences import frames_not_indexed, print_sentence
from ffbidx_cli.tables import numbers
from ffbidx_core.errors import OutputError, UsageError
from ffbidx_core.nouns import counted
from ffbidx_core.run.summary import Progress, Summary
from ffbidx_core.write import check_output
from ffbidx_core.write.ledger import Ledger

LATELY = 60.0
"""Time in seconds over which the present frames/s are averaged."""
HEARTBEAT = 30.0
"""Time in seconds between progress lines if the output is not a terminal."""
MOST_CELLS = 5
"""Largest number of input cells that the summary shows; --json has all."""
PLAIN: Any = {"highlight": False, "markup": False, "emoji": False}
"""Arguments of a console that shows names of files as they are, without markup."""


class Rate:
    """The speed over the last minute, in frames/s.

    Attributes
    ----------
    indexed : float or None
        Share of the frames of the last minute that were indexed; None if there were no frames.
    """

    def __init__(self) -> None:
        self._events: deque[tuple[float, int, int]] = deque()
        self.indexed: float | None = None

    def __call__(self, event: Progress) -> float | None:
        """The frames/s of the minute that ends with this event; None at the first event."""
        self._events.append((event.seconds, event.frames, event.indexed))
        while len(self._events) > 2 and event.seconds - self._events[1][0] >= LATELY:
            self._events.popleft()
        seconds, frames, indexed = self._events[0]
        n = event.frames - frames
        self.indexed = (event.indexed - indexed) / n if n else None
        return n / (event.seconds - seconds) if event.seconds > seconds else None


class JsonLog:
    """A file of JSON lines with the progress of a run, about once a second, and its summary.

    Parameters
    ----------
    path
        Name of the file; an existing file is continued or replaced only if an option asks for that.
    resume, overwrite
        Whether to continue an existing file, or to replace it.
    others
        Files that the run reads or writes.

    Raises
    ------
    UsageError, OutputError
        If the file is one of the others; if it exists already, or cannot be written.
    """

    def __init__(self, path: str, *, resume: bool, overwrite: bool, others: Iterable[str] = ()) -> None:
        if os.path.realpath(path) in map(os.path.realpath, others):
            raise UsageError(f"--log-json {path}: the run itself reads or writes this file: give another name")
        check_output(path, resume or overwrite)
        self._file = Ledger.open(path) if resume and os.path.exists(path) else Ledger.begin(path, [])
        self._last = float("-inf")

    def progress(self, event: Progress, now: float | None, indexed: float | None = None) -> None:
        """Write an event with the present frames/s and share indexed, unless one was written less than a second ago."""
        if event.seconds - self._last >= 1 or event.frames == event.total:
            self._last = event.seconds
            rates = {"frames_per_second_now": now, "indexed_share_now": indexed}
            self._file.add({"event": "progress"} | rates | asdict(event))
            # Lines that are written are no longer needed in memory.
            self._file.lines.clear()

    def summary(self, summary: Summary) -> None:
        """Write the summary of the run."""
        self._file.add({"event": "summary"} | summary.as_dict())


class Reporter:
    """A context manager that shows the progress of a run: a bar on a terminal, otherwise a line from time to time."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, log: JsonLog | None = None) -> None:
        self.log, self._rate = log, Rate()
        self.console = Console(stderr=True, quiet=quiet, **PLAIN)
        self._verbose = verbose
        self._last_line = time.monotonic()
        self._bar_width = min(24, self.console.width // 8)
        self._bar = Bar(
            SpinnerColumn(),
            BarColumn(bar_width=self._bar_width),
            TextColumn("{task.description}", markup=False),
            console=self.console,
            transient=True,
            disable=not _is_live(self.console),
        )
        self._task = self._bar.add_task("starting (the very first run compiles for some seconds)", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Before 14.3, rich prints a blank line where a bar stops that is not shown.
        if not self._bar.disable:
            self._bar.stop()

    def show(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, soft_wrap=True)

    def __call__(self, event: Progress) -> None:
        """Show an event of the run."""
        if self._verbose:
            for problem in event.problems:
                self.show(f"note: {problem}")
        now = self._rate(event)
        if self.log is not None:
            self.log.progress(event, now, self._rate.indexed)
        # A spinner and a bar precede the text, each followed by a blank.
        room = self.console.width - self._bar_width - 3
        shown = progress_line(event, now, self._rate.indexed, room)
        self._bar.update(self._task, description=shown, completed=event.frames, total=event.total)
        if not _is_live(self.console) and time.monotonic() - self._last_line >= HEARTBEAT:
            self._last_line = time.monotonic()
            self.show(progress_line(event, now, self._rate.indexed))


def _is_live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def progress_line(
    event: Progress, now: float | None = None, indexed: float | None = None, width: int | None = None
) -> str:
    """An event in words: frames, share indexed, crystals, frames/s, time left, full queues.

    Parameters
    ----------
    now, indexed
        Frames/s and share indexed over the last minute, shown beside those of the whole run.
    width
        Number of characters available. If they do not suffice, the least important parts are left out: the queues
        first, then crystals, the numbers in brackets, the time left, the speed, the share. None: all are shown.
    """
    if event.to_learn is not None:
        return f"{counted(event.to_learn, 'frame')}, waiting for more to learn the cell from"
    rate = (event.frames - event.before) / event.seconds if event.seconds > 0 else 0.0
    # Each part has its rank of importance, 0 the highest; the parts are in the order in which they are shown.
    done = (
        f"{event.frames}/{counted(event.total, 'frame')}" if event.total is not None else counted(event.frames, "frame")
    )
    parts = [(0, done)]
    if event.frames:
        lately = "" if indexed is None else f" ({indexed:.1%} in the last minute)"
        mean = "" if now is None else f" (mean {rate:.1f})"
        parts += [(1, f"{event.indexed / event.frames:.1%} indexed"), (5, lately)]
        parts += [
            (6, counted(event.crystals, "crystal")),
            (2, f"{rate if now is None else now:.1f} frames/s"),
            (4, mean),
        ]
    if event.total is not None and rate > 0:
        parts.append((3, f"{timedelta(seconds=round(max(0, event.total - event.frames) / rate))} left"))
    if event.frames:
        # A full queue waits for the stage after it, an empty queue for the stage before it.
        parts.append((7, f"queues: read {event.to_compute:.0%}, write {event.to_write:.0%} full"))
    for least in range(7, 0, -1):
        line = _joined(text for importance, text in parts if importance <= least)
        if width is None or len(line) <= width:
            return line
    return parts[0][1]


def _joined(parts: Iterable[str]) -> str:
    """The parts joined by commas; a part in brackets follows the part before it without a comma."""
    return "".join(text if text.startswith(" ") else f", {text}" for text in parts if text).removeprefix(", ")


def show_summary(console: Console, summary: Summary, step: NextStep, outputs: Iterable[str] = ()) -> None:
    """Print what to do next and why, then the summary of a run: counts, cells, time, notes, names of all outputs."""
    if step.command:
        console.print(f"next: {step.command}", style="bold", soft_wrap=True)
    if step.why:
        print_sentence(console, f"why:  {step.why}")
    print_facts(console, _facts(summary))
    for number, cell in enumerate(summary.cells[:MOST_CELLS]):
        table = cell_table(number)
        table.add_row("given", *numbers(cell.given, 3))
        if cell.learned is not None:
            table.add_row(f"learned from {cell.learned_from}", *numbers(cell.learned, 3))
        if not cell.crystals:
            table.add_row("no crystals")
        if cell.median is not None:
            table.add_row(f"median of {cell.crystals}", *numbers(cell.median, 3))
        if cell.spread is not None:
            table.add_row("spread", *numbers(cell.spread, 3))
        console.print(table)
    if len(summary.cells) > MOST_CELLS:
        console.print(f"and {counted(len(summary.cells) - MOST_CELLS, 'further input cell')}")
    if summary.doubt:
        print_sentence(console, f"doubt: {summary.doubt}")
    for problem in summary.problems:
        print_sentence(console, f"note: {problem}")
    if names := ", ".join(outputs) or summary.output:
        console.print(f"{'' if summary.complete else 'incomplete '}results: {names}", soft_wrap=True)


def _facts(summary: Summary) -> Iterable[tuple[str, str]]:
    share = f" ({summary.indexed / summary.frames:.1%})" if summary.frames else ""
    yield "frames", f"{summary.frames}, {summary.indexed} indexed{share}"
    if others := frames_not_indexed(summary.status):
        yield "", others
    if why := {name: n for name, n in summary.reasons.items() if n and name not in summary.status}:
        yield "why not", _counted(why)
    if again := {name: n for name, n in summary.rungs.items() if n and name != "first_try"}:
        yield "indexed by retry", f"{sum(again.values())}: {_counted(again)}"
    most = summary.expected_false
    false = "" if most is None else f", at most about {most:.2g} false ones expected"
    if summary.doubt:
        false = f", {summary.verdict}"
    yield "crystals", f"{summary.crystals}{false}"
    left_out = f", {summary.spots_left_out} more left out (padding, duplicates)" if summary.spots_left_out else ""
    yield "spots", f"{summary.spots}{left_out}"
    if summary.spots_at_origin:
        yield (
            "",
            f"{summary.spots_at_origin} inside the first shell of reciprocal space: left out, they fit any orientation",
        )
    if summary.spots_not_sampled:
        yield "", f"{summary.spots_not_sampled} beyond max_spots: not in the sampling, but in the fits"
    once = f"; compiling, once: {summary.seconds_compiling:.1f} s more" if summary.seconds_compiling >= 0.1 else ""
    yield "time", f"{summary.seconds:.1f} s, {summary.frames_per_second:.1f} frames/s{once}"
    yield "backend", f"{summary.backend} ({summary.device}), method {summary.method}"


def _counted(counts: dict[str, int]) -> str:
    """Counts and their names as text, the largest count first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in ordered)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal that something is in progress, and for how long."""
    console = Console(stderr=True, **PLAIN)
    with Bar(
        SpinnerColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not _is_live(console),
    ) as bar:
        bar.add_task(text, total=None)
        yield


def data_console() -> Console:
    """The console of standard output, which is as wide as its content needs if that is not a terminal."""
    console = Console(**PLAIN)
    return console if console.is_terminal else Console(width=200, **PLAIN)


def write_data(data: bytes) -> None:
    """Write to standard output."""
    if sys.stdout is None:
        raise OutputError("standard output", "is closed")
    buffer: Any = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(data.decode())
    else:
        sys.stdout.flush()
        buffer.write(data)
    sys.stdout.flush()
