"""The metric of a cell from many frames, with the beam and the detector where they show them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..devices import Devices
from ..learn import Lesson, learn
from ..learn.beam import settle_beam
from ..learn.scan import scan_beam
from ..model.basis import PrimitiveCells, as_primitive
from ..model.detector.beam_shift import BeamShift
from ..model.records.ragged import evenly
from .frames import Frames
from .stretch import stretch_of
from .verdict import Judge, Verdict

FRAMES = 100
"""Smallest number of frames from which a metric is determined, if there are so many."""
CRYSTALS = 40
"""Expected number of crystals below which more frames are taken."""
ROUNDS, GAIN = 6, 1.01
"""Largest number of rounds of learning, and factor by which the evidence must grow in a round."""
STRETCHES, SURE = 5, 4.0
"""Largest number of steps in which the stretch of the crystals is removed, and standard errors above which it is."""


@dataclass(frozen=True)
class Metric:
    """A cell with the frames from which it was learned.

    Attributes
    ----------
    verdict : Verdict
        The verdict on the learned cell.
    judge : Judge
        The judge on the frames with the detector where they show it.
    shift : BeamShift
        Offset of the beam from its assumed position.
    stretch : float
        Relative excess of the assumed detector distance over the true one, by the stretch of the crystals.
    """

    verdict: Verdict
    judge: Judge
    shift: BeamShift
    stretch: float


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
    metric = Metric(judge(as_primitive(learned[0][1].cells[0]), chosen), judge, shift, 0.0)
    return _grown(_unstretched(devices, frames, metric))


def _unstretched(devices: Devices, frames: Frames, metric: Metric) -> Metric:
    """The metric with the detector at the distance at which crystals are not stretched, if the evidence grows."""
    for _ in range(STRETCHES):
        verdict = metric.verdict
        more, error = stretch_of(verdict.cell, metric.judge.shapes(verdict.cell, verdict.frames))
        if abs(more) < SURE * error:
            break
        stretch = (1 + metric.stretch) * (1 + more) - 1
        judge = Judge(devices, frames.moved(metric.shift, stretch), eager=True)
        trial = judge(verdict.cell, verdict.frames)
        if trial.evidence <= verdict.evidence:
            break
        metric = Metric(trial, judge, metric.shift, stretch)
    return metric


def _grown(metric: Metric) -> Metric:
    """The metric after further rounds of learning, as long as the evidence grows."""
    for _ in range(ROUNDS):
        again = metric.judge(metric.verdict.cell, metric.verdict.frames)
        if again.evidence <= GAIN * metric.verdict.evidence:
            break
        metric = replace(metric, verdict=again)
    return metric
