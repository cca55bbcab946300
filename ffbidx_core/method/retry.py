"""Frames without a crystal are tried again with other settings, rung by rung (`--retry`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch, to_host
from ..model.records.ragged import offsets_of
from ..model.records.reason import FrameReason, Rung
from ..model.xp import XpArray
from ..parameters import Parameters
from .by_chance import final_scores, find_by_chance
from .near_beam import any_near
from .search import CellTable

FEWEST_STRONGEST = 15
"""Spots of a frame that are kept at least when the weakest are dropped."""


@dataclass(frozen=True)
class Step:
    """The changes that a rung makes.

    Attributes
    ----------
    rung : Rung
    changes : mapping
        Parameters of this try. None of those that make the `SearchPlan`, which all tries share.
    strongest : float
        Share of a frame's spots that are used, by falling intensity; 1 for all.
    """

    rung: Rung
    changes: Mapping[str, Any] = field(default_factory=dict)
    strongest: float = 1.0


LADDER = (
    Step(Rung.STRONGEST_SPOTS, strongest=0.4),
    Step(
        Rung.LOW_RESOLUTION,
        {
            "max_spots": 40,
            "race_spots": 20,
            "dist1": 0.08,
            "num_halfsphere_points": 65536,
            "race_directions": 4096,
            "num_candidate_vectors": 64,
            "candidate_pool": 1024,
        },
    ),
    Step(
        Rung.DENSER_SAMPLING,
        {
            "max_spots": 300,
            "race_spots": 64,
            "dist1": 0.08,
            "num_halfsphere_points": 65536,
            "race_directions": 4096,
            "num_candidate_vectors": 128,
            "candidate_pool": 4096,
        },
    ),
)
"""The rungs, in the order in which they are climbed; `python -m tests.bench.retry` measures what each gains."""


@dataclass(frozen=True)
class HostSpots:
    """The spots of a batch as they came.

    Attributes
    ----------
    spots : (N, 3)
    offsets : (F + 1,) int64
    by_intensity : (F,) bool
        Frames whose spots are in the order of falling intensity.
    """

    spots: NDArray[Any]
    offsets: NDArray[np.int64]
    by_intensity: NDArray[np.bool_]

    def beyond(self, radius: float) -> HostSpots:
        """The spots whose |s| is at least `radius` (1/angstrom), in the order in which they came."""
        # Most batches have none, and looking is to cost no time beside a GPU. Sums that are rounded otherwise differ by
        # less than the margin; the spots themselves are compared below.
        if not any_near(self.spots, radius * radius * (1 + 1e-12)):
            return self
        squared = (self.spots.astype(np.float64) ** 2).sum(axis=1)
        far = squared >= radius * radius
        return self if far.all() else HostSpots(self.spots[far], offsets_of(far)[self.offsets], self.by_intensity)

    def strongest(
        self, frames: NDArray[np.int64], share: float
    ) -> tuple[NDArray[np.int64], XpArray, NDArray[np.int64]]:
        """Frames among the given ones that have weaker spots to drop; the spots that these keep, with offsets."""
        n = np.diff(self.offsets)[frames]
        kept = np.maximum(np.ceil(share * n).astype(np.int64), FEWEST_STRONGEST)
        some = self.by_intensity[frames] & (kept < n)
        frames, kept = frames[some], kept[some]
        offsets = offsets_of(kept)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[frames] - offsets[:-1], kept)
        return frames, self.spots[rows], offsets


def try_again(
    backend: Backend,
    batch: SpotBatch,
    host: HostSpots,
    found: CellTable,
    reason: XpArray,
    plan: SearchPlan,
    p: Parameters,
    given: XpArray,
) -> tuple[CellTable, XpArray, XpArray]:
    """Climb the ladder with the frames that have no crystal.

    Crystals are accepted by chance (`accept` = chance), with a limit that is stricter by the number of tries: all rungs
    together make no more false crystals than the first try does.

    Parameters
    ----------
    batch, host
        All frames, on the backend and as they came.
    found, reason
        The cells of the first try, with the frames' numbers in the batch, and the reasons (F,) of the other frames.
    given : (M, 3, 3)
        The cells that drift is judged against.

    Returns
    -------
    found : CellTable
        The cells of all tries.
    reason : (F,) uint8
        Why a frame has no crystal after all tries, as `FrameReason`.
    rung : (F,) uint8
        The try that indexed a frame, as `Rung`.
    """
    xp = backend.xp
    tries, reason = [found], reason.copy()
    rung = xp.zeros(batch.n_frames, dtype=xp.uint8)
    limit = p.max_false_rate / (len(LADDER) + 1)
    for step in LADDER:
        frames = xp.flatnonzero((reason != FrameReason.NONE.value) & (reason != FrameReason.TOO_FEW_SPOTS.value))
        spots = batch.take(frames)
        if step.strongest < 1:
            chosen, rows, offsets = host.strongest(to_host(frames), step.strongest)
            frames, spots = xp.asarray(chosen), backend.load(rows, offsets)
        if len(frames) == 0:
            continue
        more, why = find_by_chance(backend, spots, plan, p.replace(**step.changes, max_false_rate=limit), given)
        # On all spots of the frames and in one measure, whatever the try used.
        more.scores = final_scores(backend, batch.take(frames), more, p)
        solved = why == FrameReason.NONE.value
        # Whether a cell stands out is decided in the first try, which looks at fewer orientations.
        further = solved | (why >= FrameReason.LOST_IN_REFINEMENT.value)
        reason[frames[further]] = xp.where(solved, why, xp.maximum(reason[frames], why))[further]
        rung[frames[solved]] = step.rung.value
        more.frame = frames[more.frame]
        tries.append(more)
    return CellTable.joined(tries, xp), reason, rung
