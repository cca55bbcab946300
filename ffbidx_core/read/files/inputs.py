"""The command line's INPUT arguments: files, lists of files, single frames of files."""

from __future__ import annotations

import glob
import itertools
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import InputError, UsageError
from .content import read_text

LIST_PREFIX, LIST_SUFFIX, STANDARD_INPUT = "@", ".lst", "-"
SPOT_SUFFIXES = (".h5", ".hdf5", ".cxi", ".nxs", ".refl", ".refl.gz", ".stream", ".stream.gz", ".txt")
"""Suffixes of the files that a directory stands for."""
RESULTS_INFIX = ".ffbidx."
"""Part of the names of results, which are no input."""

NO_SUCH_FRAME = 10**18
"""Number of a frame that no file has: that of an event that is not there."""
_EVENT = re.compile(r"(?P<path>.*\S)\s+(?P<event>\S*//\S*)", re.DOTALL)
_FRAME = re.compile(r"(?P<path>.*\S)\s*//(?P<index>[0-9]{1,18})", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A spot file, or one frame of it.

    Attributes
    ----------
    path
        The file as the user named it.
    index
        Number of the frame, from 0; None for all frames of the file.
    event
        Name of the frame's event, such as `tag-1000//`, or empty; its number is found when the geometry is known.
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

    An argument is a file, a list (`@LIST`, or a name ending in `.lst`, or `-` for standard input) with one input a
    line, or one frame of a file, `FILE//INDEX`, `FILE //INDEX` or `FILE EVENT` (`run.h5 tag-1000//`). A shell without
    quotes hands over `FILE //INDEX` as two arguments, which means the same. A directory stands for the spot files in
    it, a pattern with `*`, `?` or `[` that is no file for those that match it (`**` for any directories), both sorted
    by name, numbers by their value.
    Whether the files are there is left to `read_blocks`, since one of many may be missing.

    Raises
    ------
    InputError
        For a list that cannot be read, is empty, or names another list.
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


def names_to_follow(arguments: Iterable[str]) -> list[str]:
    """The names among INPUT arguments, and in lists: files, directories and patterns, there already or not.

    Raises
    ------
    UsageError
        For a single frame of a file.
    InputError
        For a list that cannot be read, is empty, or names another list.
    """
    names = []
    for argument in arguments:
        names += _listed(argument) if _is_list(argument) else [argument]
    for name in names:
        if _is_index(name) or (_FRAME.fullmatch(name) and not os.path.lexists(name)):
            raise UsageError(f"--follow and {name}: files that grow are followed whole, single frames are not")
    return names


def files_there(name: str) -> list[str]:
    """The files that a name stands for now, see `expand_inputs`; none while there are none.

    Results that are named as this program names them are left out, since they may be those of this very run.
    """
    if glob.has_magic(name) and not os.path.lexists(name):
        return [path for path in _matching(name) if RESULTS_INFIX not in os.path.basename(path).lower()]
    if not name.lower().endswith(SPOT_SUFFIXES) and os.path.isdir(name):
        return spot_files(name)
    return [name] if os.path.lexists(name) else []


def _is_list(argument: str) -> bool:
    return argument == STANDARD_INPUT or argument.startswith(LIST_PREFIX) or argument.endswith(LIST_SUFFIX)


def _is_index(argument: str) -> bool:
    return re.fullmatch("//[0-9]{1,18}", argument) is not None and not os.path.lexists(argument)


def _sources(name: str) -> list[Source]:
    # A file that is really called so wins over a frame of another one, and over a pattern.
    match = _FRAME.fullmatch(name)
    if match is not None and not os.path.lexists(name):
        return [Source(match["path"], int(match["index"]))]
    if (named := _EVENT.fullmatch(name)) is not None and not os.path.lexists(name):
        return [Source(named["path"], event=named["event"])]
    if glob.has_magic(name) and not os.path.lexists(name):
        found = _matching(name)
    else:
        # What looks like a file is not touched here, where nothing guards against one that hangs.
        found = [] if name.lower().endswith(SPOT_SUFFIXES) else spot_files(name)
    # A name that stands for nothing stays, and is reported with all else that cannot be read.
    return [Source(path) for path in found or [name]]


def _matching(pattern: str) -> list[str]:
    return sorted(filter(os.path.isfile, glob.iglob(pattern, recursive=True)), key=by_number)


def spot_files(directory: str) -> list[str]:
    """The files of a directory that have the suffix of a spot file, without those that this program writes, sorted."""
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
    """Key that sorts names with numbers by their value: run2 comes before run10."""
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
    if sys.stdin is None:
        raise InputError("standard input", "is closed: a list is wanted there, one input a line")
    # Names of files need not be text.
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
