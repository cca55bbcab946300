"""What the environment says of an indexer: its preset, and its GPU."""

from __future__ import annotations

import os

from ..errors import ParameterError
from ..method.index_frames import Backend, get_backend, why_no_cuda
from ..parameters import PRESETS
from .log import log

PRESET_VARIABLE, DEVICE_VARIABLE = "FFBIDX_PRESET", "INDEXER_GPU_DEVICE"


def preset_for(preset: str | None) -> str:
    """The preset that a caller names, else that of the environment, else `published`.

    Raises
    ------
    ParameterError
        When the environment names none of the presets.
    """
    if preset is not None:
        return preset
    name = os.environ.get(PRESET_VARIABLE) or "published"
    if name not in PRESETS:
        raise ParameterError(PRESET_VARIABLE, name, "one of " + ", ".join(PRESETS))
    return name


def backend_for(name: str, device: int | str | None) -> Backend:
    """The backend that a caller asks for, noted at level `info`; no CPU where the environment names a GPU."""
    if device is None and name == "auto":
        device = os.environ.get(DEVICE_VARIABLE)
    backend = get_backend(name, device)
    why = f", not on a GPU: {why_no_cuda()}" if name == "auto" and backend.name != "cuda" else ""
    log.info("indexer on %s (%s)%s", backend.device, backend.name, why)
    return backend
