"""Expansion of the command's INPUT arguments: files, lists of files, single frames of files."""

from __future__ import annotations

import glob
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...errors import InputError, UsageError
from .content import read_text

LIST_PREFIX, LIST_SUFFIX, STANDARD_INPUT = "@", ".lst", "-"
SPOT_SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs", ".refl", ".refl.gz", ".stream", ".stream.gz", ".txt")
"""Suffixes of the files that are read from a directory."""
RESULTS_INFIX = ".ffbidx."
"""Part of the names of results files, which are not inputs."""

NO_SUCH_FRAME = 10**18
"""Frame number that no file has, which stands for an event that does not exist."""
_EVENT = re.compile(r"(?P<path>.*\S)\s+(?P<event>\S*//\S*)", re.DOTALL)
_FRAME = re.compile(r"(?P<path>.*\S)\s*//(?P<index>[0-9]{1,18})", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A spot file, or one frame of it.

    Attributes
    ----------
    path
        The file, as the user named it.
    index
        Index of the frame, from 0; None for all frames of the file.
    event
        Name of the frame's event, such as `tag-1000//`, or empty; its index is found when the geometry is known.
    """

    path: str
    index: int | None = None
    event: str = ""

    def __str__(self) -> str:
        if self.event:
            return f"{self.path} {self.event}"
        return self.path if self.index is None else f"{self.path}//{self.index}"


def expand_inputs(arguments: Iterable[str]) -> list[Source]:
    """The sources that INPUT arguments name, in their order.

    An argument is a file; a list (`@LIST`, or a name ending in `.lst`, or `-` for standard input) with one input a
    line; or one frame of a file, `FILE//INDEX`, `FILE //INDEX` or `FILE EVENT` (`run.h5 tag-1000//`). A shell passes an
    unquoted `FILE //INDEX` as two arguments, which mean the same. A directory stands for the spot files in it, and a
    pattern with `*`, `?` or `[` that is not the name of a file for the files that match it (`**` matches any
    directories); both are sorted by name, with numbers by their value. The existence of the files is checked by
    `read_blocks`, since one of many may be missing.

    Raises
    ------
    InputError
        If a list cannot be read, is empty, or names another list.
    """
    sources: list[Source] = []
    for argument in arguments:
        if _is_list(argument):
            sources += itertools.chain.from_iterable(_sources(name) for name in _listed(argument))
        elif _is_index(argument) and sources and sources[-1].index is None:
            sources[-1] = Source(sources[-1].path, int(argument[2:]))
        else:
            sources += _sources(argument)
    return sources


def named_again(sources: Iterable[Source]) -> Iterator[str]:
    """Yield a note on each file of which a frame is named more than once and so has several rows in the results."""
    sources = list(sources)
    whole = {_place(source.path) for source in sources if source.index is None and not source.event}
    seen: set[tuple[str, int | None, str]] = set()
    noted: set[str] = set()
    for source in sources:
        path, key = _place(source.path), (_place(source.path), source.index, source.event)
        if (key in seen or (path in whole and key != (path, None, ""))) and path not in noted:
            noted.add(path)
            yield f"{source.path}: frames of this file are named more than once; they are indexed and counted each time"
        seen.add(key)


def _place(path: str) -> str:
    return os.path.abspath(path)


def names_to_follow(arguments: Iterable[str]) -> list[str]:
    """The names in INPUT arguments and in lists: files, directories and patterns, whether they exist yet or not.

    Raises
    ------
    UsageError
        If an argument is a single frame of a file.
    InputError
        If a list cannot be read, is empty, or names another list.
    """
    names = []
    for argument in arguments:
        names += _listed(argument) if _is_list(argument) else [argument]
    for name in names:
        if _is_index(name) or (_FRAME.fullmatch(name) and not os.path.lexists(name)):
            raise UsageError(f"--follow and {name}: files that grow are followed whole, single frames are not")
    return names


def files_there(name: str) -> list[str]:
    """The files that a name stands for at present, see `expand_inputs`; empty while there are none.

    Files that are named like results of this program are left out, since they may be results of this very run.
    """
    if glob.has_magic(name) and not os.path.lexists(name):
        return [path for path in _matching(name) if RESULTS_INFIX not in os.path.basename(path).lower()]
    if not name.lower().endswith(SPOT_SUFFIXES) and os.path.isdir(name):
        return spot_files(name)
    return [name] if os.path.lexists(name) else []


def _is_list(argument: str) -> bool:
    """Whether an argument is a list of inputs."""
    return argument == STANDARD_INPUT or argument.startswith(LIST_PREFIX) or argument.endswith(LIST_SUFFIX)


def _is_index(argument: str) -> bool:
    """Whether an argument is the frame of the file before it."""
    return re.fullmatch("//[0-9]{1,18}", argument) is not None and not os.path.lexists(argument)


def _sources(name: str) -> list[Source]:
    """The sources that a name stands for."""
    # An existing file of this name takes precedence over a frame of another file and over a pattern.
    match, named = _FRAME.fullmatch(name), _EVENT.fullmatch(name)
    is_there = os.path.lexists(name)
    if match is not None and not is_there:
        # `run.h5 part1//3` is an event of run.h5, unless a file is called `run.h5 part1`.
        is_event = named is not None and not os.path.lexists(match["path"]) and os.path.lexists(named["path"])
        if named is None or not is_event or named["event"].startswith("//"):
            return [Source(match["path"], int(match["index"]))]
    if named is not None and not is_there:
        return [Source(named["path"], event=named["event"])]
    if glob.has_magic(name) and not os.path.lexists(name):
        found = _matching(name)
    else:
        # A name that looks like a file is not accessed here, where nothing guards against a file that hangs.
        found = [] if name.lower().endswith(SPOT_SUFFIXES) else spot_files(name)
    # A name that stands for nothing is kept, and reported with everything else that cannot be read.
    return [Source(path) for path in found or [name]]


def _matching(pattern: str) -> list[str]:
    """The files that match a pattern, sorted by name with numbers by their value."""
    return sorted(filter(os.path.isfile, glob.iglob(pattern, recursive=True)), key=by_number)


def spot_files(directory: str) -> list[str]:
    """The files of a directory with the suffix of a spot file, without results of this program, sorted by name."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except (OSError, ValueError):
        return []
    wanted = [
        name
        for name in names
        if name.lower().endswith(SPOT_SUFFIXES) and not name.startswith(".") and RESULTS_INFIX not in name.lower()
    ]
    return [os.path.join(directory, name) for name in sorted(wanted, key=by_number)]


def by_number(name: str) -> list[tuple[int, str]]:
    """A key that sorts names with numbers by their value, so that run2 comes before run10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _listed(argument: str) -> list[str]:
    """The lines of a list that name an input."""
    path = argument.removeprefix(LIST_PREFIX)
    text: str | None
    if argument == STANDARD_INPUT:
        path, text = "standard input", _standard_input()
    else:
        text = read_text(path)
    if text is None:
        raise InputError(path, "is an HDF5 file: a list is text with one input a line")
    names = []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if _is_list(name):
            raise InputError(path, f"names another list, {name}: give that one on the command line", f"line {number}")
        names.append(name)
    if not names:
        raise InputError(path, "names no inputs: a list has one a line")
    return names


def _standard_input() -> str:
    """The text of standard input."""
    if sys.stdin is None:
        raise InputError("standard input", "is closed: expected a list there, one input a line")
    # Names of files need not be valid text.
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
