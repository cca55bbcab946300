"""Notes of a run: those that say the same of many frames are one with a count."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_NOTES = 200
"""Most notes that a run keeps."""
MOST_ALIKE = 3
"""Most notes of one kind that are kept, and shown each by itself."""

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def kind_of(note: str) -> str:
    """The note without its numbers: notes of one kind differ by them, as those of the frames of a file do."""
    return _NUMBER.sub("#", note)


def is_one_of_many(note: str, kept: Iterable[str]) -> bool:
    """Whether so many notes of the same kind are kept that a further one is counted only."""
    kind = kind_of(note)
    return sum(kind_of(each) == kind for each in kept) >= MOST_ALIKE


class Notes:
    """Notes as they come, an ordered set, with how many there were of each kind.

    Attributes
    ----------
    kept : dict
        The first notes of each kind, in their order; the values mean nothing.
    """

    def __init__(self) -> None:
        self.kept: dict[str, None] = {}
        self._counts: dict[str, int] = {}
        self._n_others = 0

    def add(self, note: str) -> bool:
        """Take note; whether it is kept as a new one. Each frame's note is to come once, since it is counted."""
        if note in self.kept:
            return False
        kind = kind_of(note)
        if kind not in self._counts and len(self._counts) >= MOST_NOTES:
            self._n_others += 1
            return False
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] > MOST_ALIKE or len(self.kept) >= MOST_NOTES:
            return False
        self.kept[note] = None
        return True

    @property
    def commonest(self) -> str:
        """The first note of the kind of which there are most, or empty."""
        return max(self.kept, key=lambda note: self._counts[kind_of(note)], default="")

    @property
    def lines(self) -> list[str]:
        """All of them as lines: a kind of many notes is its first one with the number of the others."""
        lines, shown = [], set[str]()
        for note in self.kept:
            kind = kind_of(note)
            if self._counts[kind] <= MOST_ALIKE:
                lines.append(note)
            elif kind not in shown:
                shown.add(kind)
                lines.append(f"{note} (and {self._counts[kind] - 1} more notes like it)")
        if self._n_others:
            lines.append(f"{self._n_others} further notes are not shown")
        return lines
