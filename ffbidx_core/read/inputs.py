"""The command line's INPUT arguments: files, lists of files, single frames of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import InputError
from .content import read_text

LIST_PREFIX, LIST_SUFFIX = "@", ".lst"

_FRAME = re.compile(r"(?P<path>.*\S)\s*//(?P<index>[0-9]{1,18})", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """A spot file, or one frame of it.

    Attributes
    ----------
    path
        As the user named it.
    index
        0-based frame; None for all frames of the file.
    """

    path: str
    index: int | None = None

    def __str__(self) -> str:
        return self.path if self.index is None else f"{self.path}//{self.index}"


def expand_inputs(arguments: Iterable[str]) -> list[Source]:
    """The sources that INPUT arguments name, in their order.

    An argument is a file, a list (`@LIST`, or a name ending in `.lst`) with one input a line, or one frame of a file,
    `FILE//INDEX` or `FILE //INDEX`. A shell without quotes hands over the latter as two arguments, which is as good.
    Whether the files are there is left to `read_blocks`, since one of many may be missing.

    Raises
    ------
    InputError
        For a list that cannot be read, is empty, or names another list.
    """
    sources: list[Source] = []
    for argument in arguments:
        if _is_list(argument):
            sources += _listed(argument)
        elif _is_index(argument) and sources and sources[-1].index is None:
            sources[-1] = Source(sources[-1].path, int(argument[2:]))
        else:
            sources.append(_source(argument))
    return sources


def _is_list(argument: str) -> bool:
    return argument.startswith(LIST_PREFIX) or argument.endswith(LIST_SUFFIX)


def _is_index(argument: str) -> bool:
    return re.fullmatch("//[0-9]{1,18}", argument) is not None and not os.path.lexists(argument)


def _source(name: str) -> Source:
    # A file that is really called so wins over a frame of another one.
    match = _FRAME.fullmatch(name)
    if match is None or os.path.lexists(name):
        return Source(name)
    return Source(match["path"], int(match["index"]))


def _listed(argument: str) -> list[Source]:
    path = argument.removeprefix(LIST_PREFIX)
    text = read_text(path)
    if text is None:
        raise InputError(path, "is an HDF5 file: a list is text with one input a line")
    sources = []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if _is_list(name):
            raise InputError(path, f"names another list, {name}: give that one on the command line", f"line {number}")
        sources.append(_source(name))
    if not sources:
        raise InputError(path, "names no inputs: a list has one a line")
    return sources
