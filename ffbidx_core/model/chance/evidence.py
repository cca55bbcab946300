"""How well frames are indexed, to compare two ways to do it frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..records.frame import BatchResult

MEASURES = {"chance": "-log10 of the chance level", "count": "number of indexed spots"}
"""The quantity that serves as evidence, in words, by `Parameters.accept`."""
CLEARLY = 3.0
"""Standard errors by which the evidence must rise to be better."""


@dataclass(frozen=True)
class Evidence:
    """F frames as they were indexed.

    Attributes
    ----------
    indexed : (F,) bool
    evidence : (F,) float64
        -log10 of the chance level of a frame's best crystal, or its indexed spots where chance was not asked for; 0
        where there is none.
    """

    indexed: NDArray[np.bool_]
    evidence: Array

    @classmethod
    def of(cls, result: BatchResult, accept: str) -> Evidence:
        """The evidence of a result; `accept` is `Parameters.accept`."""
        found = np.diff(result.crystal_offsets) > 0
        best = result.crystal_offsets[:-1][found]
        evidence = np.zeros(len(found))
        evidence[found] = -result.log10_chance[best] if accept == "chance" else result.n_indexed[best]
        return cls(found, evidence)

    def __getitem__(self, frames: slice | NDArray[np.bool_]) -> Evidence:
        """The evidence of some of the frames."""
        return Evidence(self.indexed[frames], self.evidence[frames])

    @property
    def rate(self) -> float:
        """The share of frames that is indexed."""
        return float(self.indexed.mean()) if len(self.indexed) else 0.0

    @property
    def rate_error(self) -> float:
        """Its standard error; one frame is added to either side, so that none and all have one too."""
        n = len(self.indexed)
        p = (self.indexed.sum() + 1) / (n + 2)
        return float(np.sqrt(p * (1 - p) / (n + 2)))

    def gain_over(self, other: Evidence) -> float:
        """The mean rise of the evidence in standard errors, frame by frame."""
        rise = self.evidence - other.evidence
        return float(rise.mean() / max(rise.std(ddof=1) / np.sqrt(len(rise)), 1e-12)) if len(rise) > 1 else 0.0

    def is_better_than(self, other: Evidence) -> bool:
        """Whether the evidence rises clearly and no fewer frames are indexed, within what one frame more or less is."""
        gained, lost = (self.indexed & ~other.indexed).sum(), (other.indexed & ~self.indexed).sum()
        return self.gain_over(other) > CLEARLY and bool(lost - gained <= np.sqrt(gained + lost))
