"""The detectors and beams of the experiments that are written for DIALS."""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...model.cell import Array
from ...model.detector.dxtbx import BEAM, model_of_beam, model_of_detector, rotation_of_beam
from ...model.detector.panels import Geometry
from ...read.geometry.dials import is_experiments, parse_experiments
from ...read.indexed_frames import IndexedFrame

SAME_PLACE = 4
"""Number of decimals in mm to which the distances and shifts of frames with the same detector model agree."""


@dataclass
class Model:
    """Detector and beam of some experiments, and the rotation to their laboratory frame.

    Attributes
    ----------
    number : int
        Number of the model.
    first : int
        Number of the first of its panels in the detector of the geometry, which has the panels of all models.
    back : (3, 3) float64
        Rotation from the frame of this program to the laboratory frame of the list.
    detector : callable
        Function without arguments that makes the detector model of dxtbx; a run of many distances has many models, of
        which none stays in memory.
    beam : dict
        Beam model of dxtbx; the wavelength is that of any frame.
    """

    number: int
    first: int
    back: Array
    detector: Callable[[], dict[str, Any]]
    beam: dict[str, Any]


class Models:
    """The models of the frames of a run, made as the frames come.

    There is one for each geometry, and for each distance and shift of its detector. The detectors of an experiment list
    are the models of its frames.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[str, tuple[float, ...]], list[Model]] = {}
        self._n = 0

    def of(self, frame: IndexedFrame) -> Model:
        """The model that a frame was taken with, by the panel of its first spot; the first one if it has no spots."""
        assert frame.peaks is not None
        assert frame.geometry is not None
        geometry, distance = frame.geometry, float(frame.peaks.distance[0])
        x, y = (0.0, 0.0) if frame.peaks.shift is None else frame.peaks.shift[0].tolist()
        place = (0.0, 0.0, 0.0) if is_experiments(geometry.text) else (x, y, distance)
        key = geometry.text, tuple(round(value, SAME_PLACE) for value in place)
        if key not in self._of:
            self._of[key] = _models(geometry, place, self._n)
            self._n += len(self._of[key])
        panel = frame.peaks.pixels[0, 2] if len(frame.peaks.pixels) else 0
        return self._of[key][bisect.bisect_right(self._of[key], panel, key=lambda model: model.first) - 1]


def _models(geometry: Geometry, place: tuple[float, float, float], number: int) -> list[Model]:
    """The models of a geometry, numbered from `number` on; those of the experiment list from which it was read.

    `place` is the shift of the detector along x and y and its distance, mm; it is not used for an experiment list.
    """
    if not is_experiments(geometry.text):
        return [Model(number, 0, rotation_of_beam(BEAM).T, partial(_detector, geometry, place), model_of_beam(1.0))]
    content, models = json.loads(geometry.text), []
    for i, model in enumerate(parse_experiments("the experiment list", geometry.text).models):
        row = content["experiment"][model.experiment]
        detector = partial(content["detector"].__getitem__, row["detector"])
        models.append(Model(number + i, model.first, model.rotation.T, detector, content["beam"][row["beam"]]))
    return models


def _detector(geometry: Geometry, place: tuple[float, float, float]) -> dict[str, Any]:
    """The detector model of a geometry with its detector at a place, see `_models`."""
    x, y, distance = place
    return model_of_detector(geometry.detector.moved((x, y, 0.0)), distance)
