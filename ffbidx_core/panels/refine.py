"""The rounds of index, fit, index, which are repeated until nothing improves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.cell import Array
from ..model.chance.evidence import Evidence
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree
from .fit import PanelFit, fit_panels
from .gate import FEWEST_CRYSTALS, Gain, held_out_gain
from .gather import Gathered
from .levels import DETECTOR, PANEL, tree_of
from .peaks import IndexedPeaks
from .trials import FEW, PanelTrials

MOST_ROUNDS = 6
STILL = 0.1
"""Motion in pixels, seen from the sample, below which a round that indexes no more frames is the last one."""
MOST_LOST = 0.1
"""Largest share of the peaks near predictions that a fit may reject."""
FEW_PEAKS = 20.0
"""Number of peaks of a panel below which it is reported to follow its group."""
FEW_CRYSTALS = "only {} frames have a crystal, and {} are needed"
NOT_BETTER = (
    "crystals that were not fitted agree no better with moved panels: their residuals change by {:+.3f} ± {:.3f} px"
)
NOR_WHOLE = "{}, nor with the detector moved as a whole: {:+.3f} ± {:.3f} px"
LOSES = "the fit rejects {:.0%} of the peaks near predictions, more than {:.0%}: the crystals are not to be trusted"
MORE = 3.0
"""Increase of indexed frames, in standard errors, that is then required."""
INDEXES_LESS = "frames are indexed no better with moved panels"


@dataclass
class Refinement:
    """The result of the rounds of index, fit, index.

    Attributes
    ----------
    before : PlacedPanels
        The panels at the positions in the geometry.
    tree : PanelTree
        The tree of panels and groups.
    start : (n, 6) float64
        Motions of the nodes of the tree from which the first fit starts, given by the beam shift.
    fit : PanelFit or None
        The last fit that was accepted; None: panels stay.
    gain : Gain or None
        The gain of the moved panels for crystals that were not fitted.
    rounds : int
        Number of rounds that moved panels.
    peaks : IndexedPeaks
        The frames with the crystals of the last round.
    first, last : Evidence or None
        Evidence of the frames with the panels before and after; None if nothing was indexed.
    first_peaks : IndexedPeaks
        The frames with the crystals that were found with the given panels.
    why : str
        Reason why nothing more was moved.
    level : str
        The smallest parts of the detector that move by themselves.
    agree : bool
        Whether the panels were found to agree with each other, so that only the detector as a whole was moved.
    """

    before: PlacedPanels
    tree: PanelTree
    peaks: IndexedPeaks
    first_peaks: IndexedPeaks
    start: Array
    fit: PanelFit | None = None
    gain: Gain | None = None
    rounds: int = 0
    first: Evidence | None = None
    last: Evidence | None = None
    why: str = ""
    level: str = PANEL
    agree: bool = False

    @property
    def at_first(self) -> PlacedPanels:
        """The panels from which the first fit starts."""
        return self.before.moved(self.tree.of_panels(self.start))

    @property
    def moves_whole(self) -> bool:
        """Whether the detector moves as a whole only, as was asked for."""
        return self.level != PANEL and self.tree.n_nodes == 1

    @property
    def panels(self) -> PlacedPanels:
        """The panels at their final positions."""
        return self.before if self.fit is None else self.fit.panels


def refine(
    gathered: Gathered,
    trials: PanelTrials | None,
    *,
    level: str = PANEL,
    as_whole: bool = True,
) -> Refinement:
    """Move panels by the residuals if crystals that were not fitted agree better and frames are indexed better.

    If panels agree with each other within their errors, the detector is moved as a whole by the same rule.

    Parameters
    ----------
    gathered
        The frames; their crystals, if there are any, are used in the first round.
    trials
        Trials that index the frames; None: there is one round, with the existing crystals.
    level
        The smallest parts of the detector that move by themselves, see `ffbidx_core.panels.levels.tree_of`.
    as_whole
        Whether the detector may be moved as a whole if its panels agree with each other, at the level of panels.

    Raises
    ------
    UsageError
        If the detector has no such level.
    """
    refined = _at_level(gathered, trials, level)
    gain = refined.gain
    if not as_whole or level != PANEL or refined.fit is not None or gain is None or gain.is_sure:
        return refined
    whole = _at_level(gathered, trials, DETECTOR, refined)
    if whole.fit is not None:
        whole.agree = True
        return whole
    if whole.gain is not None:
        refined.why = NOR_WHOLE.format(refined.why, -whole.gain.mean, whole.gain.error)
    return refined


def _at_level(
    gathered: Gathered, trials: PanelTrials | None, level: str, known: Refinement | None = None
) -> Refinement:
    """Refine at one level; `known` is a refinement at another level, whose crystals are used if it moved no beam."""
    before, peaks = gathered.panels, gathered.peaks
    tree = tree_of(gathered.geometry, before, level)
    refined = Refinement(before, tree, peaks, peaks, np.zeros((tree.n_nodes, 6)), level=level)
    if trials is not None and peaks.n_frames:
        if not refined.moves_whole:
            shift = trials.settle_beam(peaks, before)
            refined.start[0, :2] = -shift.radian * before.centre[:, 2].mean() / before.pixel
        if known is not None and known.first is not None and not known.start.any():
            refined.peaks, refined.first = known.first_peaks, known.first
        else:
            refined.peaks, refined.first = trials.to_teach(peaks, refined.at_first)
        refined.first_peaks, refined.last = refined.peaks, refined.first
    for _ in range(MOST_ROUNDS if trials is not None else 1):
        if not _one_round(refined, trials):
            break
    if refined.rounds > 1:
        # The first fit used fewer crystals.
        refined.gain = held_out_gain(refined.peaks, before, tree, refined.start, whole=not refined.moves_whole)
    return refined


def _one_round(refined: Refinement, trials: PanelTrials | None) -> bool:
    """Make one round; returns whether a further round may improve the result."""
    here, peaks = refined.at_first if refined.fit is None else refined.panels, refined.peaks
    if (n := int(peaks.indexed.sum())) < FEWEST_CRYSTALS:
        refined.why = FEW_CRYSTALS.format(n, FEWEST_CRYSTALS)
        return False
    start = refined.start if refined.fit is None else refined.fit.nodes
    if refined.fit is None:
        # Later fits use more crystals, or crystals that are found with better panels.
        gain = refined.gain = held_out_gain(
            peaks, refined.before, refined.tree, refined.start, whole=not refined.moves_whole
        )
        refined.why = NOT_BETTER.format(-gain.mean, gain.error)
        speak = refined.last is not None and int(refined.last.indexed.sum()) < FEW and gain.mean > 0
        if not gain.is_sure and not speak:
            return False
    fit = fit_panels(peaks, refined.before, refined.tree, start=start)
    if fit.lost > MOST_LOST:
        refined.why = LOSES.format(fit.lost, MOST_LOST)
        return False
    if trials is None:
        refined.fit, refined.rounds, refined.why = fit, 1, ""
        refined.peaks = peaks.with_crystals(fit.cells, peaks.crystal_offsets, peaks.input_cell, peaks.references)
        return False
    found, evidence = trials.to_teach(peaks, fit.panels)
    assert refined.last is not None
    is_first = refined.fit is None
    if is_first and not (refined.gain and refined.gain.is_sure) and not _many_more(refined.last, evidence):
        return False
    if (is_first and evidence.evidence.sum() <= refined.last.evidence.sum()) or refined.last.is_better_than(evidence):
        refined.why = INDEXES_LESS
        return False
    moved = here.shifts_seen(fit.panels)[fit.counts >= FEW_PEAKS]
    more = int(evidence.indexed.sum()) > int(refined.last.indexed.sum())
    refined.fit, refined.peaks, refined.last = fit, found, evidence
    refined.rounds, refined.why = refined.rounds + 1, ""
    return more or (moved.size > 0 and float(np.abs(moved).max()) > STILL)


def _many_more(before: Evidence, after: Evidence) -> bool:
    """Whether clearly more frames are indexed; frames without a crystal were not fitted."""
    gained, lost = (int((a.indexed & ~b.indexed).sum()) for a, b in ((after, before), (before, after)))
    return bool(gained - lost > MORE * np.sqrt(gained + lost))
