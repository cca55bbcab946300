"""Indexing a sample of frames with the detector panels at other positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import Lesson, learn, learned_plan
from ..learn.beam import settle_beam
from ..learn.scan import scan_beam
from ..model.basis import as_primitive
from ..model.chance.evidence import Evidence
from ..model.detector.beam_shift import BeamShift
from ..model.detector.placed import PlacedPanels
from ..model.records.ragged import evenly, offsets_of, rows_of
from ..parameters import Parameters
from ..read.sift import ResolutionLimits
from .peaks import IndexedPeaks

FEW = 30
"""Number of frames with crystals below which less sure crystals are used, and frames without a crystal may decide."""
ENOUGH = 0.4
"""Share of frames with a crystal above which the fit uses only sure crystals."""
LOOSEST = 0.1
"""Largest expected number of false crystals on a frame for a crystal that is used if few are sure."""


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
