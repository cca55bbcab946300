"""The detectors and beams of the experiments that are written for DIALS."""

from __future__ import annotations

import bisect
import json
from dataclasses import dataclass
from typing import Any

from ...model.cell import Array
from ...model.detector.dxtbx import BEAM, model_of_beam, model_of_detector, rotation_of_beam
from ...model.detector.panels import Geometry
from ...read.geometry.dials import is_experiments, parse_experiments
from ...read.indexed_frames import IndexedFrame


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
    detector, beam : dict
        Models of dxtbx; the wavelength of the beam is that of any frame.
    """

    number: int
    first: int
    back: Array
    detector: dict[str, Any]
    beam: dict[str, Any]


class Models:
    """The models of the frames of a run, made as the frames come: those of each geometry once."""

    def __init__(self) -> None:
        self._of: dict[str, list[Model]] = {}
        self._n = 0

    def of(self, frame: IndexedFrame) -> Model:
        """The model that a frame was taken with, by the panel of its first spot; the first one if it has no spots."""
        assert frame.peaks is not None
        assert frame.geometry is not None
        text = frame.geometry.text
        if text not in self._of:
            self._of[text] = _models(frame.geometry, float(frame.peaks.distance[0]), self._n)
            self._n += len(self._of[text])
        panel = frame.peaks.pixels[0, 2] if len(frame.peaks.pixels) else 0
        return self._of[text][bisect.bisect_right(self._of[text], panel, key=lambda model: model.first) - 1]


def _models(geometry: Geometry, distance: float, number: int) -> list[Model]:
    """The models of a geometry, numbered from `number` on; those of the experiment list from which it was read."""
    if not is_experiments(geometry.text):
        made = model_of_detector(geometry.detector, distance)
        return [Model(number, 0, rotation_of_beam(BEAM).T, made, model_of_beam(1.0))]
    content, models = json.loads(geometry.text), []
    for i, model in enumerate(parse_experiments("the experiment list", geometry.text).models):
        row = content["experiment"][model.experiment]
        detector, beam = content["detector"][row["detector"]], content["beam"][row["beam"]]
        models.append(Model(number + i, model.first, model.rotation.T, detector, beam))
    return models
