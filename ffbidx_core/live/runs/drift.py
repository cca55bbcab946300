"""The position of the beam from the newest crystals of a live run, by which its drift is seen."""

from __future__ import annotations

import threading
import time

import numpy as np

from ...model.basis import as_given
from ...model.crystal import Crystals
from ...model.detector.beam_shift import NO_SHIFT, BeamShift
from ...model.detector.pixels import wavelength_of_spots
from ...model.misfit.misfit import find_misfit
from ...model.records.frame import ConventionalResult, FrameBlock
from ...model.records.ragged import offsets_of
from ...run.input_cells import CellSet

SECONDS = 10.0
"""Time in seconds between two estimates."""
MOST = 24
"""Number of frames with a crystal from which the beam is estimated, the best crystal of each; 45 ms of one core."""


class Drift:
    """Estimates every `SECONDS` how far the beam is from its present position, in a thread of its own.

    Attributes
    ----------
    left : BeamShift or None
        Shift of the beam from the position with which the frames were indexed; None if no estimate was possible yet.
    """

    def __init__(self) -> None:
        self.left: BeamShift | None = None
        self._since, self._thread = time.monotonic(), threading.Thread()
        self._cells: CellSet | None = None
        self._frames: list[tuple[np.ndarray, np.ndarray, int]] = []

    def add(self, block: FrameBlock, cells: CellSet | None, result: ConventionalResult) -> None:
        """Add the frames of a batch; frames with other input cells or another beam begin anew."""
        if cells is None or time.monotonic() - self._since < SECONDS or self._thread.is_alive():
            return
        if cells is not self._cells:
            self._cells, self._frames = cells, []
        with_crystal = np.flatnonzero(np.diff(result.crystal_offsets))
        for f in with_crystal[: MOST - len(self._frames)].tolist():
            best = result.crystals[result.crystal_offsets[f]]
            spots = block.spots[block.offsets[f] : block.offsets[f + 1]]
            self._frames.append((spots.astype(np.float64), result.cells[best], int(result.input_cell[best])))
        if len(self._frames) == MOST:
            self._since, frames, self._frames = time.monotonic(), self._frames, []
            self._thread = threading.Thread(target=self._estimate, args=(frames, cells), daemon=True)
            self._thread.start()

    def moved(self) -> None:
        """Begin anew, because the beam of the run was moved."""
        self._frames, self.left = [], NO_SHIFT

    def _estimate(self, frames: list[tuple[np.ndarray, np.ndarray, int]], cells: CellSet) -> None:
        wavelengths = [wavelength_of_spots(spots) for spots, _, _ in frames]
        kept = [(*frame, length) for frame, length in zip(frames, wavelengths, strict=True) if length is not None]
        if not kept:
            return
        spots, found, rows, lengths = zip(*kept, strict=True)
        input_cell = np.array(rows, np.int64)
        misfit = find_misfit(
            Crystals(
                np.concatenate(spots),
                offsets_of(np.array([len(each) for each in spots], np.int64)),
                np.array(lengths, np.float64),
                cells.change.primitive(as_given(np.array(found, np.float64)), input_cell),
                np.arange(len(kept) + 1),
                input_cell,
                cells.plan.cells,
                cells.plan.operators,
            )
        )
        if misfit is not None:
            self.left = BeamShift.from_radian(misfit.shift)
