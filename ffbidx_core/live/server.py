"""The live server, which takes messages, computes batches by deadline, and answers each message."""

from __future__ import annotations

import copy
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import IO

from ..devices import Devices, open_devices
from ..errors import FfbidxError
from ..run.summary import Summary
from ..write.atomic import make_directory
from .answers import error_answer, refusal
from .columns import FrameColumns
from .dialects import check_dialect
from .door.lines import Lines
from .door.process import DoorProcess
from .door.settings import DoorSettings
from .door.steady import steady
from .door.thread import DoorThread
from .door.waiting import Received, Waiting
from .frames import Placing
from .messages import Control, End, MessageError, Start
from .request import BATCH_SIZE, FEW, ServeRequest
from .runs.book import RunBook
from .runs.job import job_of
from .runs.one_run import OneRun
from .state import LiveState

LOOK = 0.25
"""Time in seconds between checks of the clock and of signals while nothing comes."""
IN_A_PROCESS = ("cuda",)
"""Backends for which the sockets are used by a process of their own."""
CHANGED = "from the next run on the server uses {}, set by a control message"


class Server:
    """A live server, from its start to the signal or the message that ends it.

    Parameters
    ----------
    request
        A request whose `check` passes.
    show
        Function that takes messages for the user.
    stop
        Event that ends the server once it is set.
    finished
        Function that takes the summary of each run when the run has ended.
    """

    def __init__(
        self,
        request: ServeRequest,
        *,
        show: Callable[[str], object],
        stop: threading.Event | None = None,
        finished: Callable[[Summary], object] = lambda summary: None,
    ) -> None:
        check_dialect(request.dialect)
        self._request, self._show, self._stop = request, show, stop or threading.Event()
        self._finished, self._refused = finished, set[str]()
        self.state = LiveState()
        self._waiting = Waiting(request.queue)
        given = request.geometry_for_pixels
        self._job = job_of(request, given)
        self._placing = Placing(given)
        self._run: OneRun | None = None
        self._book = RunBook(request)
        self._over = False
        self._lines: Lines | None = None
        self.summaries: list[Summary] = []
        self.door: DoorThread | DoorProcess | None = None
        self._devices: Devices | None = None

    def serve(self, lines: IO[bytes] | None = None, ready: Callable[[], object] = lambda: None) -> list[Summary]:
        """Serve until the end, and return the summaries of the runs.

        Parameters
        ----------
        lines
            Stream of JSON lines; None: there is none.
        ready
            Function that is called when frames can come.

        Raises
        ------
        FfbidxError
            If an address, a device or an output cannot be used.
        """
        request = self._request
        settings = DoorSettings(
            request.bind or "", request.reply or "", request.publish or "", request.connect, request.subscribe,
            request.request, request.topic, request.dialect, request.keys or "",
        ).completed()  # fmt: skip
        settings.check()
        self._devices = open_devices(request.backend, request.device, request.threads)
        try:
            # An output that cannot be used must raise its error now, not when the first frame comes.
            if request.has_output_for_each_run:
                make_directory(request.folder_of_runs)
            else:
                self._run = self._book.begun(self._job, self._devices, "")
            self._book.warm_up(self._job, self._devices, self._placing)
            self.door = self._open_door(settings, lines is not None)
            if lines is not None:
                assert isinstance(self.door, DoorThread)
                self._lines = Lines(lines, self._waiting, request.queue, self._stop, self.state, self.door.lines)
            with steady():
                ready()
                self._loop()
        finally:
            self._close()
        return self.summaries

    def _open_door(self, settings: DoorSettings, has_lines: bool) -> DoorThread | DoorProcess:
        """The door: a process for a GPU; a thread for a CPU, whose frames are few, and for lines, which wait."""
        assert self._devices is not None
        if self._devices.name in IN_A_PROCESS and not has_lines:
            return DoorProcess(settings, self._request.queue, self.state)
        return DoorThread(settings, self._waiting, self.state)

    def _close(self) -> None:
        try:
            if self._run is not None:
                self._finish(complete=self._over)
        finally:
            if self.door is not None:
                self.door.close()
            if self._devices is not None:
                self._devices.close()

    def _loop(self) -> None:
        assert self.door is not None
        while not self._over and not self._stop.is_set():
            taken = self.door.take(*self._wanted)
            if isinstance(taken, Received):
                self._other(taken)
            elif taken:
                for run, group in itertools.groupby(taken, lambda frames: frames.run):
                    mine = list(group)
                    self._index(run, mine, is_last=mine[-1] is taken[-1])
            elif self._run is not None:
                self._run.save_if_due()
            self._flush()

    @property
    def _wanted(self) -> tuple[int, float, float]:
        """The parameters with which messages are taken; see `Waiting.take`."""
        assert self._devices is not None
        most = self._request.batch_size or BATCH_SIZE.get(self._devices.name, FEW)
        return most, self._request.delay / 1e3, LOOK

    def _flush(self) -> None:
        if self._lines is not None:
            self._lines.flush()
        if self.door is not None:
            self.door.flush()

    def _index(self, name: str, taken: Sequence[FrameColumns], *, is_last: bool) -> None:
        """Index frames of one run, and answer them; after the last run of a batch the next batch is asked for."""
        assert self.door is not None
        try:
            self._book.check(name)
            run = self._run_for(name)
        except MessageError as error:
            self._book.close(name, str(error))
            for each in taken:
                self._refuse(each, dict.fromkeys(range(each.n_frames), str(error)))
            return
        frames: list[FrameColumns] = []
        for each in taken:
            problems = self._placing.problems(each)
            self._refuse(each, problems)
            if len(problems) < each.n_frames:
                frames.append(each.without(problems))
        if not frames:
            return
        answers = run.index(frames, self._placing, self.door.dropped)
        try:
            self.door.answer_batch(frames, answers)
            self._flush()
            if is_last:
                # Not before, because a process that hands over a batch takes no answers.
                self.door.ask(*self._wanted)
        finally:
            run.account_for_answered()
        self.state.answered(answers, self.door.n_waiting)
        self.state.beam(run.beam_shift.mrad, None if run.beam_left is None else run.beam_left.mrad)
        for problem in run.account.new_problems():
            self._note(problem)

    def _note(self, text: str) -> None:
        self.state.note(text)
        self._show(text)

    def _refuse(self, frames: FrameColumns, problems: dict[int, str]) -> None:
        """Answer the frames that have a problem."""
        assert self.door is not None
        for f, why in problems.items():
            self.state.failed()
            self.door.answer(frames.each_origin[f], refusal(frames, f, why))
        for why in set(problems.values()) - self._refused:
            self._refused.add(why)
            self._note(why)

    def _run_for(self, name: str) -> OneRun:
        """The current run, or a new one if the name differs from that of the current run, which then ends.

        Raises
        ------
        MessageError
            If there can be no run with this name; the current run then goes on.
        """
        assert self._devices is not None
        run = self._run
        if run is None or (name and run.name not in ("", name)):
            if run is not None and run.output and not self._request.has_output_for_each_run:
                # The server ends with the run, because further ones would have no output.
                self._over = True
            begun = self._book.begun_after(run, self._job, self._devices, name)
            try:
                if run is not None:
                    self._finish(complete=True)
            finally:
                self._run = run = begun
            self.state.run(name)
        elif name and not run.name:
            run.name = name
            self.state.run(name)
        return run

    def _other(self, item: Received) -> None:
        assert self.door is not None
        message, answer = item.message, functools.partial(self.door.answer, item.origin)
        try:
            if message is None:
                self._over = True
            elif isinstance(message, Start):
                placing = copy.copy(self._placing)
                placing.start(message)
                self._run_for(message.run)
                self._placing = placing
                answer({"type": "started", "run": message.run})
            elif isinstance(message, End):
                self._end(message)
                answer({"type": "ended", "run": message.run})
            elif isinstance(message, Control):
                answer({"type": "changed", "message": self._control(message)})
        except (MessageError, FfbidxError) as error:
            if not isinstance(error, MessageError) and not isinstance(message, Start | Control):
                raise
            self.state.failed()
            answer(error_answer(str(error)))

    def _control(self, message: Control) -> str:
        """Use new cells and parameters for the frames that follow, in this run and the next ones."""
        self._job = self._job.changed(message)
        if self._run is not None:
            return self._run.control(self._job, message.words)
        text = CHANGED.format(message.words)
        self._note(text)
        return text

    def _end(self, message: End) -> None:
        if self._run is None or (message.run and self._run.name not in ("", message.run)):
            raise MessageError(f"the run {message.run or 'without a name'} is not the current run")
        if self._request.output and not self._request.has_output_for_each_run:
            # Further frames would have no output.
            self._over = True
        else:
            self._finish(complete=True)

    def _finish(self, complete: bool) -> None:
        run, self._run = self._run, None
        assert run is not None
        self._book.ended(run)
        self.summaries.append(run.finish(complete))
        self._finished(self.summaries[-1])
        for problem in run.account.new_problems():
            self._note(problem)
