"""Whether the crystals of a run are credible: a contest of the crystals with lattices that are certainly wrong."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ...nouns import counted

MOST_BEATEN, MOST_CLOSE = 0.05, 0.2
"""Upper limits of the fractions of frames in a correct run on which a wrong lattice beats the crystal, or comes close.

Measured fractions are 0 to 2 % and 0 to 18 %, highest in electron diffraction (docs/algorithm.md, *Other lattices*).
"""
SURE = 0.01
"""Probability below which a count of beaten or close frames, in a correct run, makes the crystals doubtful."""
RARE, HALF, RIVALS = 0.15, 0.5, 0.6
"""Crystals on less than the first fraction of the searched frames are doubted if the second fraction is unclear.

Besides, wrong lattices must have more than the third fraction of the evidence of these crystals. Measured: 0 to 8 % of
correct crystals are unclear, and nearly all false ones. Where few frames are indexed there may be too few crystals for
`SURE`, and most of them may be the false ones of many frames. The wrong lattices have 0.65 to 1.6 of the evidence of
false crystals, and 0.4 to 0.6 of that of correct ones with few spots, except where there are only one to three.
"""
FEW, UNBEATEN, MARGIN, SOME = 16, 3, 4.0, 1 / 3
"""Crystals on fewer frames than the first number are confirmed only if they are clearly better than wrong lattices.

They are clearly better if no frame is beaten and the frames are as many as the second number. They are, too, if their
evidence exceeds that of the wrong lattices by the third number, and either these have less than `RIVALS` of it, or beat
at most the fraction `SOME` of the frames. Measured: wrong lattices beat 91 % of the false crystals on runs of a few
frames, and mostly have 0.7 to 1 of the evidence of the others, which exceeds theirs by at most 3.
"""
LOST = (
    "the crystals of this run are not to be believed: on {} of {} indexed frames that were looked at, lattices that "
    "are surely not there explain the spots better or about as well. Either the cell is another crystal's, or the beam "
    "centre, the distance or the wavelength is wrong"
)
FITS_OTHERWISE = (
    "too few frames to confirm the crystals: hardly any frame has one, and with another distance, wavelength, cell or "
    "unit, which a note names, the first frames fit clearly better"
)
OPEN = (
    "too few frames to confirm the crystals: on {} that could be judged, lattices that are surely not there explain "
    "the spots nearly as well or better (evidence {:.1f}, of the crystals {:.1f}). More frames would decide; until "
    "then check the cell, the beam centre, the distance and the wavelength"
)


class Verdict(StrEnum):
    """What the contest says about the crystals of a run."""

    NOT_JUDGED = "not judged"
    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NOT_BELIEVED = "not to be believed"


@dataclass(frozen=True)
class Contest:
    """The outcome of a contest between the crystals of a run and lattices that are certainly wrong.

    Attributes
    ----------
    n_frames : int
        Number of indexed frames that were examined.
    n_beaten : int
        Number of these frames whose spots a wrong lattice explains better than the crystal does.
    n_close : int
        Number of these frames on which a wrong lattice, other than a small shift of the beam would make, has more than
        half of the crystal's evidence.
    multiple : str
        Sentence that says how the input cell is a multiple of the crystals' true cell; empty if it is not.
    n_searched : int
        Number of frames of the run that were searched.
    multiple_cell : str
        True cell of the crystals as an option's value; empty if the input cell is no multiple of it.
    n_unclear : int
        Number of examined frames that are beaten or close.
    evidence, rivals : float
        Sums over the examined frames of the evidence of the crystal and of the best wrong lattice.
    n_elsewhere : int
        Number of further frames that fit better with the beam elsewhere, of few frames for which it was searched.
    fits_otherwise : bool
        Whether hardly any frame is indexed, and frames fit clearly better with an option that the run names.
    """

    n_frames: int = 0
    n_beaten: int = 0
    n_close: int = 0
    multiple: str = ""
    n_searched: int = 0
    multiple_cell: str = ""
    n_unclear: int = 0
    evidence: float = 0.0
    rivals: float = 0.0
    n_elsewhere: int = 0
    fits_otherwise: bool = False

    def __add__(self, other: Contest) -> Contest:
        """The outcome on the frames of both contests together."""
        return Contest(
            self.n_frames + other.n_frames,
            self.n_beaten + other.n_beaten,
            self.n_close + other.n_close,
            self.multiple or other.multiple,
            self.n_searched + other.n_searched,
            self.multiple_cell or other.multiple_cell,
            self.n_unclear + other.n_unclear,
            self.evidence + other.evidence,
            self.rivals + other.rivals,
            self.n_elsewhere + other.n_elsewhere,
            self.fits_otherwise or other.fits_otherwise,
        )

    @property
    def unclear(self) -> int:
        """Number of frames that are beaten or close; the larger of the two numbers in results without `n_unclear`."""
        return max(self.n_unclear, self.n_beaten, self.n_close)

    @property
    def is_won(self) -> bool:
        """Whether the crystals win so clearly that no further frames need to be examined."""
        return self.n_beaten == 0 and self.n_close <= MOST_CLOSE * self.n_frames

    @property
    def is_lost(self) -> bool:
        """Whether the crystals are no better than wrong lattices."""
        is_rare = self.n_frames < RARE * self.n_searched
        return (
            at_least(self.n_beaten, self.n_frames, MOST_BEATEN) < SURE
            or at_least(self.n_close, self.n_frames, MOST_CLOSE) < SURE
            or (is_rare and 0 < HALF * self.n_frames <= self.unclear and self.rivals >= RIVALS * self.evidence)
        )

    @property
    def is_open(self) -> bool:
        """Whether the crystals are too few for `is_lost`, and not clearly better than wrong lattices."""
        if self.n_frames == 0 or self.is_lost:
            return False
        if self.fits_otherwise and self.n_frames < RARE * self.n_searched:
            return True
        n_beaten, margin = self.n_beaten + self.n_elsewhere, self.evidence - self.rivals
        is_strong = self.rivals < RIVALS * self.evidence or n_beaten <= SOME * self.n_frames
        clear = (n_beaten == 0 and self.n_frames >= UNBEATEN) or (margin >= MARGIN and is_strong)
        return self.n_frames < FEW and self.rivals > 0 and not clear

    @property
    def verdict(self) -> Verdict:
        """Whether the crystals are confirmed."""
        if self.is_open:
            return Verdict.NOT_CONFIRMED
        if self.is_lost or self.multiple:
            return Verdict.NOT_BELIEVED
        return Verdict.CONFIRMED if self.n_frames else Verdict.NOT_JUDGED

    @property
    def doubt(self) -> str:
        """Sentence that says why the crystals are not credible or not confirmed; otherwise empty."""
        if self.is_lost:
            return LOST.format(self.unclear, self.n_frames)
        if not self.is_open:
            return self.multiple
        if self.fits_otherwise:
            return FITS_OTHERWISE
        return OPEN.format(counted(self.n_frames, "indexed frame"), self.rivals, self.evidence)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, the verdict and the sentence of doubt as a dictionary that JSON can hold."""
        return asdict(self) | {"verdict": self.verdict, "doubt": self.doubt}


UNJUDGED = Contest()
"""The outcome where nothing was judged."""


def at_least(k: int, n: int, p: float) -> float:
    """Probability that k or more of n independent events occur, each of which has the probability p."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
