"""How many false crystals as good as a cell are to be expected on its frame: what accepts crystals."""

from __future__ import annotations

import math
from typing import Any

from .backends import Backend
from .batch import SpotBatch
from .model import chance
from .model.false_hits import RESOLUTION_RANK, log10_expected
from .model.plan import SearchPlan
from .parameters import Parameters

MOST_RADII = 32
"""Radii at which a cell is looked at closely."""


class FalseRate:
    """Expected numbers of false crystals, as log10, for cells of one search plan.

    All input cells compete, so that what one of them does by chance is multiplied by their number.
    """

    def __init__(self, backend: Backend, plan: SearchPlan, p: Parameters) -> None:
        xp = backend.xp
        self.backend, self.p = backend, p
        self.volumes = xp.asarray(plan.volumes)
        self.orders = xp.asarray([float(len(operators)) for operators in plan.operators])
        self.largest_radius = chance.radii(xp.asarray(plan.shortest_reciprocal), xp)[:, -1]
        self.n_cells = len(plan.cells)

    def of_counts(self, spots: SpotBatch, counts: Any, radii: Any, input_cell: Any) -> Any:
        """The numbers for cells that explain so many spots within a radius, (F, Q); infinite for too few for a crystal.

        Parameters
        ----------
        counts, radii, input_cell : (F, Q), or what broadcasts to it
        """
        xp, p = self.backend.xp, self.p
        numbers = log10_expected(
            counts, spots.counts[:, None], radii, self.volumes[input_cell], self.orders[input_cell],
            self.resolution(spots)[:, None], p.max_spots, p.n_output_cells, xp,
        )
        return xp.where(counts >= p.min_new_spots, numbers + math.log10(self.n_cells), xp.inf)

    def of_cells(self, spots: SpotBatch, cells: Any, input_cell: Any) -> Any:
        """The lowest number over all radii for one cell a frame, (F,): its spots take turns as the last one.

        Of many spots `MOST_RADII` take a turn, evenly spread, the farthest one among them.

        Parameters
        ----------
        cells : (F, 3, 3);  input_cell : (F,)
        """
        xp = self.backend.xp
        distance = self.backend.distances(spots, cells[:, None])[0].astype(xp.float64)
        frame, largest = spots.frame_of_spot, self.largest_radius[input_cell]
        near = xp.flatnonzero(distance <= largest[frame])
        if len(near) == 0:
            return xp.full(spots.n_frames, xp.inf)
        frame, distance = frame[near], distance[near]
        # In order of frame and distance. What rounding may exchange lies nearer than the smallest radius.
        distance = distance[xp.argsort(frame + distance)]
        ends = xp.searchsorted(frame, xp.arange(spots.n_frames + 1))
        total = xp.diff(ends)
        counts = total[:, None] - -(-total // MOST_RADII)[:, None] * xp.arange(MOST_RADII)
        last = distance[xp.clip(ends[:-1, None] + counts - 1, 0, len(near) - 1)]
        radius = xp.maximum(last, xp.minimum(largest, chance.RADII[0])[:, None])
        return self.of_counts(spots, counts, radius, input_cell[:, None]).min(axis=1)

    def resolution(self, spots: SpotBatch) -> Any:
        """|s| inside which `RESOLUTION_RANK` of a frame's spots lie, (F,) 1/angstrom; 1 where there are none."""
        xp = self.backend.xp
        if spots.xyz.shape[1] == 0:
            return xp.ones(spots.n_frames)
        rank = (RESOLUTION_RANK * spots.counts).astype(xp.int64)
        xyz = spots.xyz[:, xp.minimum(spots.offsets[:-1] + rank, spots.xyz.shape[1] - 1)].astype(xp.float64)
        length = xp.sqrt(xyz[0] ** 2 + xyz[1] ** 2 + xyz[2] ** 2)
        return xp.where(spots.counts > 0, length, 1.0)
