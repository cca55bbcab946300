"""Notes of a run, in which many notes of one kind are condensed to one note with a count."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...nouns import are, counted

MOST_NOTES = 200
"""Largest number of notes that a run keeps."""
MOST_ALIKE = 3
"""Largest number of notes of one kind that are kept and shown individually."""

_FILE = re.compile(r"^[^:,]+(?=[:,] )")
_NUMBER_OR_WORD = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|'[^']*'")


def kind_of(note: str) -> str:
    """The kind of a note: its text without file name, numbers and quoted words, by which notes on frames differ."""
    return _NUMBER_OR_WORD.sub("#", _FILE.sub("", note))


def is_one_of_many(note: str, kept: Iterable[str]) -> bool:
    """Whether so many notes of the same kind are kept already that a further one is only counted."""
    kind = kind_of(note)
    return sum(kind_of(each) == kind for each in kept) >= MOST_ALIKE


class Notes:
    """An ordered set of notes, with the number of notes of each kind.

    Attributes
    ----------
    kept : dict
        The first notes of each kind as keys, in the order of their arrival; the values are None.
    """

    def __init__(self) -> None:
        self.kept: dict[str, None] = {}
        self._counts: dict[str, int] = {}
        self._n_others = 0

    def add(self, note: str) -> bool:
        """Count a note, and return whether it is kept as a new one.

        The note of a frame must be added only once, since every addition is counted.
        """
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
        """The first note of the most frequent kind; empty if there are no notes."""
        return max(self.kept, key=lambda note: self._counts[kind_of(note)], default="")

    @property
    def lines(self) -> list[str]:
        """All notes as lines of text, in which a kind of many notes is its first note and the number of the others."""
        lines, shown = [], set[str]()
        for note in self.kept:
            kind = kind_of(note)
            if self._counts[kind] <= MOST_ALIKE:
                lines.append(note)
            elif kind not in shown:
                shown.add(kind)
                lines.append(f"{note} (and {self._counts[kind] - 1} more notes like it)")
        if self._n_others:
            lines.append(f"{counted(self._n_others, 'further note')} {are(self._n_others)} not shown")
        return lines
