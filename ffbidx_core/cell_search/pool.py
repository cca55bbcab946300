"""The pool of lattices of single frames: a correct lattice recurs on other frames, a wrong one does not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..method.index_frames import Backend
from ..model.basis import PrimitiveCells
from ..model.cell import Array
from ..model.records.batch import to_host
from ..model.unknown.scan import VectorScan
from ..model.unknown.selling import nearest_setting, reduced_cell, voronoi_lengths
from .bravais import cell_of_metric
from .frames import Frames

TOLERANCE = 0.012
"""Largest relative difference of the seven Voronoi lengths of two lattices that are taken as one."""
MEDIAN_OF = 25
"""Number of lattices of a cluster, those with the highest scores, whose median is its cell."""
SHORTEST = 2.0
"""Shortest vector of a lattice, angstrom; no crystal has a shorter one, but a fit that makes two vectors equal does."""
CLUSTERS = 4
"""Number of clusters of a pool that are considered."""


@dataclass(frozen=True)
class Cluster:
    """A lattice on which several frames agree.

    Attributes
    ----------
    support : int
        Number of frames with this lattice among their best ones.
    frames : (support,) int64
        Numbers of these frames.
    cell : (3, 3) float64
        Reduced median of the lattices of these frames, rows a, b, c, angstrom.
    """

    support: int
    frames: NDArray[np.int64]
    cell: PrimitiveCells


@dataclass
class Pool:
    """The lattices of the frames searched so far, for one longest vector.

    Attributes
    ----------
    scan : VectorScan or None
        Plan of the scan; None if the resolution of the spots is too low for a scan.
    done : int
        Number of frames that have been searched.
    """

    scan: VectorScan | None
    done: int = 0
    _frame: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _cells: Array = field(default_factory=lambda: np.zeros((0, 3, 3)))
    _lengths: Array = field(default_factory=lambda: np.zeros((0, 7)))
    _scores: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, backend: Backend, low: Frames, chosen: NDArray[np.int64]) -> None:
        """Search the frames of `low` with the numbers `chosen`."""
        self.done += len(chosen)
        if self.scan is None or len(chosen) == 0:
            return
        some = low.take(chosen)
        with backend.lane():
            spots = backend.load(some.spots, some.offsets)
            vectors = backend.refine_scanned(spots, backend.scan_vectors(spots, self.scan), self.scan)
            cells, scores = (to_host(each) for each in backend.join_vectors(spots, vectors))
        frame, rank = np.nonzero(np.isfinite(scores))
        lengths = voronoi_lengths(cells[frame, rank])
        real = lengths[:, 0] >= SHORTEST
        frame, rank = frame[real], rank[real]
        self._frame = np.concatenate([self._frame, chosen[frame]])
        self._cells = np.concatenate([self._cells, cells[frame, rank]])
        self._lengths = np.concatenate([self._lengths, lengths[real]])
        self._scores = np.concatenate([self._scores, scores[frame, rank]])

    def clusters(self) -> list[Cluster]:
        """The distinct lattices with the most support."""
        if len(self._frame) == 0:
            return []
        support = self._support()
        free = np.ones(len(support), dtype=bool)
        found: list[Cluster] = []
        while len(found) < CLUSTERS and free.any():
            best = int(np.argmax(np.where(free, support, -1)))
            apart = np.max(np.abs(self._lengths / self._lengths[best] - 1), axis=1)
            members = np.flatnonzero(apart < TOLERANCE)
            frames = np.unique(self._frame[members])
            cell = median_cell(self._cells[members], self._scores[members])
            found.append(Cluster(len(frames), frames, cell))
            free &= apart > 2 * TOLERANCE
        return found

    def _support(self) -> Array:
        """The number of frames that have each lattice, plus a small bonus for higher scores of their lattices."""
        from .kernels import sum_weights

        order = np.argsort(self._lengths[:, 0], kind="stable")
        weight = 1 + 1e-3 * np.clip(self._scores[order] - self._scores.min(), 0, 99)
        best, support = np.zeros(int(self._frame.max()) + 1), np.zeros(len(order))
        sum_weights(self._lengths[order], self._frame[order], weight, TOLERANCE, best, support)
        support[order] = support.copy()
        return support


def median_cell(cells: Array, scores: Array) -> PrimitiveCells:
    """The lattice whose metric is the median of lattices (n, 3, 3), each in its setting nearest to the best one."""
    cells = cells[np.argsort(-scores, kind="stable")[:MEDIAN_OF]]
    start = reduced_cell(cells[0])
    metric = start @ start.T
    for _ in range(2):
        settings = [nearest_setting(cell, metric) for cell in cells]
        metric = np.median([found[0] @ found[0].T for found in settings if found is not None] or [metric], axis=0)
    return reduced_cell(cell_of_metric(metric))
