"""Rounds of index, fit, index, until nothing gains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import Lesson, learn, learned_plan
from ..learn.beam import settle_beam
from ..learn.scan import scan_beam
from ..model.cell import Array
from ..model.chance.evidence import Evidence
from ..model.detector.beam_shift import BeamShift
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
ENOUGH = 0.4
"""Share of the frames with a crystal above which sure crystals alone teach."""
LOOSEST = 0.1
"""Most false crystals expected on a frame for one that teaches where few are sure."""
INDEXES_LESS = "frames are indexed no better with moved panels"


@dataclass
class Refinement:
    """What rounds of index, fit, index made of panels.

    Attributes
    ----------
    before : PlacedPanels
        Where the geometry has them.
    tree : PanelTree
    start : (n, 6) float64
        Motions of the tree's nodes that the first fit starts from: the beam's shift.
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
    start: Array
    fit: PanelFit | None = None
    gain: Gain | None = None
    rounds: int = 0
    first: Evidence | None = None
    last: Evidence | None = None
    why: str = ""

    @property
    def at_first(self) -> PlacedPanels:
        """The panels as the first fit starts from them."""
        return self.before.moved(self.tree.of_panels(self.start))

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

    def index(
        self, peaks: IndexedPeaks, panels: PlacedPanels, max_false_rate: float | None = None
    ) -> tuple[IndexedPeaks, Evidence]:
        """The frames with the crystals that are found with panels at a place, and how well they are indexed.

        Parameters
        ----------
        max_false_rate
            Most false crystals expected on a frame for one that is accepted; None: that of the run.
        """
        p = self._p if max_false_rate is None else self._p.replace(max_false_rate=max_false_rate)
        spots, offsets = self._spots(peaks, panels)
        rows, some = self._first(offsets)
        plan = learned_plan(self._devices, spots[rows], some, peaks.references, p)
        result = self._devices.index_frames(spots, offsets, plan, p, given_cells=peaks.references)
        chosen = result.crystals
        found = peaks.with_crystals(
            result.cells[chosen].astype(np.float64),
            result.crystal_offsets.astype(np.int64),
            result.input_cell[chosen].astype(np.int64),
            peaks.references,
        )
        return found, Evidence.of(result, p.accept)

    def to_teach(self, peaks: IndexedPeaks, panels: PlacedPanels) -> tuple[IndexedPeaks, Evidence]:
        """The frames with crystals to fit panels by, and how well they are indexed as the run does it.

        Where few are indexed, less sure crystals teach too: most are right, and false ones agree on no place.
        """
        found, evidence = self.index(peaks, panels)
        for rate in (self._p.learn_max_false_rate, LOOSEST):
            if found.indexed.sum() >= FEW or found.indexed.mean() > ENOUGH or self._p.accept != "chance":
                break
            if rate > self._p.max_false_rate:
                found, _ = self.index(peaks, panels, rate)
        return found, evidence

    def settle_beam(self, peaks: IndexedPeaks, panels: PlacedPanels) -> BeamShift:
        """By how much the beam is off, as a run finds it on its first frames; no shift where it is not sure."""
        distance = float(panels.centre[:, 2].mean())

        def spots(shift: BeamShift) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            moved = replace(panels, corner=panels.corner - np.append(shift.radian * distance, 0))
            xyz, offsets = self._spots(peaks, moved)
            rows, some = self._first(offsets)
            return xyz[rows], some

        def learned(shift: BeamShift) -> list[tuple[None, Lesson]]:
            return [(None, learn(self._devices, *spots(shift), peaks.references, self._p))]

        def scan(about: BeamShift) -> BeamShift | None:
            far = scan_beam(self._devices, *spots(about), peaks.references, self._p)
            return None if far is None else about + BeamShift.from_radian(far)

        return settle_beam(learned, scan, self._p)[1]

    def _spots(self, peaks: IndexedPeaks, panels: PlacedPanels) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Spots within the run's resolution limits, and their offsets by frames."""
        xyz = peaks.spots(panels)
        inside = self._limits.within((xyz**2).sum(axis=1))
        return xyz[inside].astype(np.float32), offsets_of(inside)[peaks.offsets]

    def _first(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and offsets of the frames that a run learns its cells from, spread evenly."""
        rows, some = rows_of(offsets, evenly(np.arange(len(offsets) - 1), self._p.learn_cell))
        return rows, some


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
    start, found, evidence = np.zeros((tree.n_nodes, 6)), peaks, None
    if trials is not None and peaks.n_frames:
        shift = trials.settle_beam(peaks, before)
        start[0, :2] = -shift.radian * before.centre[:, 2].mean() / before.pixel
        found, evidence = trials.to_teach(peaks, before.moved(tree.of_panels(start)))
    refined = Refinement(before, tree, found, found, start, first=evidence, last=evidence)
    for _ in range(rounds if trials is not None else 1):
        if not _one_round(refined, trials):
            break
    if refined.rounds > 1:
        # The first fit was of fewer crystals.
        refined.gain = held_out_gain(refined.peaks, before, tree, start)
    return refined


def _one_round(refined: Refinement, trials: PanelTrials | None) -> bool:
    """One round; returns whether a further one may gain."""
    here, peaks = refined.at_first if refined.fit is None else refined.panels, refined.peaks
    if (n := int(peaks.indexed.sum())) < FEWEST_CRYSTALS:
        refined.why = FEW_CRYSTALS.format(n, FEWEST_CRYSTALS)
        return False
    start = refined.start if refined.fit is None else refined.fit.nodes
    if refined.fit is None:
        # Later fits are of more crystals, or of those that are found with better panels.
        gain = refined.gain = held_out_gain(peaks, refined.before, refined.tree, refined.start)
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
    """Whether clearly more frames are indexed: those that had no crystal were not fitted."""
    gained, lost = (int((a.indexed & ~b.indexed).sum()) for a, b in ((after, before), (before, after)))
    return bool(gained - lost > MORE * np.sqrt(gained + lost))
