"""Learning the cell and the beam in a thread, while the computation goes on with the given cell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...devices import Devices
from ...model.detector.beam_shift import BeamShift
from ...model.records.frame import FrameBlock
from ...model.records.run import Learned
from ...parameters import Parameters
from ...run.input_cells import InputCells
from ...run.job import Job
from ...run.learning.distorted import moved_block
from ...run.learning.settling import learn_with_beam


@dataclass(frozen=True)
class Lessons:
    """The result of learning.

    Attributes
    ----------
    learned : list of Learned
        The learned cells of each group of input cells.
    moved : BeamShift
        Shift by which the run moves the beam.
    left : BeamShift or None
        Offset of a beam that is off but is not moved; None if there is none.
    """

    learned: list[Learned]
    moved: BeamShift
    left: BeamShift | None


class Learner:
    """Learns from the first usable frames of a run, in a thread of its own.

    Parameters
    ----------
    job, p
        The job, with its input cells, and the parameters in force.
    open_devices
        Function that opens the devices for learning; None: nothing is learned.
    """

    def __init__(self, job: Job, p: Parameters, open_devices: Callable[[], Devices] | None) -> None:
        self._job, self._p, self._open = job, p, open_devices
        self._head: list[FrameBlock] = []
        self._there = 0
        self._thread: threading.Thread | None = None
        self._lessons: Lessons | None = None
        self._error: BaseException | None = None
        self._is_taken = p.learn_cell == 0 or open_devices is None

    @property
    def n_frames(self) -> int:
        """Number of frames from which cell and beam are learned, whatever later control messages set."""
        return self._p.learn_cell

    def add(self, block: FrameBlock) -> None:
        """Add frames until there are enough, and then start learning."""
        if self._is_taken or self._thread is not None:
            return
        self._head.append(block[: self._p.learn_cell - self._there])
        self._there += self._head[-1].n_frames
        if self._there >= self._p.learn_cell:
            self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._work, name="ffbidx learn", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            assert self._open is not None
            devices = self._open()
            try:
                self._lessons = self._learned(devices)
            finally:
                devices.close()
        except BaseException as error:
            self._error = error

    def _learned(self, devices: Devices) -> Lessons:
        cells = InputCells(self._job, self._p, lambda note: None, lambda note: None)
        found, moved, left = learn_with_beam(cells, devices, self._head, self._p)
        if moved:
            head = [moved_block(block, moved) for block in self._head]
            found, _, left = learn_with_beam(cells, devices, head, self._p.replace(learn_beam=False))
        learned = [replace(group, beam_shift=moved) for group, _ in found if moved or group.n_crystals.any()]
        return Lessons(learned, moved, left)

    def finished(self) -> Lessons | None:
        """The result of learning, which is returned once; None before it is ready and after it was returned.

        Raises
        ------
        Exception
            If learning failed, its exception.
        """
        if self._is_taken or self._thread is None or self._thread.is_alive():
            return None
        self._is_taken, self._head = True, []
        if self._error is not None:
            raise self._error
        return self._lessons

    def close(self) -> None:
        """Wait for learning in progress to end; its result is not used any more."""
        self._is_taken = True
        if self._thread is not None:
            self._thread.join()
