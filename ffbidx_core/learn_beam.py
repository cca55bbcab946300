"""The beam of a run moved to where its first frames say that it is, and the cells learned with it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .distribute import Devices
from .input_cells import InputCells
from .job import Job, first_frames
from .learn import Lesson
from .model.cell import Array
from .model.frame import FrameBlock
from .model.misfit import is_shift
from .model.run import Learned
from .read.setup import beam_option

MOST_MOVES = 3
"""A shift so large that it hides crystals is found in steps."""
BEAM_OFF = (
    "the first frames say that the beam centre is off by {:+.2f} mrad in x and {:+.2f} mrad in y: `ffbidx diagnose` "
    "tells how to mend it"
)
BEAM_MOVED = (
    "the first frames say that the beam centre is off by {:+.2f} mrad in x and {:+.2f} mrad in y: the run puts it "
    "there, as {} would; --no-learn-beam leaves it where it was"
)


def learn_with_beam(
    job: Job, cells: InputCells, devices: Devices, head: Sequence[FrameBlock]
) -> tuple[Job, list[Learned], list[str]]:
    """Learn from the first frames of a job.

    The beam is moved where it is off beyond doubt and crystals do not lose spots by it.

    Returns
    -------
    job : Job
        With the beam where it is; the one given, unless it was moved.
    learned : list of Learned
    said : list of str
        What a user should know of it.
    """
    moved, learned, total = job, cells.learn(devices, head), np.zeros(2)
    for _ in range(MOST_MOVES if job.parameters.learn_beam else 0):
        if (shift := _shift([lesson for _, lesson in learned])) is None:
            break
        further = job.with_beam_shift(total + shift)
        again = cells.learn(devices, first_frames(further.first_blocks(), job.parameters.learn_cell)[0])
        if _n_indexed(again) < _n_indexed(learned):
            break
        moved, learned, total = further, again, total + shift
    said = []
    if moved.geometry is not None and total.any():
        said.append(BEAM_MOVED.format(*total, beam_option(moved.geometry)))
    if (shift := _shift([lesson for _, lesson in learned])) is not None:
        said.append(BEAM_OFF.format(*shift))
    x, y = total.tolist()
    return moved, [replace(group, beam_shift=(x, y)) for group, _ in learned], said


def _shift(lessons: Sequence[Lesson]) -> Array | None:
    """The beam shift (2,), mrad, that the crystals of all input cells tell; None where there is none beyond doubt."""
    misfits = [lesson.misfit for lesson in lessons if lesson.misfit is not None]
    if not misfits:
        return None
    weights = np.array([misfit.errors[:2] ** -2 for misfit in misfits])
    shift = (weights * [misfit.values[:2] for misfit in misfits]).sum(axis=0) / weights.sum(axis=0)
    most = max(misfits, key=lambda misfit: misfit.n_crystals)
    if not is_shift(shift, weights.sum(axis=0) ** -0.5, most.spread, most.wavelength):
        return None
    return np.asarray(1e3 * shift)


def _n_indexed(learned: Sequence[tuple[Learned, Lesson]]) -> int:
    return sum(lesson.n_indexed for _, lesson in learned)
