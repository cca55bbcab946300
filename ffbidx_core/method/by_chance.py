"""Acceptance by chance: the crystals of a frame are found one after another (`--accept chance`).

Every cell of a search is rotated onto the spots. The cell with the lowest expected number of false crystals is refined;
it becomes a crystal if that number is low enough, and its spots are removed. The other cells are then judged again on
the remaining spots. If no cell passes, the remaining spots are searched again. All frames of a batch go through the
passes together, and a frame drops out when it is finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import log10
from types import ModuleType

from ..backends import Backend
from ..model.chance import level as chance
from ..model.orientation import drifted, equal_lattices
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.records.reason import FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters
from .false_rate import FalseRate
from .last_fit import last_fit
from .reasons import reason_of_level, with_vectors
from .search import CellTable, search

LOST = 3.0
"""log10 of the factor above the limit from which the expected number of false crystals shows that a cell is lost."""


def find_by_chance(
    backend: Backend, spots: SpotBatch, plan: SearchPlan, p: Parameters, given: XpArray
) -> tuple[CellTable, XpArray]:
    """Find all crystals on a batch by repeated search and removal of their spots.

    Parameters
    ----------
    backend
        Backend that computes.
    spots
        Batch of frames to search.
    plan
        Plan of the search for the batch's input cells.
    p
        Parameters of the method.
    given : (M, 3, 3)
        Primitive input cells against which drift is judged, rows a, b, c, angstrom.

    Returns
    -------
    found : CellTable
        Cells that were found.
    reason : (F,) uint8
        Reason why a frame has no crystal, as `FrameReason`.
    """
    xp = backend.xp
    passes = _Passes(backend, spots.n_frames, plan, p, given)
    frames, rest = xp.arange(spots.n_frames), spots
    for k in range(p.searches):
        n_points = p.num_halfsphere_points if k == 0 else min(p.research_points, p.num_halfsphere_points)
        pool, vectors = search(backend, rest, plan, p, n_points)
        cells = backend.fit_rigid(rest, pool.cells, p) if p.rigid_steps else pool.cells
        hit, rest, why = passes.take_crystals(frames, rest, cells, pool.scores, pool.input_cell)
        if k == 0:
            # A frame without a crystal is not searched again.
            reason = with_vectors(why, spots, vectors, p, n_points)
        left = rest.counts
        fewest = xp.maximum(p.research_min_spots, p.research_fraction * spots.counts[frames])
        again = xp.flatnonzero(hit & (left >= fewest))
        if len(again) == 0:
            break
        frames, rest = frames[again], rest.take(again)
    found = passes.found()
    found.scores = final_scores(backend, spots, found, p)
    return found, reason


class _Passes:
    """The passes over a batch, with the cells that they have found so far."""

    def __init__(self, backend: Backend, n_frames: int, plan: SearchPlan, p: Parameters, given: XpArray) -> None:
        self.backend, self.plan, self.p, self.xp = backend, plan, p, backend.xp
        xp = backend.xp
        self.given = given
        self.volumes, self.shortest = xp.asarray(plan.volumes), xp.asarray(plan.shortest_reciprocal)
        self.radii = chance.radii(self.shortest, xp)
        self.false_rate, self.limit = FalseRate(backend, plan, p), log10(p.max_false_rate)
        self.n_frames = n_frames
        # The crystal that each earlier pass found on each frame; a cell that is too small to equal any stands for none.
        self.known: list[XpArray] = []
        self.rows: list[CellTable] = []

    def take_crystals(
        self, frames: XpArray, spots: SpotBatch, cells: XpArray, raw_scores: XpArray, input_cell: XpArray
    ) -> tuple[XpArray, SpotBatch, XpArray]:
        """Take crystals from a pool of cells until no cell passes.

        Parameters
        ----------
        frames : (F,)
            Numbers of these frames in the whole batch.
        spots
            Spots of these frames.
        cells : (F, Q, 3, 3)
            Pool of oriented cells, rows a, b, c, angstrom.
        raw_scores, input_cell : (F, Q)
            Score and input cell of each cell, from the search.

        Returns
        -------
        hit : (F,) bool
            Whether a new crystal was found on the frame.
        rest : SpotBatch
            The same frames without the spots of their crystals.
        reason : (F,) uint8
            Reason why a frame has no crystal, as `FrameReason`; NO_CELL if no cell stands out.
        """
        xp, p = self.xp, self.p
        cells = cells.copy()
        hit, free = xp.zeros(len(frames), dtype=bool), xp.ones(spots.xyz.shape[1], dtype=bool)
        reason = xp.zeros(len(frames), dtype=xp.uint8)
        active, left, columns = xp.arange(len(frames)), spots, xp.arange(spots.xyz.shape[1])
        while len(active):
            level, radius, false = self.significance(left, cells[active], input_cell[active])
            best = xp.argmin(false, axis=1)
            reason[active] = xp.maximum(reason[active], reason_of_level(level.min(axis=1), xp))
            counted = xp.isfinite(xp.take_along_axis(false, best[:, None], axis=1)[:, 0])
            false = self.false_rate.of_cells(left, cells[active, best], input_cell[active, best])
            good = xp.flatnonzero(counted & (false <= self.limit))
            if len(good) == 0:
                break
            left, mine = left.part(good)
            columns, active, best, false = columns[mine], active[good], best[good], false[good]
            level, radius = level[good, best], radius[good, best]
            chosen, source = cells[active, best], input_cell[active, best]
            # A cell is taken once, whether it becomes a crystal or not.
            cells[active, best] = 0.0
            fitted, cutoff = self.refined(left, chosen, source, raw_scores[active, best], level, radius)
            lost = self.lost(left, fitted, source)
            kept = ~lost & ~drifted(fitted, self.given[source], p.max_drift, xp)
            why = xp.where(lost, FrameReason.LOST_IN_REFINEMENT.value, FrameReason.DRIFTED.value).astype(xp.uint8)
            reason[active] = xp.maximum(reason[active], xp.where(kept, xp.uint8(0), why))
            hit[active] |= self.record(frames[active], fitted, source, level, false, kept)
            covered = self.backend.distances(left, fitted[:, None])[0] < cutoff[left.frame_of_spot]
            covered &= kept[left.frame_of_spot]
            free[columns[covered]] = False
            columns, left = columns[~covered], left.keep(~covered)
        reason[hit] = FrameReason.NONE.value
        return hit, spots.keep(free), reason

    def lost(self, spots: SpotBatch, cells: XpArray, source: XpArray) -> XpArray:
        """Whether refined cells (F, 3, 3) no longer explain the spots that made them pass, (F,) bool.

        A refined cell need not pass again, because its expected number of false crystals scatters: the spots of a true
        crystal are as likely to lie just outside a radius as just inside.
        """
        return self.false_rate.of_cells(spots, cells, source) > self.limit + LOST

    def significance(self, spots: SpotBatch, cells: XpArray, input_cell: XpArray) -> tuple[XpArray, XpArray, XpArray]:
        """Properties (F, Q) of cells (F, Q, 3, 3): log10 of the chance level, its radius, log10 of false crystals."""
        xp = self.xp
        radii, counts, levels = self.levels(spots, cells, input_cell)
        level, radius = _at_lowest(levels, (levels, radii), xp)
        # One radius per cell suffices to select the cell that is then examined at many radii.
        enough = xp.where(counts >= self.p.min_new_spots, levels, 0.0)
        k, within = _at_lowest(enough, (counts, radii), xp)
        return level, radius, self.false_rate.of_counts(spots, k, within, input_cell)

    def levels(self, spots: SpotBatch, cells: XpArray, input_cell: XpArray) -> tuple[XpArray, XpArray, XpArray]:
        """Radii tried, numbers of spots within them of cells (F, Q, 3, 3), and log10 chance levels, each (F, Q, T)."""
        radii = self.radii[input_cell]
        counts = self.backend.count_within(spots, cells, radii)
        n, volumes = spots.counts[:, None, None], self.volumes[input_cell][..., None]
        return radii, counts, chance.log10_tail(counts, n, radii, volumes, self.xp)

    def refined(
        self, spots: SpotBatch, cells: XpArray, source: XpArray, raw_scores: XpArray, level: XpArray, radius: XpArray
    ) -> tuple[XpArray, XpArray]:
        """One cell a frame after the method and the last fit, (F, 3, 3), and the radius (F,) of its spots."""
        xp, p = self.xp, self.p
        refined = self.backend.refine_cells(spots, cells[:, None], raw_scores[:, None], p)[0]
        if p.polish == "none":
            return refined[:, 0], xp.maximum(radius, self.largest_cutoff(source, p.max_dist))
        radii, _, levels = self.levels(spots, refined, source[:, None])
        new_level, new_radius = _at_lowest(levels, (levels, radii), xp)
        better = new_level[:, 0] < level
        start = xp.where(better[:, None, None], refined[:, 0], cells)
        radius = xp.where(better, new_radius[:, 0], radius)
        cells, cutoff = last_fit(self.backend, spots, start, source, radius, self.plan, p)
        return cells, xp.maximum(radius, self.largest_cutoff(source, cutoff))

    def largest_cutoff(self, source: XpArray, cutoff: XpArray) -> XpArray:
        """A cut-off (F,), 1/angstrom, limited so that spheres of this radius do not fill reciprocal space."""
        return self.xp.minimum(cutoff, chance.LARGEST_SHARE * self.shortest[source])

    def record(
        self, frames: XpArray, cells: XpArray, source: XpArray, level: XpArray, false: XpArray, is_crystal: XpArray
    ) -> XpArray:
        """Record one cell for each of some frames, and return which of the cells are new crystals."""
        xp, p = self.xp, self.p
        is_new = is_crystal.copy()
        if p.merge_tolerance > 0:
            for known in self.known:
                is_new &= ~equal_lattices(cells, known[frames], p.merge_tolerance, xp)
        known = xp.broadcast_to(1e-3 * xp.eye(3), (self.n_frames, 3, 3)).copy()
        known[frames[is_new]] = cells[is_new]
        self.known.append(known)
        self.rows.append(
            CellTable(
                frame=frames,
                cells=cells,
                input_cell=source,
                scores=level,
                log10_chance=level,
                log10_false=false,
                is_crystal=is_new,
            )
        )
        return is_new

    def found(self) -> CellTable:
        """All recorded cells in one table."""
        return CellTable.joined([CellTable.empty(xp=self.xp), *self.rows], self.xp)


def _at_lowest(levels: XpArray, others: tuple[XpArray, ...], xp: ModuleType) -> Iterator[XpArray]:
    """Values (F, Q) of arrays (F, Q, T) at the radius with the lowest level."""
    best = xp.argmin(levels, axis=-1)[..., None]
    return (xp.take_along_axis(array, best, axis=-1)[..., 0] for array in others)


def final_scores(backend: Backend, spots: SpotBatch, found: CellTable, p: Parameters) -> XpArray:
    """Scores of cells in the measure of `p.method`, on all spots of their frames and without another fit.

    Returns
    -------
    (n,) float64
        Score of each cell of `found`; lower is better.
    """
    xp = backend.xp
    if len(found.frame) == 0:
        return found.scores
    some = spots.take(found.frame)
    if p.method == "raw":
        return _raw_scores(backend, some, found.cells, p)
    zero = xp.zeros((len(found.frame), 1))
    # dataclasses.replace skips the checks of `p.replace`, which take a tenth of the time of a single frame.
    as_they_are = replace(p, n_iter=0)
    return backend.refine_cells(some, found.cells[:, None], zero, as_they_are)[1][:, 0]


def _raw_scores(backend: Backend, spots: SpotBatch, cells: XpArray, p: Parameters) -> XpArray:
    """The published score gmean - count - 1 (F,) of one cell a frame, over the sampled spots."""
    xp = backend.xp
    distance = backend.distances(spots, cells[:, None], fractional=True)[0].astype(xp.float64)
    rank = xp.arange(len(distance)) - spots.offsets[:-1][spots.frame_of_spot]
    sampled = rank < p.max_spots
    factor = xp.where(sampled, xp.log(xp.clip(distance, p.triml, p.trimh) + p.delta), 0.0)
    mean = spots.sum_per_frame(factor) / xp.maximum(spots.sum_per_frame(sampled), 1)
    return xp.exp(mean) - p.delta - spots.sum_per_frame(sampled & (distance < p.distance3)) - 1
