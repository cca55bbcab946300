"""Where a run computes: in this process, or in a process for each of several GPUs."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..method.index_frames import Backend, device_numbers, get_backend, index_frames, why_no_cuda
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from .workers import DeviceWorkers


class Devices(Protocol):
    """The place where a run computes."""

    @property
    def name(self) -> str:
        """Name of the backend."""

    @property
    def device(self) -> str:
        """The device in words."""

    @property
    def lanes(self) -> int:
        """Batches that are best under way at once."""

    def index_frames(
        self, spots: NDArray[Any], offsets: NDArray[np.int64], plan: SearchPlan, p: Parameters, **keywords: Any
    ) -> BatchResult:
        """Index frames, see `method.index_frames`."""

    def close(self) -> None:
        """Give back memory and processes."""


class OneDevice:
    """A backend in this process."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.device, self.lanes = backend.name, backend.device, backend.lanes

    def index_frames(
        self, spots: NDArray[Any], offsets: NDArray[np.int64], plan: SearchPlan, p: Parameters, **keywords: Any
    ) -> BatchResult:
        """Index frames, see `method.index_frames`."""
        return index_frames(self.backend, spots, offsets, plan, p, **keywords)

    def close(self) -> None:
        """Nothing to give back."""


def why_on_cpu(name: str) -> str:
    """A note for a user who left the choice of the backend to the program, where there is no GPU; else empty."""
    reason = why_no_cuda() if name == "auto" else ""
    return reason and f"computing on the CPU: {reason}"


def open_devices(name: str = "auto", device: str | int | None = None, threads: int | None = None) -> Devices:
    """The devices that `--backend` and `--device` ask for.

    Parameters
    ----------
    device
        Number of a GPU, several with commas between them, or `all`; None: `INDEXER_GPU_DEVICE`, else the current one.

    Raises
    ------
    BackendUnavailable
        When one of them cannot be used.
    ParameterError
        When `device` names none, or the backend has none.
    """
    if name == "auto" and device is None and why_no_cuda():
        # The variable says which GPU where there is one, not that there must be one.
        name = "cpu"
    numbers = [] if name in ("cpu", "reference") else device_numbers(device)
    if len(numbers) > 1:
        return DeviceWorkers([functools.partial(get_backend, "cuda", number) for number in numbers])
    return OneDevice(get_backend(name, numbers[0] if numbers else device, threads))
