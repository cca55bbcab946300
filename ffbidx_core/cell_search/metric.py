"""The metric of a cell from many frames, with the beam at the position that they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..devices import Devices
from ..learn import Lesson, learn
from ..learn.beam import settle_beam
from ..learn.scan import scan_beam
from ..model.basis import PrimitiveCells, as_primitive
from ..model.detector.beam_shift import BeamShift
from ..model.records.ragged import evenly
from .frames import Frames
from .verdict import Judge, Verdict

FRAMES = 100
"""Smallest number of frames from which a metric is determined, if there are so many."""
CRYSTALS = 40
"""Expected number of crystals below which more frames are taken."""
ROUNDS, GAIN = 6, 1.01
"""Largest number of rounds of learning, and factor by which the evidence must grow in a round."""


@dataclass(frozen=True)
class Metric:
    """A cell with the frames from which it was learned.

    Attributes
    ----------
    verdict : Verdict
        The verdict on the learned cell.
    judge : Judge
        The judge on the frames with the beam at the position that they show.
    shift : BeamShift
        Offset of this position from the assumed one.
    """

    verdict: Verdict
    judge: Judge
    shift: BeamShift


def settled_metric(devices: Devices, frames: Frames, cell: PrimitiveCells, share: float) -> Metric:
    """The metric of a cell (3, 3), with a crystal on the share `share` of the frames."""
    n = int(np.clip(CRYSTALS / max(share, 1e-3), FRAMES, max(frames.n_frames, FRAMES)))
    chosen = evenly(np.arange(frames.n_frames), n)
    some, p, cells = frames.take(chosen), Judge.EAGER, as_primitive(cell[None])

    def learn_at(shift: BeamShift) -> list[tuple[None, Lesson]]:
        moved = some.moved(shift)
        return [(None, learn(devices, moved.spots, moved.offsets, cells, p))]

    def scan(about: BeamShift) -> BeamShift | None:
        moved = some.moved(about)
        far = scan_beam(devices, moved.spots, moved.offsets, cells, p)
        return None if far is None else about + BeamShift.from_radian(far)

    learned, shift, _ = settle_beam(learn_at, scan, p)
    judge = Judge(devices, frames.moved(shift), eager=True)
    verdict = judge(as_primitive(learned[0][1].cells[0]), chosen)
    for _ in range(ROUNDS):
        again = judge(verdict.cell, chosen)
        if again.evidence <= GAIN * verdict.evidence:
            break
        verdict = again
    return Metric(verdict, judge, shift)
