"""The verbs of a backend that judge cells: how well chance explains them, and whether they are crystals."""

from __future__ import annotations

from typing import Protocol

from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.xp import XpArray
from ..parameters import Parameters
from .cells import BestCells, CheckedCells, Coverage, Judgement, Limits, OrientedCells


class Judging(Protocol):
    """Verbs that judge cells and prepare what follows; a zero cell is an empty slot in all of them."""

    def judge_cells(
        self, spots: SpotBatch, cells: XpArray, input_cell: XpArray, plan: SearchPlan, p: Parameters
    ) -> Judgement:
        """Choose the cell of each frame with the lowest expected number of false crystals.

        For a cell of input cell m the number of spots closer than each of `plan.radii[m]` to their predicted spots is
        counted, and gives log10 chance levels (`model.chance.level.log10_tail`). A cell's expected number of false
        crystals is that of the count and the radius with the lowest level among those with at least p.min_new_spots
        spots (`generic.expected_false`). Ties go to the smaller radius and the earlier slot.

        Parameters
        ----------
        cells : (F, Q, 3, 3)
            Oriented cells, rows a, b, c, angstrom.
        input_cell : (F, Q) int32
            Number of the input cell of each.
        """

    def best_cells(
        self, spots: SpotBatch, pool: OrientedCells, limit: float, plan: SearchPlan, p: Parameters
    ) -> tuple[BestCells, OrientedCells]:
        """The cells that `judge_cells` chooses, where their `lowest_false` is at most a limit, and the other cells.

        The cells of the pool may be overwritten.

        Returns
        -------
        best : BestCells
            The chosen cells.
        left : OrientedCells
            The pool with zero cells in place of those, and of all cells of frames whose best cell does not pass.
        """

    def lowest_false(
        self, spots: SpotBatch, cells: XpArray, input_cell: XpArray, plan: SearchPlan, p: Parameters
    ) -> XpArray:
        """The lowest expected number of false crystals over all radii, for one cell a frame.

        The distance of each of the cell's spots serves as a radius, up to the largest of `plan.radii`. Of more than
        `generic.judge.MOST_RADII` spots, that many are used, evenly spread and with the farthest spot among them.

        Parameters
        ----------
        cells : (F, 3, 3)
            Oriented cells, rows a, b, c, angstrom.
        input_cell : (F,) int32
            Number of the input cell of each.

        Returns
        -------
        (F,) float64
            log10 of the numbers; +inf for a cell with fewer spots than a crystal must have.
        """

    def drifted(self, cells: XpArray, input_cells: XpArray, limit: tuple[float, float]) -> XpArray:
        """Whether cells (n, 3, 3) have drifted from their input cells, (n,) bool; see `model.orientation.drifted`."""

    def better_cells(
        self, best: BestCells, refined: XpArray, again: Judgement, limits: Limits
    ) -> tuple[XpArray, XpArray]:
        """The cells (F, 3, 3) from which the last fit starts, and the radii (F,) at which their levels are lowest.

        They are the refined cells (F, 3, 3) where their level, in the judgement `again`, is below that of the best
        cells and they have not drifted from their input cells, and elsewhere the best cells.
        """

    def flat_frames(self, spots: SpotBatch) -> XpArray:
        """Whether the Ewald sphere on which the farthest spot of each frame lies is nearly flat, (F,) bool.

        The wavelength of a sphere through the origin and a spot s is 2 |s_z| / |s|^2; see `FLATTEST_WAVELENGTH`.
        """

    def check_cells(
        self,
        best: BestCells,
        fitted: XpArray,
        false: XpArray,
        radius: XpArray,
        cutoff: XpArray,
        known: XpArray,
        limits: Limits,
    ) -> CheckedCells:
        """Check which of the best cells are crystals after their refinement.

        A cell is lost if its expected number of false crystals exceeds `limits.lost`. It is off if it has drifted from
        its input cell among `limits.given` by more than `limits.drift`. It is new unless it equals one of the earlier
        crystals within `limits.merge`, where 0 means that all are new.

        Parameters
        ----------
        fitted : (F, 3, 3)
            The cells after the refinement, rows a, b, c, angstrom.
        false : (F,)
            Their `lowest_false`.
        radius, cutoff : (F,)
            Radius at which the chance level of each is lowest, and the cut-off of its fit, 1/angstrom.
        known : (F, K, 3, 3)
            Earlier crystals of each frame, or cells that equal none.
        """

    def accept_by_count(
        self, spots: SpotBatch, cells: XpArray, scores: XpArray, threshold: float, min_spots: int, *, fractional: bool
    ) -> XpArray:
        """Accept the cells that index at least `min_spots` spots which no better crystal indexes.

        Parameters
        ----------
        cells : (F, Q, 3, 3)
            Oriented cells, rows a, b, c, angstrom.
        scores : (F, Q)
            Scores of the cells, lower is better; nan and infinite scores come last, ties go to the earlier slot.
        threshold
            Distance below which a spot is indexed: in 1/angstrom, or with `fractional` in fractional indices.
        min_spots
            Smallest number of spots that a cell must add to those of better crystals.

        Returns
        -------
        (F, Q) bool
            Whether each cell is a crystal.
        """

    def without_spots(self, spots: SpotBatch, cells: XpArray, cutoff: XpArray) -> SpotBatch:
        """The batch without the spots closer than `cutoff` (F,), 1/angstrom, to those of one cell a frame (F, 3, 3)."""

    def in_canonical_setting(self, cells: XpArray, input_cell: XpArray, plan: SearchPlan) -> XpArray:
        """The canonical settings (n, 3, 3) of cells (n, 3, 3); see `model.orientation.canonical_setting`.

        Parameters
        ----------
        input_cell : (n,) int32
            Number of the input cell of each; cells of other numbers stay as they are.
        """

    def coverage(self, spots: SpotBatch, cells: XpArray, threshold: float, *, fractional: bool) -> Coverage:
        """The spots that cells (F, Q, 3, 3) index, which are those closer to their predicted spots than a threshold.

        The threshold is in 1/angstrom, or with `fractional` in fractional indices. The resolution is 1 / |s| of the
        outermost indexed spot after `model.fits.LEFT_OUT` has left some out, so that a stray spot that is indexed by
        chance does not change it.
        """
