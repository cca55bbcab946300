"""The expected number of false crystals as good as a cell on its frame, by which crystals are accepted."""

from __future__ import annotations

from ..backends import Backend
from ..model.chance import level as chance
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.xp import XpArray
from ..parameters import Parameters

MOST_RADII = 32
"""Largest number of radii at which a single cell is examined."""


class FalseRate:
    """Expected numbers of false crystals, as log10, for cells of one search plan."""

    def __init__(self, backend: Backend, plan: SearchPlan, p: Parameters) -> None:
        xp = backend.xp
        self.backend, self.p = backend, p
        self.volumes = xp.asarray(plan.volumes)
        self.orders = xp.asarray([float(len(operators)) for operators in plan.operators])
        self.largest_radius = chance.radii(xp.asarray(plan.shortest_reciprocal), xp)[:, -1]

    def of_counts(self, spots: SpotBatch, counts: XpArray, radii: XpArray, input_cell: XpArray) -> XpArray:
        """log10 of the numbers (F, Q) for cells with given counts of spots within given radii.

        See `Backend.expected_false`.
        """
        return self.backend.expected_false(spots, counts, radii, input_cell, self.volumes, self.orders, self.p)

    def of_cells(self, spots: SpotBatch, cells: XpArray, input_cell: XpArray) -> XpArray:
        """The lowest expected number of false crystals over all radii, for one cell a frame.

        The distance of each of the cell's spots serves as a radius. Of more than `MOST_RADII` spots, that many are
        used, evenly spread and with the farthest spot among them.

        Parameters
        ----------
        cells : (F, 3, 3)
            Oriented cells, rows a, b, c, angstrom.
        input_cell : (F,)
            Number of the input cell of each.

        Returns
        -------
        (F,) float64
            log10 of the numbers.
        """
        xp = self.backend.xp
        distance = self.backend.distances(spots, cells[:, None])[0].astype(xp.float64)
        frame, largest = spots.frame_of_spot, self.largest_radius[input_cell]
        near = xp.flatnonzero(distance <= largest[frame])
        if len(near) == 0:
            return xp.full(spots.n_frames, xp.inf)
        frame, distance = frame[near], distance[near]
        # Sorts by frame and distance. Rounding can only swap distances that are below the smallest radius.
        distance = distance[xp.argsort(frame + distance)]
        ends = xp.searchsorted(frame, xp.arange(spots.n_frames + 1))
        total = xp.diff(ends)
        counts = total[:, None] - -(-total // MOST_RADII)[:, None] * xp.arange(MOST_RADII)
        last = distance[xp.clip(ends[:-1, None] + counts - 1, 0, len(near) - 1)]
        radius = xp.maximum(last, xp.minimum(largest, chance.RADII[0])[:, None])
        return self.of_counts(spots, counts, radius, input_cell[:, None]).min(axis=1)
