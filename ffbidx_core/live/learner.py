"""The cell and the beam are learned beside the computation, which goes on with the cell as given meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..devices import Devices
from ..model.detector.beam_shift import BeamShift
from ..model.records.frame import FrameBlock
from ..model.records.run import Learned
from ..parameters import Parameters
from ..run.input_cells import InputCells
from ..run.job import Job
from ..run.learning.settling import learn_with_beam, moved_block


@dataclass(frozen=True)
class Lessons:
    """What was learned.

    Attributes
    ----------
    learned : list of Learned
    moved : BeamShift
        How far the beam is moved.
    left : BeamShift or None
        How far the beam is off without being moved.
    """

    learned: list[Learned]
    moved: BeamShift
    left: BeamShift | None


class Learner:
    """Learns from the first usable frames that it is given, in a thread of its own.

    Parameters
    ----------
    job, p
        The job, with its input cells, and the parameters in force.
    open_devices
        Opens what computes the lesson.
    """

    def __init__(self, job: Job, p: Parameters, open_devices: Callable[[], Devices]) -> None:
        self._job, self._p, self._open = job, p, open_devices
        self._head: list[FrameBlock] = []
        self._there = 0
        self._thread: threading.Thread | None = None
        self._lessons: Lessons | None = None
        self._error: BaseException | None = None
        self._is_taken = p.learn_cell == 0

    def add(self, block: FrameBlock) -> None:
        """Take frames, until there are enough; then the lesson begins."""
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
        """What was learned, once; None while the lesson goes on or after it was taken.

        Raises
        ------
        Exception
            What the lesson ended with.
        """
        if self._is_taken or self._thread is None or self._thread.is_alive():
            return None
        self._is_taken, self._head = True, []
        if self._error is not None:
            raise self._error
        return self._lessons

    def close(self) -> None:
        """Wait for a lesson that is under way; what it finds is not used any more."""
        self._is_taken = True
        if self._thread is not None:
            self._thread.join()
