"""The distortion of the detector that all crystals of the first frames of a run show, and its notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...devices import Devices
from ...learn.distortion import FittedDistortion, find_distortion
from ...learn.lesson import Lesson
from ...model.detector.beam_shift import BeamShift
from ...model.detector.distortion import NO_DISTORTION, Distortion
from ...model.detector.pixels import frames_of_moved_detector
from ...model.records.frame import FrameBlock
from ...model.records.run import Learned
from ...parameters import Parameters
from ...read.geometry.choose import first_geometry
from ...read.geometry.dials import is_experiments
from ..input_cells import InputCells
from ..job import Job

STRETCHED = "stretched by {:.3f} ± {:.3f} % at {:.0f}° from x and shrunk as much across"
TILTED = "tilted by {:.3f} ± {:.3f}°, away from the sample at {:.0f}° from x"
FOUND = "the crystals of the first frames show in common that the detector is {}"
CORRECTED = (
    FOUND + ": the run corrects this, since crystals then predict more spots that their fit has not seen; "
    "--no-learn-distortion leaves the detector as it is; displaced panels have the same effect, and "
    "`ffbidx geometry` refines them"
)
RIGID = FOUND + ": the panels of an experiment list are rigid and stay: `ffbidx geometry` refines them"


def moved_block(block: FrameBlock, shift: BeamShift, distortion: Distortion = NO_DISTORTION) -> FrameBlock:
    """A block with the beam shifted and a distortion corrected, as far as its spots alone allow."""
    moved = frames_of_moved_detector(block.spots, block.offsets, shift.radian, distortion=distortion)
    return replace(block, spots=moved)


def fitted_distortion(
    cells: InputCells,
    devices: Devices,
    head: Sequence[FrameBlock],
    found: Sequence[tuple[Learned, Lesson]],
    moved: BeamShift,
    p: Parameters,
) -> FittedDistortion | None:
    """The distortion of the detector, if it is to be learned and the first frames of a run show it.

    Parameters
    ----------
    head
        The first frames, with the beam at its place in the geometry.
    found
        Everything that was learned from them with the beam moved by `moved`.
    """
    if not (p.learn_distortion and p.learn_beam) or p.learn_geometry:
        return None
    head = [cells.without_origin(block) for block in head]

    def learn_at(fit: FittedDistortion) -> Sequence[tuple[Learned, Lesson]]:
        return cells.learn(devices, [moved_block(block, moved + fit.shift, fit.distortion) for block in head])

    return find_distortion(learn_at, found, devices, p)


def is_rigid(job: Job) -> bool:
    """Whether the panels of the job's detector come from an experiment list of DIALS, which has no distorted ones."""
    geometry, _ = first_geometry(job.paths, job.geometry, job.prober)
    return geometry is not None and is_experiments(geometry.text)


def in_words(fit: FittedDistortion) -> str:
    """The stretch and the tilt of a detector, with their errors."""
    return " and ".join(_parts(fit))


def _parts(fit: FittedDistortion) -> Iterator[str]:
    d = fit.distortion
    if size := math.hypot(d.stretch, d.skew):
        yield STRETCHED.format(1e2 * size, 1e2 * fit.stretch_error, math.degrees(math.atan2(d.skew, d.stretch) / 2))
    if size := math.hypot(d.tilt_x, d.tilt_y):
        direction = math.degrees(math.atan2(d.tilt_y, d.tilt_x))
        yield TILTED.format(math.degrees(size), math.degrees(fit.tilt_error), direction)
