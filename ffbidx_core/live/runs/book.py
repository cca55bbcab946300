"""The beginning of the runs of a live server, their outputs, and the names of those that are over."""

from __future__ import annotations

import os

from ...devices import Devices, open_devices
from ...errors import FfbidxError
from ...write.atomic import make_directory
from ..frames import Placing
from ..messages import MessageError
from ..request import ServeRequest
from .job import LiveJob
from .one_run import OneRun

MOST_CLOSED = 1000
"""Number of ended or refused runs whose names are remembered."""
OVER = "the run {} is over"
NO_OUTPUT = "the run {} has no output of its own: -o {} is that of the run {}"


class RunBook:
    """Begins the runs of a server, and remembers their outputs and which are closed, that is, ended or refused.

    Parameters
    ----------
    request
        The request for the server.
    """

    def __init__(self, request: ServeRequest) -> None:
        self._request = request
        self._closed: dict[str, str] = {}
        self._written = set[str]()

    def check(self, name: str) -> None:
        """Raise a `MessageError` if the run with this name is closed."""
        if name in self._closed:
            raise MessageError(self._closed[name])

    def close(self, name: str, why: str = "") -> None:
        """Refuse further frames of a run, unless it has no name, which another run may not have either.

        The reason `why` is by default that the run is over.
        """
        if name:
            self._closed[name] = why or OVER.format(name)
        if len(self._closed) > MOST_CLOSED:
            del self._closed[next(iter(self._closed))]

    def ended(self, run: OneRun) -> None:
        """Refuse further frames of a run that has ended; one without frames has written nothing to its output."""
        self.close(run.name)
        if not run.n_frames:
            self._written.discard(run.output)

    def begun(self, job: LiveJob, devices: Devices, name: str) -> OneRun:
        """A new run, whose output is opened; see `OneRun`."""
        request, output = self._request, self._request.output_of(name, self._written)
        if request.has_output_for_each_run:
            make_directory(os.path.dirname(output) or ".")
        run = OneRun(
            job,
            devices,
            name,
            output=output,
            overwrite=request.overwrite,
            resume=request.resume,
            learning_devices=self._learning_devices,
        )
        # An output that could not be opened has not become one of this server.
        self._written.add(output)
        return run

    def begun_after(self, run: OneRun | None, job: LiveJob, devices: Devices, name: str) -> OneRun:
        """A new run, which is to follow another one that has not ended yet.

        Raises
        ------
        MessageError
            If the output of the new run cannot be used, or all runs would have the same.
        """
        if run is not None and run.output and not self._request.has_output_for_each_run:
            raise MessageError(NO_OUTPUT.format(name, run.output, run.name))
        try:
            begun = self.begun(job, devices, name)
        except FfbidxError as error:
            raise MessageError(str(error)) from None
        self._closed.pop(name, None)
        return begun

    def warm_up(self, job: LiveJob, devices: Devices, placing: Placing) -> None:
        """Compute made-up frames, whose results are not stored; see `OneRun.warm_up`."""
        run = OneRun(job, devices, "", output="", overwrite=False, resume=False, learning_devices=None)
        run.warm_up(placing)

    def _learning_devices(self) -> Devices:
        """The devices for learning in parallel to the frames, with half of the threads."""
        request = self._request
        threads = request.threads or len(os.sched_getaffinity(0))
        return open_devices(request.backend, request.device, max(1, threads // 2))
