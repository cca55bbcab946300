"""The search for unknown cells, from the spots of frames to cells with their symmetry; see docs/unknown_cell.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..devices.devices import OneDevice
from ..learn.decoys import IndexedSpots, contest
from ..method.index_frames import Backend, get_backend
from ..model.basis import PrimitiveCells
from ..model.records.ragged import evenly
from ..model.unknown.scan import VectorScan
from ..model.unknown.selling import reduced_cell, same_lattice
from ..nouns import counted
from .few import agreed_lattices, frames_with_few_spots
from .found import Candidate, CellSearch, FoundCell, Multiple
from .frames import Frames
from .metric import Metric, settled_metric
from .multiples import Rival, better_rival, is_related, rivals, smaller_cells
from .pool import Cluster, Pool
from .symmetry import chosen, symmetries
from .verdict import Judge, Verdict

REACHES = (16.0, 40.0, 100.0, 180.0, 300.0)
"""Longest primitive vectors of successive searches, angstrom; all are tried unless a claim is strong and alone."""
TOURS = (20, 40, 100, 300, 1000)
"""Numbers of frames that are searched with every longest vector before more frames are taken."""
FEW_AFTER = 100
"""Number of frames, all if there are fewer, that are searched in vain before frames with few spots are searched by
threes of spots, which takes about as long."""
JUDGED, JUDGED_FEW = 25, 100
"""Numbers of frames on which a verdict is made, the second for frames with few spots, and where few have a crystal."""
FEWEST_OTHERS = 10
"""Smallest number of frames without part in the lattice for a verdict on these only; otherwise on all frames."""
SUPPORT, SUPPORT_SHARE, VERDICTS = 2, 0.4, 3
"""Smallest support of a judged cluster, its smallest share of the best support, and most verdicts per search."""
SAME = 0.004
"""Relative difference of the seven Voronoi lengths below which a cluster counts as already judged."""
RELATED = 0.02
"""Relative difference of lengths below which a candidate is the found lattice, or its part or multiple."""
SMALLER = 0.85
"""A smaller cell on whose sublattice nearly all indices lie is taken if it has this share of the evidence; for a small
cell, a multiple can have a few per cent more evidence than the cell itself."""
CHANGES = 3
"""Largest number of times that a cell is replaced by a part or multiple with more evidence."""
EVIDENCE, HITS = 10.0, 3
"""Smallest evidence of a claim, and smallest number of frames with a crystal."""
STRONG_SHARE, STRONG_SUPPORT, STRONG_FRAMES = 0.6, 5, 0.2
"""The search ends after a claim with crystals on more than this share of the judged frames, and with support of at
least this number and this share of the searched frames; too short a longest vector gives a part of the cell, with
weaker support."""
RIVAL = 0.5
"""Evidence of an unrelated lattice, as a share of that of a claim, above which longer vectors are tried even if the
claim is strong, and which is mentioned."""
FRAMES = 200
"""Default number of frames with enough spots that are read."""
FEWEST_LEFT = 10
"""Smallest number of frames without a crystal on which a further cell is searched for."""
CONTESTED = 48
"""Most frames on which the crystals of a known cell are compared with decoys."""
NOT_LEFT_OUT = (
    "the crystals of a known cell, on {} of {}, are not better than those of lattices that are not there: these frames "
    "are searched, too"
)
MOST_CELLS = 4

Show = Callable[[str], object]


def find_cells(
    frames: Frames,
    devices: Devices,
    *,
    known: list[PrimitiveCells] | None = None,
    longest: float = REACHES[-1],
    most_cells: int = MOST_CELLS,
    show: Show = lambda text: None,
) -> CellSearch:
    """Find the cells of the crystals on some frames, one after another.

    Parameters
    ----------
    frames
        The frames of one run.
    devices
        The devices that compute.
    known : list of (3, 3)
        Known primitive cells, rows a, b, c, angstrom; frames with a crystal of one of these are left out, unless the
        crystals are no better than those of decoys.
    longest
        Longest primitive vector that is searched for, angstrom.
    most_cells
        Largest number of cells that are searched for.
    show
        Function that is called with a line about the progress and the cells found so far.
    """
    left = np.arange(frames.n_frames)
    judge = Judge(devices, frames)
    for cell in known or []:
        verdict = judge(cell, left)
        if verdict.hits and not _is_credible(verdict, frames, devices):
            show(NOT_LEFT_OUT.format(verdict.hits, counted(len(left), "frame")))
        else:
            left = _without(left, verdict)
    backend = devices.backend if isinstance(devices, OneDevice) else get_backend("cpu")
    found: list[FoundCell] = []
    candidates: list[Candidate] = []
    largest = 0
    while len(found) < most_cells and len(left) >= (FEWEST_LEFT if found or known else 1):
        climb = _Climb(frames.take(left), backend, devices, longest, show)
        claim = climb.climb(with_threes=not found and not known)
        candidates += climb.candidates
        largest = max(largest, climb.largest_support)
        if claim is None:
            break
        found.append(climb.described(claim))
        show(
            f"found {found[-1].symmetry.lattice.code}; {counted(len(left), 'frame')}, "
            f"{found[-1].share:.0%} with a crystal"
        )
        moved = Judge(devices, frames.moved(found[-1].shift, found[-1].stretch))
        left = _without(left, moved(found[-1].primitive, left))
    spots = float(np.median(frames.counts)) if frames.n_frames else 0.0
    return CellSearch(found, candidates, frames.n_frames, spots, largest, left)


def _is_credible(verdict: Verdict, frames: Frames, devices: Devices) -> bool:
    """Whether the crystals of a known cell are clearly better than those of lattices that are certainly not there."""
    some = frames.take(evenly(verdict.frames[verdict.n_crystals > 0], CONTESTED))
    found = contest(devices, IndexedSpots(some.spots, some.offsets, verdict.cell, verdict.spread))
    return not (found.n_frames == 0 or found.is_lost or found.is_open)


def _reaches(longest: float) -> list[float]:
    """The longest vectors of successive searches, up to `longest`, angstrom."""
    return [*(reach for reach in REACHES if reach < longest), longest]


def _without(left: NDArray[np.int64], verdict: Verdict) -> NDArray[np.int64]:
    return np.asarray(left[verdict.n_crystals == 0])


@dataclass(frozen=True)
class _Claim:
    """A lattice that is claimed to be there."""

    candidate: Candidate
    verdict: Verdict

    @property
    def is_strong(self) -> bool:
        most = max(STRONG_SUPPORT, STRONG_FRAMES * self.candidate.n_searched)
        return self.candidate.share > STRONG_SHARE and self.candidate.support >= most


@dataclass
class _Climb:
    """The search for one cell, with increasing longest vectors and numbers of frames."""

    frames: Frames
    backend: Backend
    devices: Devices
    longest: float
    show: Show
    candidates: list[Candidate] = field(default_factory=list)
    largest_support: int = 0

    def __post_init__(self) -> None:
        self.low = self.frames.low()
        self.judge = Judge(self.devices, self.frames)
        lengths = np.linalg.norm(self.low.spots.astype(np.float64), axis=1)
        self.lengths = np.split(lengths, self.low.offsets[1:-1])
        self.claims: list[_Claim] = []

    def climb(self, *, with_threes: bool) -> _Claim | None:
        """The claim with the most evidence; None if there is no claim.

        Parameters
        ----------
        with_threes
            Whether frames with few spots are searched by threes of spots, too.
        """
        order = self.frames.order()
        pools = [(reach, Pool(VectorScan.make(reach, self.lengths))) for reach in _reaches(self.longest)]
        for n in TOURS:
            for reach, pool in pools:
                if pool.scan is None:
                    continue
                self.show(f"{counted(min(n, len(order)), 'frame')}, vectors up to {reach:g} A: {self._so_far}")
                pool.add(self.backend, self.low, order[pool.done : n])
                self._judge(reach, pool)
                if any(claim.is_strong and self._stands_alone(claim) for claim in self.claims):
                    break
            if with_threes and not self.claims and n >= min(FEW_AFTER, len(order)):
                with_threes = False
                self._search_threes()
            if self.claims or n >= len(order):
                break
        return max(self.claims, key=lambda claim: claim.verdict.evidence, default=None)

    def _stands_alone(self, claim: _Claim) -> bool:
        """Whether no unrelated lattice has so much evidence that both may be parts of a larger cell."""
        return self._evidence_apart(claim.verdict.cell) <= RIVAL * claim.verdict.evidence

    def _evidence_apart(self, cell: PrimitiveCells) -> float:
        """The largest evidence of a candidate that is not related to a cell; 0 if there is none."""
        apart = (each.evidence for each in self.candidates if not is_related(each.cell, cell, RELATED))
        return max(apart, default=0.0)

    def _search_threes(self) -> None:
        """Judge the lattices on which frames with few spots agree."""
        chosen_frames = frames_with_few_spots(self.frames)
        if len(chosen_frames):
            self.show(f"{counted(len(chosen_frames), 'frame')} with few spots: {self._so_far}")
        for cluster in agreed_lattices(self.backend, self.low, chosen_frames, self.longest):
            self._judge_cluster(self.longest, len(chosen_frames), cluster, JUDGED_FEW)

    @property
    def _so_far(self) -> str:
        if not self.claims:
            return f"no cell yet, {counted(self.largest_support, 'frame')} at most agree on a lattice"
        best = max(self.claims, key=lambda claim: claim.verdict.evidence)
        lengths = " ".join(f"{length:.1f}" for length in np.linalg.norm(best.verdict.cell, axis=1))
        return f"primitive {lengths} A on {best.verdict.share:.0%} of the frames"

    def _judge(self, reach: float, pool: Pool) -> None:
        """Judge the clusters of a pool that have enough support and were not judged before."""
        clusters = pool.clusters()
        if not clusters:
            return
        self.largest_support = max(self.largest_support, clusters[0].support)
        least = max(SUPPORT, SUPPORT_SHARE * clusters[0].support)
        for cluster in [each for each in clusters if each.support >= least][:VERDICTS]:
            if not any(same_lattice(cluster.cell, each.cell, SAME) for each in self.candidates):
                self._judge_cluster(reach, pool.done, cluster)

    def _judge_cluster(self, reach: float, n_searched: int, cluster: Cluster, n_judged: int = JUDGED) -> None:
        others = np.setdiff1d(np.arange(self.frames.n_frames), cluster.frames)
        chosen_frames = others if len(others) >= FEWEST_OTHERS else np.arange(self.frames.n_frames)
        verdict = self.judge(cluster.cell, evenly(chosen_frames, n_judged))
        if verdict.evidence > EVIDENCE and verdict.hits < HITS:
            # Of a very small cell few frames have enough reflections for a crystal.
            verdict = self.judge(cluster.cell, evenly(chosen_frames, JUDGED_FEW))
        claims = verdict.evidence > EVIDENCE and verdict.hits >= HITS
        candidate = Candidate(
            reach, n_searched, cluster.support, verdict.cell, verdict.evidence, verdict.share, verdict.hits, claims
        )
        self.candidates.append(candidate)
        if claims:
            self.claims.append(_Claim(candidate, verdict))

    def described(self, claim: _Claim) -> FoundCell:
        """The cell of a claim, with its multiples, its metric and its symmetry."""
        metric, others = self._settled(claim)
        cell = reduced_cell(metric.verdict.cell)
        table = symmetries(metric.verdict, metric.judge)
        best = chosen(table)
        return FoundCell(
            cell,
            best,
            table,
            [Multiple(each.index, each.gain) for each in others],
            claim.candidate.support,
            claim.candidate.n_searched,
            self._evidence_apart(cell),
            claim.verdict.evidence,
            self.frames.n_frames,
            metric.shift,
            metric.stretch,
        )

    def _settled(self, claim: _Claim) -> tuple[Metric, list[Rival]]:
        """The metric of the cell of a claim, or of a part or multiple that is better, and its rivals."""
        metric = settled_metric(self.devices, self.frames, claim.verdict.cell, claim.verdict.share)
        for smaller in smaller_cells(metric.verdict):
            verdict = metric.judge(smaller, metric.verdict.frames)
            if verdict.evidence > SMALLER * metric.verdict.evidence:
                metric = replace(metric, verdict=verdict)
                break
        others = rivals(metric.verdict, metric.judge)
        for _ in range(CHANGES):
            better = better_rival(metric.verdict, others)
            if better is None:
                break
            metric = settled_metric(self.devices, self.frames, better.cell, metric.verdict.share)
            others = rivals(metric.verdict, metric.judge)
        return metric, others
