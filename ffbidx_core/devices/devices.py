"""The devices of a run: this process, or a process for each of several GPUs."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
from collections.abc import Callable
from typing import Any, Protocol, Unpack, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..method.index_frames import Backend, IndexOptions, device_numbers, get_backend, index_frames, why_no_cuda
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from .lanes import FreeLanes

ON_HOST = ("cpu", "reference")
"""Names of the backends that compute in host memory."""
PATIENCE = 0.1
"""Time in seconds between two polls of a task."""


class Devices(Protocol):
    """The devices on which a run computes."""

    @property
    def name(self) -> str:
        """The name of the backend."""

    @property
    def device(self) -> str:
        """The name of the device."""

    @property
    def lanes(self) -> int:
        """The number of batches that are best in progress at once."""

    def index_frames(
        self,
        spots: NDArray[Any],
        offsets: NDArray[np.int64],
        plan: SearchPlan,
        p: Parameters,
        **keywords: Unpack[IndexOptions],
    ) -> BatchResult:
        """Index frames; see `method.index_frames`."""

    def close(self) -> None:
        """Release memory and processes."""


class OneDevice:
    """The device of a backend in this process; it computes as many batches at once as it has lanes."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.device, self.lanes = backend.name, backend.device, backend.lanes
        self._free_lanes, self._turn = FreeLanes(self.lanes), 0

    def at_turn(self, turn: int) -> OneDevice:
        """The same device for a task, whose batches get free lanes before those of tasks with a later turn."""
        device = copy.copy(self)
        device._turn = turn
        return device

    def index_frames(
        self,
        spots: NDArray[Any],
        offsets: NDArray[np.int64],
        plan: SearchPlan,
        p: Parameters,
        **keywords: Unpack[IndexOptions],
    ) -> BatchResult:
        """Index frames, once a lane is free; see `method.index_frames`."""
        with self._free_lanes.lane(self._turn):
            return index_frames(self.backend, spots, offsets, plan, p, **keywords)

    def close(self) -> None:
        """Do nothing, because there is nothing to release."""


class Task(Protocol):
    """A task of a worker."""

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end of the task; returns whether it is done."""

    @property
    def is_done(self) -> bool:
        """Whether the task has ended, with a result or an error."""

    def result(self) -> Any:
        """The result of a task that is done, or its error."""

    def cancel(self) -> None:
        """Give up the task, whose result is no longer needed."""


@runtime_checkable
class Workers(Devices, Protocol):
    """Workers that read, compute and save tasks of a run: a process for each device, or the workers of a cluster."""

    @property
    def n_workers(self) -> int:
        """The number of workers."""

    @property
    def n_at_once(self) -> int:
        """The number of tasks that are done at once."""

    def warm_up(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Make workers compute function(devices, *arguments) in the background; result and errors are dropped.

        Its imports, kernels and memory are then ready for the first task. Workers that may come later are left out.
        """

    def submit(self, what: str, function: Callable[..., Any], *arguments: Any) -> Task:
        """Make a worker compute function(devices, *arguments); if the worker dies, another one does it.

        Parameters
        ----------
        what
            A description of the task, for the error message if the task kills its workers.
        """

    def seen(self, device: str) -> None:
        """Note the name of a worker's device."""

    def release(self) -> None:
        """Declare that nothing more is to be computed, so that processes end while the run writes its outputs."""


def why_on_cpu(name: str) -> str:
    """A message if the choice of the backend was left to the program and there is no GPU; otherwise empty."""
    reason = why_no_cuda() if name == "auto" else ""
    return reason and f"computing on the CPU: {reason}"


def in_background(work: Callable[[], object]) -> None:
    """Call a function in a thread that does not keep the process alive; an error ends the thread without a message."""

    def run() -> None:
        with contextlib.suppress(Exception):
            work()

    threading.Thread(target=run, name="ffbidx-ready", daemon=True).start()


def wake_driver(backend: str) -> None:
    """Initialise the driver of GPUs in the background, unless `backend` is one of `ON_HOST`.

    This takes .1 s for each GPU of the machine, during which modules are imported. The process waits for it at its end,
    because the driver must not be unloaded meanwhile.
    """
    if backend not in ON_HOST:
        threading.Thread(target=why_no_cuda, name="ffbidx-driver").start()


def open_devices(
    backend: str = "auto",
    device: str | int | None = None,
    threads: int | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Devices:
    """Open the devices that `--backend` and `--device` select.

    Parameters
    ----------
    device
        Number of a GPU, several numbers separated by commas, or `all`; None: `INDEXER_GPU_DEVICE` or the current GPU.
    meanwhile
        Function, which must be picklable, that loads what is needed next; it is called in the background, in every
        process that waits for a GPU.

    Raises
    ------
    BackendUnavailable
        If one of the devices cannot be used.
    ParameterError
        If `device` names no device, or the backend has no choice of devices.
    """
    if backend == "auto" and device is None and why_no_cuda():
        # The variable selects among GPUs, but does not require that there is one.
        backend = "cpu"
    numbers = [] if backend in ON_HOST else device_numbers(device)
    # Without a GPU the command ends at once, which must not be in the middle of an import.
    if meanwhile is not None and backend not in ON_HOST and not why_no_cuda():
        in_background(meanwhile)
    if len(numbers) > 1:
        from .workers import DeviceWorkers

        return DeviceWorkers([functools.partial(get_backend, "cuda", number) for number in numbers], meanwhile)
    return OneDevice(get_backend(backend, numbers[0] if numbers else device, threads))
