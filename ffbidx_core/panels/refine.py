"""The rounds of index, fit, index, which are repeated until nothing improves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import Lesson, learn, learned_plan
from ..learn.beam import settle_beam
from ..learn.scan import scan_beam
from ..model.basis import as_primitive
from ..model.cell import Array
from ..model.chance.evidence import Evidence
from ..model.detector.beam_shift import BeamShift
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree
from ..model.records.ragged import evenly, offsets_of, rows_of
from ..parameters import Parameters
from ..read.sift import ResolutionLimits
from .fit import PanelFit, fit_panels
from .gate import FEWEST_CRYSTALS, Gain, held_out_gain
from .gather import Gathered
from .levels import PANEL, tree_of
from .peaks import IndexedPeaks

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
LOSES = "the fit rejects {:.0%} of the peaks near predictions, more than {:.0%}: the crystals are not to be trusted"
FEW = 30
"""Number of frames with crystals below which, if the gate is unsure, frames without a crystal decide."""
MORE = 3.0
"""Increase of indexed frames, in standard errors, that is then required."""
ENOUGH = 0.4
"""Share of frames with a crystal above which the fit uses only sure crystals."""
LOOSEST = 0.1
"""Largest expected number of false crystals on a frame for a crystal that is used if few are sure."""
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


class PanelTrials:
    """Indexes frames with panels at other positions, with the settings of a run.

    Parameters
    ----------
    devices
        The devices that compute.
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
        """Index the frames with panels at given positions; returns frames with crystals, and their evidence.

        Parameters
        ----------
        max_false_rate
            Largest expected number of false crystals on a frame for an accepted crystal; None: that of the run.
        """
        p = self._p if max_false_rate is None else self._p.replace(max_false_rate=max_false_rate)
        spots, offsets = self._spots(peaks, panels)
        rows, some = self._first(offsets)
        plan = learned_plan(self._devices, spots[rows], some, peaks.references, p)
        result = self._devices.index_frames(spots, offsets, plan, p, given_cells=peaks.references)
        chosen = result.crystals
        found = peaks.with_crystals(
            as_primitive(result.cells[chosen].astype(np.float64)),
            result.crystal_offsets.astype(np.int64),
            result.input_cell[chosen].astype(np.int64),
            peaks.references,
        )
        return found, Evidence.of(result, p.accept)

    def to_teach(self, peaks: IndexedPeaks, panels: PlacedPanels) -> tuple[IndexedPeaks, Evidence]:
        """The frames with crystals for the fit of panels, and their evidence with the settings of the run.

        If few are indexed, less sure crystals are used, too: most are right, and false ones agree on no position.
        """
        found, evidence = self.index(peaks, panels)
        for rate in (self._p.learn_max_false_rate, LOOSEST):
            if found.indexed.sum() >= FEW or found.indexed.mean() > ENOUGH or self._p.accept != "chance":
                break
            if rate > self._p.max_false_rate:
                found, _ = self.index(peaks, panels, rate)
        return found, evidence

    def settle_beam(self, peaks: IndexedPeaks, panels: PlacedPanels) -> BeamShift:
        """The offset of the beam, as a run finds it on its first frames; zero if it is not significant."""
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
        """The spots within the resolution limits of the run, and the offsets of the frames."""
        xyz = peaks.spots(panels)
        inside = self._limits.within((xyz**2).sum(axis=1))
        return xyz[inside].astype(np.float32), offsets_of(inside)[peaks.offsets]

    def _first(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows and offsets of evenly spread frames, from which a run learns its cells."""
        rows, some = rows_of(offsets, evenly(np.arange(len(offsets) - 1), self._p.learn_cell))
        return rows, some


def refine(
    gathered: Gathered, trials: PanelTrials | None, *, rounds: int = MOST_ROUNDS, level: str = PANEL
) -> Refinement:
    """Move panels by the residuals if crystals that were not fitted agree better and frames are indexed better.

    Parameters
    ----------
    gathered
        The frames; their crystals, if there are any, are used in the first round.
    trials
        Trials that index the frames; None: there is one round, with the existing crystals.
    rounds
        Largest number of rounds.
    level
        The smallest parts of the detector that move by themselves, see `ffbidx_core.panels.levels.tree_of`.

    Raises
    ------
    UsageError
        If the detector has no such level.
    """
    before, peaks = gathered.panels, gathered.peaks
    tree = tree_of(gathered.geometry, before, level)
    refined = Refinement(before, tree, peaks, peaks, np.zeros((tree.n_nodes, 6)), level=level)
    if trials is not None and peaks.n_frames:
        if not refined.moves_whole:
            shift = trials.settle_beam(peaks, before)
            refined.start[0, :2] = -shift.radian * before.centre[:, 2].mean() / before.pixel
        refined.peaks, refined.first = trials.to_teach(peaks, refined.at_first)
        refined.first_peaks, refined.last = refined.peaks, refined.first
    for _ in range(rounds if trials is not None else 1):
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
