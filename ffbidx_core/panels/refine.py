"""Rounds of index, fit, index, until nothing gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..devices import Devices
from ..learn import learned_plan
from ..model.chance.evidence import Evidence
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree, groups_by_nearness
from ..model.records.ragged import evenly, offsets_of, rows_of
from ..parameters import Parameters
from ..read.sift import ResolutionLimits
from .fit import PanelFit, fit_panels
from .gate import FEWEST_CRYSTALS, Gain, held_out_gain
from .gather import Gathered
from .peaks import IndexedPeaks

MOST_ROUNDS = 6
STILL = 0.1
"""Pixels: a round that moves no panel with peaks by more, seen from the sample, and indexes no more is the last one."""
MOST_LOST = 0.1
"""Share of the peaks near predictions that a fit may give up."""
FEW_PEAKS = 20.0
"""Peaks of a panel below which it is said to follow its group."""
FEW_CRYSTALS = "only {} frames have a crystal, and {} are needed"
NOT_BETTER = (
    "crystals that were not fitted agree no better with moved panels: their residuals change by {:+.3f} ± {:.3f} px"
)
LOSES = "the fit gives up {:.0%} of the peaks near predictions, more than {:.0%}: the crystals are not to be trusted"
FEW = 30
"""Frames with crystals below which frames that had none may speak for moved panels, where the gate is not sure."""
MORE = 3.0
"""Standard errors by which more frames must be indexed then."""
INDEXES_LESS = "frames are indexed no better with moved panels"


@dataclass
class Refinement:
    """What rounds of index, fit, index made of panels.

    Attributes
    ----------
    before : PlacedPanels
        Where the geometry has them.
    tree : PanelTree
    fit : PanelFit or None
        The last fit that was accepted; None: panels stay.
    gain : Gain or None
        What moved panels are to crystals that were not fitted.
    rounds : int
        Rounds that moved panels.
    peaks : IndexedPeaks
        The frames with the crystals that were found last.
    first, last : Evidence or None
        How the frames are indexed with the panels before and after; None where nothing was indexed.
    first_peaks : IndexedPeaks
        The frames with the crystals that were found with the panels as given.
    why : str
        Why nothing more was moved.
    """

    before: PlacedPanels
    tree: PanelTree
    peaks: IndexedPeaks
    first_peaks: IndexedPeaks
    fit: PanelFit | None = None
    gain: Gain | None = None
    rounds: int = 0
    first: Evidence | None = None
    last: Evidence | None = None
    why: str = ""

    @property
    def panels(self) -> PlacedPanels:
        """Where the panels are."""
        return self.before if self.fit is None else self.fit.panels


class PanelTrials:
    """Indexes frames with panels at other places, as a run does it.

    Parameters
    ----------
    devices
        Where to compute.
    p
        Parameters of the run.
    limits
        Resolution limits of the run.
    """

    def __init__(self, devices: Devices, p: Parameters, limits: ResolutionLimits) -> None:
        self._devices, self._p, self._limits = devices, p.replace(retry=False), limits

    def index(self, peaks: IndexedPeaks, panels: PlacedPanels) -> tuple[IndexedPeaks, Evidence]:
        """The frames with the crystals that are found with panels at a place, and how well they are indexed."""
        xyz = peaks.spots(panels)
        inside = self._limits.within((xyz**2).sum(axis=1))
        spots = xyz[inside].astype(np.float32)
        offsets = offsets_of(inside)[peaks.offsets]
        first = evenly(np.arange(peaks.n_frames), self._p.learn_cell)
        rows, some = rows_of(offsets, first)
        plan = learned_plan(self._devices, spots[rows], some, peaks.references, self._p)
        result = self._devices.index_frames(spots, offsets, plan, self._p, given_cells=peaks.references)
        chosen = result.crystals
        found = peaks.with_crystals(
            result.cells[chosen].astype(np.float64),
            result.crystal_offsets.astype(np.int64),
            result.input_cell[chosen].astype(np.int64),
            peaks.references,
        )
        return found, Evidence.of(result, self._p.accept)


def refine(gathered: Gathered, trials: PanelTrials | None, *, rounds: int = MOST_ROUNDS) -> Refinement:
    """Move panels as the residuals say, where crystals that were not fitted agree better and frames are indexed better.

    Parameters
    ----------
    gathered
        Frames; their crystals serve in the first round where there are any.
    trials
        Indexes the frames; None: there is one round, with the crystals that are there.
    rounds
        Most rounds.
    """
    before, peaks = gathered.panels, gathered.peaks
    tree = PanelTree.of(before, gathered.geometry.groups or groups_by_nearness(before))
    found, evidence = (peaks, None) if trials is None else trials.index(peaks, before)
    refined = Refinement(before, tree, found, found, first=evidence, last=evidence)
    for _ in range(rounds if trials is not None else 1):
        if not _one_round(refined, trials):
            break
    if refined.rounds > 1:
        # The first fit was of fewer crystals.
        refined.gain = held_out_gain(refined.peaks, before, tree)
    return refined


def _one_round(refined: Refinement, trials: PanelTrials | None) -> bool:
    """One round; returns whether a further one may gain."""
    here, peaks = refined.panels, refined.peaks
    if (n := int(peaks.indexed.sum())) < FEWEST_CRYSTALS:
        refined.why = FEW_CRYSTALS.format(n, FEWEST_CRYSTALS)
        return False
    start = None if refined.fit is None else refined.fit.nodes
    if refined.fit is None:
        # Later fits are of more crystals, or of those that are found with better panels.
        gain = refined.gain = held_out_gain(peaks, refined.before, refined.tree)
        refined.why = NOT_BETTER.format(-gain.mean, gain.error)
        if not gain.is_sure and not (trials is not None and n < FEW and gain.mean > 0):
            return False
    fit = fit_panels(peaks, refined.before, refined.tree, start=start)
    if fit.lost > MOST_LOST:
        refined.why = LOSES.format(fit.lost, MOST_LOST)
        return False
    if trials is None:
        refined.fit, refined.rounds, refined.why = fit, 1, ""
        refined.peaks = peaks.with_crystals(fit.cells, peaks.crystal_offsets, peaks.input_cell, peaks.references)
        return False
    found, evidence = trials.index(peaks, fit.panels)
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
    """Whether clearly more frames are indexed: those that had no crystal were not fitted."""
    gained, lost = (int((a.indexed & ~b.indexed).sum()) for a, b in ((after, before), (before, after)))
    return bool(gained - lost > MORE * np.sqrt(gained + lost))
