"""The detectors of a spot file: one, or those of all streams that were put together in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import InputError
from ...model.detector.beam import offset_along_beam
from ...model.detector.panels import Geometry
from .spot_file import SpotFile
from .stream import StreamFile


def detectors_of(file: SpotFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the text of each geometry of a file, with its panels, and wavelength and distance of its first frame.

    Most streams that were put together have the same geometry, so of each geometry one frame is read.
    """
    assert file.geometry is not None
    known: set[str] = set()
    for frame in file.first_frames if isinstance(file, StreamFile) else range(min(1, file.n_frames)):
        with contextlib.suppress(InputError):
            if isinstance(file, StreamFile) and file.geometry_of(frame).text in known:
                continue
            for raw in file.read(np.array([frame])):
                if raw.peaks is not None:
                    own = raw.geometry or file.geometry
                    distance = float(raw.peaks.distance[0]) + offset_along_beam(own.detector)
                    yield own.text, _detector(own, float(raw.peaks.wavelength[0]), distance)
                    known.add(own.text)
    if not known:
        yield file.geometry.text, _detector(file.geometry, None, None)


def _detector(geometry: Geometry, wavelength: float | None, distance: float | None) -> dict[str, Any]:
    return {"panels": len(geometry.detector.panels), "wavelength": wavelength, "distance": distance}
