"""Further tries: frames without a crystal are indexed again with other settings, rung by rung (`--retry`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..model.plan import SearchPlan
from ..model.records.batch import FEW_SPOTS, SpotBatch, to_host
from ..model.records.ragged import offsets_of
from ..model.records.reason import FrameReason, Rung
from ..parameters import Parameters
from .by_chance import find_by_chance
from .search import CellTable

FEWEST_STRONGEST = 15
"""Smallest number of a frame's spots that are kept when the weakest are dropped."""


@dataclass(frozen=True)
class Step:
    """The changes that a rung of the ladder makes.

    Attributes
    ----------
    rung : Rung
        Name of the rung in the results.
    changes : mapping
        Parameters that this try changes. They must not affect the `SearchPlan`, which all tries share.
    strongest : float
        Fraction of a frame's spots that are used, the most intense ones; 1 for all.
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
"""The rungs in the order of the tries; `python -m tests.bench.retry` measures the gain of each."""


@dataclass(frozen=True)
class HostSpots:
    """The spots of a batch in host memory, in the order of the input.

    Attributes
    ----------
    spots : (N, 3)
        Spots in reciprocal space, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns the spots offsets[f]:offsets[f + 1].
    by_intensity : (F,) bool
        Whether the spots of each frame are in the order of falling intensity.
    """

    spots: NDArray[Any]
    offsets: NDArray[np.int64]
    by_intensity: NDArray[np.bool_]

    @property
    def are_few(self) -> bool:
        """Whether the batch is small, so that the host sifts its spots faster than a GPU decides if there is need."""
        return len(self.spots) <= FEW_SPOTS

    def loaded(self, backend: Backend, radius: float, fewest: int) -> tuple[HostSpots, SpotBatch]:
        """The spots whose |s| is at least `radius` (1/angstrom), in the order of the input and on the backend.

        Of a small batch, only frames with at least `fewest` of these spots have spots on the backend, where frames
        without spots may follow.
        """
        if self.are_few:
            kept = self._with(self._beyond(radius))
            has_enough = np.diff(kept.offsets) >= fewest
            full = kept if has_enough.all() else kept._with(np.repeat(has_enough, np.diff(kept.offsets)))
            return kept, backend.load_few(full.spots, full.offsets)
        batch = backend.load(self.spots, self.offsets)
        # Most batches have no spot to leave out, which the nearest spot of each frame shows; it is the frame's first.
        first = backend.xp.minimum(batch.offsets[:-1], len(self.spots) - 1)
        nearest = (to_host(batch.xyz[:, first]).astype(np.float64) ** 2).sum(axis=0)
        if not (nearest < radius * radius * (1 + 1e-12)).any():
            return self, batch
        kept = self._with(self._beyond(radius))
        return kept, backend.load(kept.spots, kept.offsets)

    def _beyond(self, radius: float) -> NDArray[np.bool_]:
        """Whether |s| of each spot is at least `radius` (1/angstrom), (N,)."""
        x, y, z = self.spots.T.astype(np.float64)
        squared = x * x + y * y + z * z
        return np.asarray(squared >= radius * radius)

    def _with(self, some: NDArray[np.bool_]) -> HostSpots:
        """The spots for which `some` (N,) is true."""
        if some.all():
            return self
        return HostSpots(self.spots[some], offsets_of(some)[self.offsets], self.by_intensity)

    def strongest(
        self, frames: NDArray[np.int64], share: float
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
        """Select the strongest spots of frames.

        Parameters
        ----------
        frames : (n,)
            Numbers of the frames.
        share
            Fraction of a frame's spots that is kept.

        Returns
        -------
        frames : (m,)
            The given frames that have weaker spots to drop, and whose spots are known to be in order of intensity.
        spots : (k, 3)
            Spots that these frames keep, 1/angstrom.
        offsets : (m + 1,)
            Offsets of these frames in `spots`.
        """
        n = np.diff(self.offsets)[frames]
        kept = np.maximum(np.ceil(share * n).astype(np.int64), FEWEST_STRONGEST)
        some = self.by_intensity[frames] & (kept < n)
        frames, kept = frames[some], kept[some]
        offsets = offsets_of(kept)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[frames] - offsets[:-1], kept)
        return frames, self.spots[rows], offsets


class Tried(NamedTuple):
    """The result of one or several tries on a batch of F frames.

    Attributes
    ----------
    found : CellTable
        Cells of all tries.
    reason : (F,) uint8
        Reason why a frame has no crystal, as `FrameReason`.
    rung : (F,) uint8
        The try that indexed a frame, as `Rung`.
    """

    found: CellTable
    reason: NDArray[np.uint8]
    rung: NDArray[np.uint8]


def try_again(
    backend: Backend,
    batch: SpotBatch,
    host: HostSpots,
    first: Tried,
    plan: SearchPlan,
    p: Parameters,
    given: NDArray[np.float64],
) -> Tried:
    """Index the frames without a crystal again, with the settings of each rung in turn.

    Crystals are accepted by chance (`accept` is `chance`) with a limit that is divided by the number of tries, so that
    all rungs together add no more false crystals than the first try.

    Parameters
    ----------
    backend
        Backend that computes.
    batch, host
        All frames, on the backend and in the order of the input.
    first : Tried
        Result of the first try, with the numbers of the frames in the batch.
    plan
        Plan of the search for the batch's input cells.
    p
        Parameters of the first try.
    given : (M, 3, 3)
        Input cells against which drift is judged, rows a, b, c, angstrom; an array in host memory.
    """
    xp = backend.xp
    tries, reason, rung = [first.found], first.reason.copy(), first.rung.copy()
    limit = p.max_false_rate / (len(LADDER) + 1)
    for step in LADDER:
        frames = np.flatnonzero((reason != FrameReason.NONE.value) & (reason != FrameReason.TOO_FEW_SPOTS.value))
        if step.strongest < 1:
            frames, rows, offsets = host.strongest(frames, step.strongest)
        if len(frames) == 0:
            continue
        spots = backend.load(rows, offsets) if step.strongest < 1 else batch.take(xp.asarray(frames))
        more, why = find_by_chance(backend, spots, plan, p.replace(**step.changes, max_false_rate=limit), given)
        solved = why == FrameReason.NONE.value
        # Whether a cell stands out is decided in the first try, which looks at fewer orientations.
        further = solved | (why >= FrameReason.LOST_IN_REFINEMENT.value)
        reason[frames[further]] = np.where(solved, why, np.maximum(reason[frames], why))[further]
        rung[frames[solved]] = step.rung.value
        more.frame = frames[more.frame]
        tries.append(more)
    return Tried(CellTable.joined(tries), reason, rung)
