"""The comparison of claimed and found numbers of false crystals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

AGREE = 2.0
"""Factor within which the claimed and the found number agree."""


def interval(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval (Clopper and Pearson) of a share from k counts of n."""

    def at_most(k: int, p: float) -> float:
        ways = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1)]
        return math.fsum(math.exp(w + i * math.log(p) + (n - i) * math.log1p(-p)) for i, w in enumerate(ways))

    def share(k: int, tail: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if at_most(k, middle) > tail else (low, middle)
        return (low + high) / 2

    beyond = (1 - level) / 2
    return (0.0 if k == 0 else share(k - 1, 1 - beyond)), (1.0 if k == n else share(k, beyond))


@dataclass(frozen=True)
class Claims:
    """The false crystals on some frames.

    Attributes
    ----------
    log10_false : (k,) float64
        The claim of each crystal.
    n_frames : int
        Number of frames.
    most, next : float
        Largest number that a crystal with the fewest spots claims, and one with a spot more. Above the first none is
        found, whatever the limit; above the second fewer than claimed, namely only crystals with the fewest spots.
    n_overlapping : int
        Number of twins of the true lattice, which are not due to chance and do not count.
    """

    log10_false: np.ndarray
    n_frames: int
    most: float
    next: float
    n_overlapping: int = 0

    def claimed(self, nominal: float) -> float:
        """The number of false crystals per frame that is claimed at a limit."""
        return min(nominal, self.most)

    def count(self, nominal: float) -> int:
        """The number of false crystals found at a limit."""
        return int((self.log10_false <= math.log10(nominal)).sum())

    def is_upper_bound(self, nominal: float) -> bool:
        """Whether only crystals with the fewest spots reach a limit."""
        return self.next < nominal

    def agrees(self, nominal: float) -> bool:
        """Whether claim and count agree within the factor `AGREE`, or the counts are too few to contradict."""
        low, high = interval(min(self.count(nominal), self.n_frames), self.n_frames)
        enough = self.is_upper_bound(nominal) or high >= self.claimed(nominal) / AGREE
        return enough and low <= AGREE * self.claimed(nominal)

    def cell(self, nominal: float) -> str:
        """The entry of the table, with * if claim and count do not agree."""
        low, high = interval(min(self.count(nominal), self.n_frames), self.n_frames)
        most, sign = "<" if self.is_upper_bound(nominal) else " ", " " if self.agrees(nominal) else "*"
        found = self.count(nominal) / self.n_frames
        return f"{most}{self.claimed(nominal):6.2%} {found:7.2%} ({low:6.2%} -{high:6.2%}){sign}"
