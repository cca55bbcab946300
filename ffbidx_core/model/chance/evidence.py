"""Evidence for the crystals on frames, by which two ways to index the same frames are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..records.frame import BatchResult

MEASURES = {"chance": "-log10 of the chance level", "count": "number of indexed spots"}
"""Name of the quantity that serves as evidence, for each value of `Parameters.accept`."""
CLEARLY = 3.0
"""Rise of the mean evidence, in standard errors, above which it counts as better."""


@dataclass(frozen=True)
class Evidence:
    """The evidence for the best crystal on each of F frames.

    Attributes
    ----------
    indexed : (F,) bool
        Whether the frame has a crystal.
    evidence : (F,) float64
        -log10 of the chance level of the frame's best crystal, or its number of indexed spots if crystals are accepted
        by count; 0 for a frame without a crystal.
    """

    indexed: NDArray[np.bool_]
    evidence: Array

    @classmethod
    def of(cls, result: BatchResult, accept: str) -> Evidence:
        """The evidence in the result of a batch whose crystals were accepted by `accept`, as in `Parameters.accept`."""
        found = np.diff(result.crystal_offsets) > 0
        best = result.crystal_offsets[:-1][found]
        evidence = np.zeros(len(found))
        evidence[found] = -result.log10_chance[best] if accept == "chance" else result.n_indexed[best]
        return cls(found, evidence)

    def __getitem__(self, frames: slice | NDArray[np.bool_]) -> Evidence:
        """The evidence on a selection of the frames."""
        return Evidence(self.indexed[frames], self.evidence[frames])

    @property
    def rate(self) -> float:
        """Fraction of the frames that is indexed; 0 if there are no frames."""
        return float(self.indexed.mean()) if len(self.indexed) else 0.0

    @property
    def rate_error(self) -> float:
        """Standard error of the indexed fraction.

        One indexed and one unindexed frame are added, so that the error is not 0 where no or every frame is indexed.
        """
        n = len(self.indexed)
        p = (self.indexed.sum() + 1) / (n + 2)
        return float(np.sqrt(p * (1 - p) / (n + 2)))

    def gain_over(self, other: Evidence) -> float:
        """Mean rise of the evidence over another result of the same frames, in its standard errors."""
        rise = self.evidence - other.evidence
        return float(rise.mean() / max(rise.std(ddof=1) / np.sqrt(len(rise)), 1e-12)) if len(rise) > 1 else 0.0

    def is_better_than(self, other: Evidence) -> bool:
        """Whether the evidence rises by more than `CLEARLY` and the number of indexed frames does not fall.

        A fall within one standard deviation, the square root of the number of frames that changed, is tolerated.
        """
        gained, lost = (self.indexed & ~other.indexed).sum(), (other.indexed & ~self.indexed).sum()
        return self.gain_over(other) > CLEARLY and bool(lost - gained <= np.sqrt(gained + lost))
