"""The metric of a cell from many frames, with the beam where they say that it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..devices import Devices
from ..learn import Lesson, learn
from ..learn.beam import settle_beam
from ..learn.scan import scan_beam
from ..model.cell import Array
from ..model.detector.beam_shift import BeamShift
from ..model.records.ragged import evenly
from .frames import Frames
from .verdict import Judge, Verdict

FRAMES = 100
"""Frames that a metric is found on at least, where there are so many."""
CRYSTALS = 40
"""More frames are taken where these are expected to have fewer crystals."""
ROUNDS, GAIN = 6, 1.01
"""The cell is learned again so often at most, as long as the evidence becomes more by this factor."""


@dataclass(frozen=True)
class Metric:
    """A cell with the frames that it was learned from.

    Attributes
    ----------
    verdict : Verdict
    judge : Judge
        With the beam where the frames say that it is.
    shift : BeamShift
        How far that is from where it was taken to be.
    """

    verdict: Verdict
    judge: Judge
    shift: BeamShift


def settled_metric(devices: Devices, frames: Frames, cell: Array, share: float) -> Metric:
    """The metric of a cell (3, 3), of which a share of the frames has a crystal."""
    n = int(np.clip(CRYSTALS / max(share, 1e-3), FRAMES, max(frames.n_frames, FRAMES)))
    chosen = evenly(np.arange(frames.n_frames), n)
    some, p = frames.take(chosen), Judge.EAGER

    def learn_at(shift: BeamShift) -> list[tuple[None, Lesson]]:
        moved = some.moved(shift)
        return [(None, learn(devices, moved.spots, moved.offsets, cell[None], p))]

    def scan(about: BeamShift) -> BeamShift | None:
        moved = some.moved(about)
        far = scan_beam(devices, moved.spots, moved.offsets, cell[None], p)
        return None if far is None else about + BeamShift.from_radian(far)

    learned, shift, _ = settle_beam(learn_at, scan, p)
    judge = Judge(devices, frames.moved(shift), eager=True)
    verdict = judge(learned[0][1].cells[0], chosen)
    for _ in range(ROUNDS):
        again = judge(verdict.cell, chosen)
        if again.evidence <= GAIN * verdict.evidence:
            break
        verdict = again
    return Metric(verdict, judge, shift)
