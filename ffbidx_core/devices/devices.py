"""The devices of a run: this process, or a process for each of several GPUs."""

from __future__ import annotations

import functools
from typing import Any, Protocol, Unpack

import numpy as np
from numpy.typing import NDArray

from ..method.index_frames import Backend, IndexOptions, device_numbers, get_backend, index_frames, why_no_cuda
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from .workers import DeviceWorkers


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
    """The device of a backend in this process."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.device, self.lanes = backend.name, backend.device, backend.lanes

    def index_frames(
        self,
        spots: NDArray[Any],
        offsets: NDArray[np.int64],
        plan: SearchPlan,
        p: Parameters,
        **keywords: Unpack[IndexOptions],
    ) -> BatchResult:
        """Index frames; see `method.index_frames`."""
        return index_frames(self.backend, spots, offsets, plan, p, **keywords)

    def close(self) -> None:
        """Do nothing, because there is nothing to release."""


def why_on_cpu(name: str) -> str:
    """A message if the choice of the backend was left to the program and there is no GPU; otherwise empty."""
    reason = why_no_cuda() if name == "auto" else ""
    return reason and f"computing on the CPU: {reason}"


def open_devices(name: str = "auto", device: str | int | None = None, threads: int | None = None) -> Devices:
    """Open the devices that `--backend` and `--device` select.

    Parameters
    ----------
    device
        Number of a GPU, several numbers separated by commas, or `all`; None: `INDEXER_GPU_DEVICE` or the current GPU.

    Raises
    ------
    BackendUnavailable
        If one of the devices cannot be used.
    ParameterError
        If `device` names no device, or the backend has no choice of devices.
    """
    if name == "auto" and device is None and why_no_cuda():
        # The variable selects among GPUs, but does not require that there is one.
        name = "cpu"
    numbers = [] if name in ("cpu", "reference") else device_numbers(device)
    if len(numbers) > 1:
        return DeviceWorkers([functools.partial(get_backend, "cuda", number) for number in numbers])
    return OneDevice(get_backend(name, numbers[0] if numbers else device, threads))
