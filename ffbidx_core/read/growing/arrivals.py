"""Detection of new files among those that names, directories and patterns stand for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..files.inputs import files_there
from ..formats.open import is_results


class Arrivals:
    """The files that some names stand for, with a memory of which have been found already.

    Parameters
    ----------
    names
        Files, directories and patterns, see `names_to_follow`.
    leave_out
        Files that are not inputs, wherever they appear.

    Attributes
    ----------
    names : list of str
        The names.
    found : set of str
        Files that have been found already.
    """

    def __init__(self, names: Iterable[str], leave_out: Iterable[str]) -> None:
        self.names = list(names)
        self.found: set[str] = set()
        self._left_out = {os.path.abspath(path) for path in leave_out}
        self._came: set[str] = set()

    def there(self) -> Iterator[str]:
        """All files that exist, including those that are not inputs."""
        return (path for name in self.names for path in files_there(name))

    def inputs_among(self, paths: Iterable[str]) -> list[str]:
        """The files among `paths` that are inputs and not results."""
        there = {os.path.abspath(path) for path in self.there()}
        return [path for path in paths if os.path.abspath(path) in there and not is_results(path)]

    def new(self) -> list[str]:
        """Input files that have not been found before."""
        new = []
        for name in self.names:
            for path in files_there(name):
                self._came.add(name)
                if path not in self.found:
                    self.found.add(path)
                    if os.path.abspath(path) not in self._left_out:
                        new.append(path)
        return new

    @property
    def missing(self) -> list[str]:
        """Names for which no file has been found."""
        return [name for name in self.names if name not in self._came]
