"""Whether the crystals of a run are to be believed, by a contest with lattices that are surely not there."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

MOST_BEATEN, MOST_CLOSE = 0.05, 0.2
"""Largest shares of frames of a right run on which a lattice that is not there is better than the crystal, or close.

Measured: none to 2 % and none to 18 %, the most in electron diffraction (docs/algorithm.md, *Other lattices*).
"""
SURE = 0.01
"""A run is doubted when fewer than this share of such runs would have as many frames beaten, or close, or more."""
FEW, RARE = 3, 0.1
"""Fewer crystals than the first number, on fewer than the second share of the frames, are doubted if all are close."""
LOST = (
    "the crystals of this run are not to be believed: on {} of {} indexed frames that were looked at, lattices that "
    "are surely not there explain the spots better or about as well. Either the cell is another crystal's, or the beam "
    "centre, the distance or the wavelength is wrong"
)


@dataclass(frozen=True)
class Contest:
    """Crystals of a run against lattices that are surely not there.

    Attributes
    ----------
    n_frames : int
        Indexed frames that were looked at.
    n_beaten : int
        Frames that such a lattice explains better than the crystal does.
    n_close : int
        Frames of which such a lattice, small shifts of the beam aside, has more than half of the crystal's evidence.
    multiple : str
        In what way the input cell is a multiple of the cell that the crystals have, in words; empty where it is none.
    n_searched : int
        Frames of the run that were searched.
    """

    n_frames: int = 0
    n_beaten: int = 0
    n_close: int = 0
    multiple: str = ""
    n_searched: int = 0

    def __add__(self, other: Contest) -> Contest:
        """The contest on the frames of both."""
        return Contest(
            self.n_frames + other.n_frames,
            self.n_beaten + other.n_beaten,
            self.n_close + other.n_close,
            self.multiple or other.multiple,
            self.n_searched + other.n_searched,
        )

    @property
    def is_won(self) -> bool:
        """Whether the crystals win so clearly that further frames need not be looked at."""
        return self.n_beaten == 0 and self.n_close <= MOST_CLOSE * self.n_frames

    @property
    def is_lost(self) -> bool:
        """Whether the crystals are no better than lattices that are not there."""
        few = self.n_frames < FEW and self.n_frames < RARE * self.n_searched
        return (
            at_least(self.n_beaten, self.n_frames, MOST_BEATEN) < SURE
            or at_least(self.n_close, self.n_frames, MOST_CLOSE) < SURE
            or (few and 0 < self.n_frames == self.n_close)
        )

    @property
    def doubt(self) -> str:
        """Why the crystals are not to be believed, in words; empty where nothing speaks against them."""
        if self.is_lost:
            return LOST.format(max(self.n_close, self.n_beaten), self.n_frames)
        return self.multiple

    def as_dict(self) -> dict[str, Any]:
        """All numbers and the words, ready for JSON."""
        return asdict(self) | {"doubt": self.doubt}


def at_least(k: int, n: int, p: float) -> float:
    """Probability that k or more of n events happen, each of which does with probability p."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
