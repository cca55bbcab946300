"""The search for unknown cells: spots of frames in, cells with their symmetry out; see docs/unknown_cell.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..devices.devices import OneDevice
from ..method.index_frames import Backend, get_backend
from ..model.cell import Array
from ..model.records.ragged import evenly
from ..model.unknown.scan import VectorScan
from ..model.unknown.selling import reduced_cell, same_lattice
from .found import Candidate, CellSearch, FoundCell, Multiple
from .frames import Frames
from .metric import Metric, settled_metric
from .multiples import INDICES, best_multiple, best_part, is_related, smaller_cells
from .pool import Cluster, Pool
from .symmetry import chosen, symmetries
from .verdict import Judge, Verdict

REACHES = (16.0, 40.0, 100.0, 180.0, 300.0)
"""Longest primitive vector of a search, angstrom; the whole ladder is climbed unless a claim is strong."""
TOURS = (20, 40, 100, 300, 1000)
"""Frames that are searched up to every reach, before more are taken."""
JUDGED = 25
"""Frames that a verdict is made on."""
FEWEST_OTHERS = 10
"""A verdict is made on frames that the lattice was not made from where there are so many; else on all."""
SUPPORT, SUPPORT_SHARE, VERDICTS = 2, 0.4, 3
"""A cluster is judged with so much support, with this share of the best one's, and so many of a reach and tour."""
SAME = 0.004
"""A cluster whose seven Voronoi lengths agree with a judged one's to this share is not judged again."""
RELATED = 0.02
"""A candidate is no rival where it is the lattice found, a part or a multiple of it, to this share of the lengths."""
SMALLER = 0.85
"""A smaller cell on whose sublattice nearly all indices lie is taken where it has this share of the evidence: of a
small cell a multiple can have some percent more evidence than the cell itself."""
EVIDENCE, HITS = 10.0, 3
"""A claim has more evidence than this, on so many frames at least."""
STRONG_SHARE, STRONG_SUPPORT, STRONG_FRAMES = 0.6, 5, 0.2
"""Nothing further is searched after a claim with crystals on more than this share of the judged frames, and support of
5 frames and of 0.2 of those searched: a reach too short finds a part of the cell, of weaker support."""
FRAMES = 200
"""Frames with spots enough that are read unless another number is given."""
FEWEST_LEFT = 10
"""Frames without a crystal of the cells so far among which a further cell is looked for."""
MOST_CELLS = 4

Show = Callable[[str], object]


def find_cells(
    frames: Frames,
    devices: Devices,
    *,
    known: list[Array] | None = None,
    longest: float = REACHES[-1],
    most_cells: int = MOST_CELLS,
    show: Show = lambda text: None,
) -> CellSearch:
    """The cells of the crystals on some frames, one after another.

    Parameters
    ----------
    frames
        Frames of one run, in 1/angstrom.
    devices
        Where to compute.
    known : list of (3, 3)
        Primitive cells that are known: frames with a crystal of one are left out.
    longest
        Longest primitive vector that is looked for, angstrom.
    most_cells
        Number of cells that are looked for at most.
    show
        Called with a line of what is being done and what is found so far.
    """
    left = np.arange(frames.n_frames)
    judge = Judge(devices, frames)
    for cell in known or []:
        left = _without(left, judge(cell, left))
    backend = devices.backend if isinstance(devices, OneDevice) else get_backend("cpu")
    found: list[FoundCell] = []
    candidates: list[Candidate] = []
    largest = 0
    while len(found) < most_cells and len(left) >= (FEWEST_LEFT if found or known else 1):
        climb = _Climb(frames.take(left), backend, devices, longest, show)
        claim = climb.climb()
        candidates += climb.candidates
        largest = max(largest, climb.largest_support)
        if claim is None:
            break
        found.append(climb.described(claim))
        show(f"found {found[-1].symmetry.lattice.code}; {len(left)} frames, {found[-1].share:.0%} with a crystal")
        moved = Judge(devices, frames.moved(found[-1].shift))
        left = _without(left, moved(found[-1].primitive, left))
    spots = float(np.median(frames.counts)) if frames.n_frames else 0.0
    return CellSearch(found, candidates, frames.n_frames, spots, largest, left)


def _reaches(longest: float) -> list[float]:
    """The ladder up to a longest vector."""
    return [*(reach for reach in REACHES if reach < longest), longest]


def _without(left: NDArray[np.int64], verdict: Verdict) -> NDArray[np.int64]:
    return np.asarray(left[verdict.n_crystals == 0])


@dataclass(frozen=True)
class _Claim:
    """A lattice that is there."""

    candidate: Candidate
    verdict: Verdict

    @property
    def is_strong(self) -> bool:
        most = max(STRONG_SUPPORT, STRONG_FRAMES * self.candidate.n_searched)
        return self.candidate.share > STRONG_SHARE and self.candidate.support >= most


@dataclass
class _Climb:
    """The search for one cell: up the reaches, with ever more frames."""

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

    def climb(self) -> _Claim | None:
        """The claim of most evidence; None where no lattice is there."""
        order = self.frames.order()
        pools = [(reach, Pool(VectorScan.make(reach, self.lengths))) for reach in _reaches(self.longest)]
        for n in TOURS:
            for reach, pool in pools:
                if pool.scan is None:
                    continue
                self.show(f"{min(n, len(order))} frames, vectors up to {reach:g} A: {self._so_far}")
                pool.add(self.backend, self.low, order[pool.done : n])
                self._judge(reach, pool)
                if any(claim.is_strong for claim in self.claims):
                    break
            if self.claims or n >= len(order):
                break
        return max(self.claims, key=lambda claim: claim.verdict.evidence, default=None)

    @property
    def _so_far(self) -> str:
        if not self.claims:
            return f"no cell yet, at most {self.largest_support} frames agree"
        best = max(self.claims, key=lambda claim: claim.verdict.evidence)
        lengths = " ".join(f"{length:.1f}" for length in np.linalg.norm(best.verdict.cell, axis=1))
        return f"primitive {lengths} A on {best.verdict.share:.0%} of the frames"

    def _judge(self, reach: float, pool: Pool) -> None:
        """Judge the clusters of a pool that have support enough and were not judged."""
        clusters = pool.clusters()
        if not clusters:
            return
        self.largest_support = max(self.largest_support, clusters[0].support)
        least = max(SUPPORT, SUPPORT_SHARE * clusters[0].support)
        for cluster in [each for each in clusters if each.support >= least][:VERDICTS]:
            if not any(same_lattice(cluster.cell, each.cell, SAME) for each in self.candidates):
                self._judge_cluster(reach, pool.done, cluster)

    def _judge_cluster(self, reach: float, n_searched: int, cluster: Cluster) -> None:
        others = np.setdiff1d(np.arange(self.frames.n_frames), cluster.frames)
        chosen_frames = others if len(others) >= FEWEST_OTHERS else np.arange(self.frames.n_frames)
        verdict = self.judge(cluster.cell, evenly(chosen_frames, JUDGED))
        claims = verdict.evidence > EVIDENCE and verdict.hits >= HITS
        candidate = Candidate(
            reach, n_searched, cluster.support, verdict.cell, verdict.evidence, verdict.share, verdict.hits, claims
        )
        self.candidates.append(candidate)
        if claims:
            self.claims.append(_Claim(candidate, verdict))

    def described(self, claim: _Claim) -> FoundCell:
        """The cell of a claim with its multiples, its metric and its symmetry."""
        metric = settled_metric(self.devices, self.frames, claim.verdict.cell, claim.verdict.share)
        for smaller in smaller_cells(metric.verdict):
            verdict = metric.judge(smaller, metric.verdict.frames)
            if verdict.evidence > SMALLER * metric.verdict.evidence:
                metric = Metric(verdict, metric.judge, metric.shift)
                break
        cell = reduced_cell(metric.verdict.cell)
        table = symmetries(metric.verdict, metric.judge)
        best = chosen(table)
        rivals = [each.evidence for each in self.candidates if not is_related(each.cell, cell, RELATED)]
        return FoundCell(
            cell,
            best,
            table,
            self._multiples(table[0].verdict, metric.judge),
            claim.candidate.support,
            claim.candidate.n_searched,
            max(rivals, default=0.0),
            claim.verdict.evidence,
            self.frames.n_frames,
            metric.shift,
        )

    def _multiples(self, verdict: Verdict, judge: Judge) -> list[Multiple]:
        """The best part and the best multiple of each index, with their evidence on the same frames."""
        rivals = [(-index, best_part(verdict, index)[0]) for index in INDICES]
        rivals += [(index, best_multiple(verdict, index)) for index in INDICES]
        evidence = [judge.as_it_is(reduced_cell(rival), verdict).evidence for _, rival in rivals]
        return [Multiple(index, each - verdict.evidence) for (index, _), each in zip(rivals, evidence, strict=True)]
