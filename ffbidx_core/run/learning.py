"""What a run learns from its first frames, with its input cells, before the first batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..devices import Devices
from ..learn.beam import settle_beam
from ..learn.lesson import Lesson
from ..model.detector.beam_shift import BeamShift
from ..model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..model.records.frame import FrameBlock
from ..model.records.run import Learned
from ..parameters import Parameters
from .input_cells import InputCells

BEAM_OFF = (
    "the first frames say that the beam centre is off by {:+.2f} mrad in x and {:+.2f} mrad in y: `ffbidx diagnose` "
    "tells how to mend it"
)
BEAM_MOVED = (
    "the first frames say that the beam centre is off by {:+.2f} mrad in x and {:+.2f} mrad in y: the run puts it "
    "there, as {} would; --no-learn-beam leaves it where it was"
)


def learn_with_beam(
    cells: InputCells, devices: Devices, head: Sequence[FrameBlock], p: Parameters
) -> tuple[list[tuple[Learned, Lesson]], BeamShift, BeamShift | None]:
    """Learn from the first frames of a run; what is learned, and the shift, are those of `settle_beam`."""

    def moved(shift: BeamShift) -> Sequence[FrameBlock]:
        return [_moved(block, shift) for block in head] if shift else head

    def scan(about: BeamShift) -> BeamShift | None:
        far = cells.scan_beam(devices, moved(about))
        return None if far is None else about + BeamShift.from_radian(far)

    learned, shift, left = settle_beam(lambda shift: cells.learn(devices, moved(shift)), scan, p)
    return list(learned), shift, left


def _moved(block: FrameBlock, shift: BeamShift) -> FrameBlock:
    """A block with the beam shifted, as well as its spots alone allow: by the wavelength of their Ewald sphere."""
    spots = block.spots.astype(np.float64)
    for begin, end in itertools.pairwise(block.offsets):
        if (wavelength := wavelength_of_spots(spots[begin:end])) is not None:
            along = np.full(end - begin, wavelength)
            spots[begin:end] = spots_of_moved_detector(spots[begin:end], along, shift.radian)
    return replace(block, spots=spots.astype(np.float32))
