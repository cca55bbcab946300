"""Claimed and found numbers of false crystals, and whether they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

AGREE = 2.0
"""The claimed and the found number agree within this factor."""


def interval(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval (Clopper and Pearson) of a share of which k of n were counted."""

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
        What each claims.
    n_frames : int
    most, next : float
        Largest number that a crystal of the fewest spots claims, and one of a spot more: above the first nothing is
        found, whatever is allowed, and above the second less than is claimed, for crystals of the fewest spots only.
    n_overlapping : int
        Twins of the true lattice, which are not due to chance and do not count.
    """

    log10_false: np.ndarray
    n_frames: int
    most: float
    next: float
    n_overlapping: int = 0

    def claimed(self, nominal: float) -> float:
        """False crystals a frame that are claimed at a limit."""
        return min(nominal, self.most)

    def count(self, nominal: float) -> int:
        """False crystals that were found at it."""
        return int((self.log10_false <= math.log10(nominal)).sum())

    def is_upper_bound(self, nominal: float) -> bool:
        """Whether only crystals of the fewest spots reach it."""
        return self.next < nominal

    def agrees(self, nominal: float) -> bool:
        """Whether claim and finding are within the factor `AGREE`, or the counts too few to say that they are not."""
        low, high = interval(min(self.count(nominal), self.n_frames), self.n_frames)
        enough = self.is_upper_bound(nominal) or high >= self.claimed(nominal) / AGREE
        return enough and low <= AGREE * self.claimed(nominal)

    def cell(self, nominal: float) -> str:
        """The entry of the table; * where they do not agree."""
        low, high = interval(min(self.count(nominal), self.n_frames), self.n_frames)
        most, sign = "<" if self.is_upper_bound(nominal) else " ", " " if self.agrees(nominal) else "*"
        found = self.count(nominal) / self.n_frames
        return f"{most}{self.claimed(nominal):6.2%} {found:7.2%} ({low:6.2%} -{high:6.2%}){sign}"
