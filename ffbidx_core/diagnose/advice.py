"""Options that a diagnosis advises, in the form in which they are typed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.detector.beam import beam_on_panel
from ..model.detector.beam_shift import BeamShift
from ..model.records.run import RunRecord
from ..read.geometry.choose import CENTRE_OPTION, shift_option
from .experiment import ExperimentFinding
from .sample import Sample
from .trial import Trial

MOST_INPUTS = 20
"""Number of inputs of a run in which its unit cell is searched for."""
MORE_FRAMES = 4
"""Number of times as many frames as a run with `--cell auto` searched that a further search must read."""
GEOMETRY_OPTIONS = ("geometry", "half-pixel-shift", "beam-centre", "beam-shift", "distance", "wavelength")
"""Options that `ffbidx index` and `ffbidx cell` have in common."""


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


def search_command(record: RunRecord, n_frames: int) -> str:
    """The command that searches for another unit cell in the inputs of a run; empty if no such search is left.

    A run with `--cell auto` made this search itself, so that only one on more frames differs from it.

    Parameters
    ----------
    record
        Record of the run.
    n_frames
        Number of frames of the run that have enough spots to be searched.
    """
    config = dict(record.config) | ({"inputs": typed} if (typed := inputs_to_type(record)) else {})
    if not config.get("inputs"):
        return ""
    if not record.cell_search:
        return cell_command(config)
    more = MORE_FRAMES * frames_searched(record)
    return f"{cell_command(config)} --frames {more}" if n_frames >= more else ""


def inputs_to_type(record: RunRecord) -> list[str]:
    """The folders of the spots of a live run, whose options name no inputs; empty for other runs."""
    if not record.config or record.config.get("inputs"):
        return []
    return list(dict.fromkeys(os.path.dirname(known.path) for known in record.inputs if os.path.lexists(known.path)))


def frames_searched(record: RunRecord) -> int:
    """The number of frames on which a run searched for its unit cell itself; 0 if its cells were given."""
    return int(record.cell_search.get("frames", 0))


def cell_command(config: Mapping[str, Any]) -> str:
    """The command that searches for the unit cell in the inputs of a run.

    Parameters
    ----------
    config
        Options of the run, keyed by their names without leading dashes; inputs are under `inputs`.
    """
    inputs = [str(each) for each in config.get("inputs", [])[:MOST_INPUTS]]
    options = (word for name in GEOMETRY_OPTIONS for word in as_typed(name, config.get(name)))
    return shlex.join(["ffbidx", "cell", *inputs, *options])


def as_typed(name: str, value: Any) -> Iterator[str]:
    """Yield the words of an option as it is typed; none if the value is None.

    Parameters
    ----------
    name
        Name of the option without leading dashes.
    value
        Its value. A list of numbers is one value of the option, a list of texts has a value for each option.
    """
    if value is None:
        return
    if isinstance(value, bool):
        yield f"--{name}" if value else f"--no-{name}"
        return
    several = value if isinstance(value, list) else [value]
    if several and all(isinstance(each, float | int) for each in several):
        yield from (f"--{name}", *map(str, several))
    else:
        yield from (word for each in several for word in (f"--{name}", str(each)))
