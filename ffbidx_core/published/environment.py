"""The preset and the GPU of an indexer, from the environment."""

from __future__ import annotations

import os

from ..errors import ParameterError
from ..method.index_frames import Backend, get_backend, why_no_cuda
from ..parameters import PRESETS
from .log import log

PRESET_VARIABLE, DEVICE_VARIABLE = "FFBIDX_PRESET", "INDEXER_GPU_DEVICE"


def preset_for(preset: str | None) -> str:
    """The preset that a caller names, or the one in the environment, or `published`.

    Raises
    ------
    ParameterError
        If the environment names an unknown preset.
    """
    if preset is not None:
        return preset
    name = os.environ.get(PRESET_VARIABLE) or "published"
    if name not in PRESETS:
        raise ParameterError(PRESET_VARIABLE, name, "one of " + ", ".join(PRESETS))
    return name


def backend_for(name: str, device: int | str | None) -> Backend:
    """The requested backend, logged at level `info`; if the environment names a GPU, the CPU is not used instead."""
    if device is None and name == "auto":
        device = os.environ.get(DEVICE_VARIABLE)
    backend = get_backend(name, device)
    why = f", not on a GPU: {why_no_cuda()}" if name == "auto" and backend.name != "cuda" else ""
    log.info("indexer on %s (%s)%s", backend.device, backend.name, why)
    return backend
