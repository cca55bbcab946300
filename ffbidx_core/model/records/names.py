"""Names of frames, stored compactly because most of them repeat the previous name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray


class Names(Sequence[str]):
    """A sequence of names in run-length encoding, which compares equal to the list of the names.

    Parameters
    ----------
    values
        Name of each of the n runs; neighbouring runs may have the same name.
    counts : (n,) int64
        Number of times that each name is repeated.
    """

    def __init__(self, values: list[str], counts: NDArray[np.int64]) -> None:
        self.values, self.counts = values, counts
        self._n = int(counts.sum())

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Encode a sequence of names."""
        if isinstance(names, Names):
            return names
        if len(names) and names.count(names[0]) == len(names):
            return cls.repeated(names[0], len(names))
        return cls(list(names), np.ones(len(names), np.int64))

    @classmethod
    def repeated(cls, name: str, n: int) -> Self:
        """The sequence of one name n times."""
        return cls([name], np.array([n], np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Sequence[str]]) -> Self:
        """The concatenation of several sequences of names."""
        known = [cls.of(part) for part in parts]
        if len(known) == 1:
            return cls(known[0].values, known[0].counts)
        counts = [part.counts for part in known]
        return cls([name for part in known for name in part.values], np.concatenate([np.zeros(0, np.int64), *counts]))

    @property
    def array(self) -> NDArray[np.object_]:
        """All names as an array of objects."""
        return np.repeat(np.array(self.values, dtype=object), self.counts)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        return itertools.chain.from_iterable(map(itertools.repeat, self.values, self.counts.tolist()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Names: ...
    def __getitem__(self, index: int | slice) -> str | Names:
        ends = np.cumsum(self.counts)
        if not isinstance(index, slice):
            row = range(self._n)[index]
            return self.values[int(np.searchsorted(ends, row, side="right"))]
        begin, end, step = index.indices(self._n)
        if step != 1:
            return Names.of(list(self)[index])
        end = max(begin, end)
        first, last = int(np.searchsorted(ends, begin, side="right")), int(np.searchsorted(ends, end, side="left")) + 1
        own = np.minimum(ends[first:last], end) - np.maximum((ends - self.counts)[first:last], begin)
        return Names(self.values[first:last], np.maximum(own, 0))
