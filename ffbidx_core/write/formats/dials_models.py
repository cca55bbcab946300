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
    """The models of a geometry; if it was read from an experiment list, they are the models of this list."""

    def __init__(self, geometry: Geometry, distance: float) -> None:
        if is_experiments(geometry.text):
            known = parse_experiments("the experiment list", geometry.text).models
            content = json.loads(geometry.text)
            rows = [content["experiment"][model.experiment] for model in known]
            self._models = [
                Model(
                    i, model.first, model.rotation.T, content["detector"][row["detector"]], content["beam"][row["beam"]]
                )
                for i, (model, row) in enumerate(zip(known, rows, strict=True))
            ]
        else:
            made = model_of_detector(geometry.detector, distance)
            self._models = [Model(0, 0, rotation_of_beam(BEAM).T, made, model_of_beam(1.0))]
        self._firsts = [model.first for model in self._models]

    def of(self, frame: IndexedFrame) -> Model:
        """The model that a frame was taken with, by the panel of its first spot; the first one if it has no spots."""
        assert frame.peaks is not None
        panel = frame.peaks.pixels[0, 2] if len(frame.peaks.pixels) else 0
        return self._models[bisect.bisect_right(self._firsts, panel) - 1]
