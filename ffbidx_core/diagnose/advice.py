"""Options that a diagnosis advises, in the form in which they are typed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.detector.beam import beam_on_panel
from ..model.detector.beam_shift import BeamShift
from ..read.geometry.choose import CENTRE_OPTION, shift_option
from .experiment import ExperimentFinding
from .sample import Sample
from .trial import Trial


@dataclass(frozen=True)
class Pixels:
    """A beam shift on the first panel: the position of the beam, its offset from the assumed position, and its error.

    Each of these is (fs, ss) in pixels.
    """

    centre: tuple[float, float]
    shift: tuple[float, float]
    error: tuple[float, float]


@dataclass(frozen=True)
class Advice:
    """A change that was tested and helped.

    Attributes
    ----------
    option : str
        The option that makes the change, in the form in which it is typed.
    before, after : Trial
        The sample indexed again without and with the change.
    """

    option: str
    before: Trial
    after: Trial


def pixels_of(sample: Sample, experiment: ExperimentFinding) -> Pixels | None:
    """The shift of the beam in pixels of the first panel; None without a geometry."""
    distance = sample.distance[np.isfinite(sample.distance)]
    if sample.geometry is None or len(distance) == 0:
        return None
    detector = sample.geometry.detector
    panel, mm = detector.panels[0], float(np.median(distance)) + detector.mean_offset
    was, is_now = beam_on_panel(detector), beam_on_panel(detector, experiment.shift * mm)
    errors = np.array([experiment.shift_x.error, experiment.shift_y.error]) * mm
    fs, ss = (
        float(np.hypot(*(errors * axis[:2])) / np.dot(axis, axis)) for axis in map(np.array, (panel.fast, panel.slow))
    )
    return Pixels(is_now, (is_now[0] - was[0], is_now[1] - was[1]), (fs, ss))


def moving_option(sample: Sample, experiment: ExperimentFinding, shifted: BeamShift) -> str:
    """The option that moves the beam to the position found; `shifted` is the shift with which the spots were read."""
    pixels = pixels_of(sample, experiment)
    if pixels is None:
        return shift_option(BeamShift.from_radian(experiment.shift) + shifted)
    return CENTRE_OPTION.format(*pixels.centre)
