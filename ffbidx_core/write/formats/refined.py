"""Geometry files with moved panels; every byte that need not change stays the same."""

from __future__ import annotations

import json
import os

import numpy as np

from ...errors import UsageError
from ...model.detector.dxtbx import local_panel
from ...model.detector.panels import Geometry
from ...model.detector.placed import PlacedPanels
from ...read.geometry.crystfel import panel_lines
from ...read.geometry.dials import is_experiments, models_of_rows, parse_experiments
from ...read.geometry.edited import SAME_DIRECTION, SAME_PLACE, values_of_moved, with_panel_values
from .json_numbers import Path, with_numbers


def refined_text(geometry: Geometry, panels: PlacedPanels, distance: float) -> str:
    """The text of a geometry (CrystFEL geometry file or DIALS experiment list) with moved panels.

    Parameters
    ----------
    geometry
        The geometry whose text is changed.
    panels
        The new positions of the panels.
    distance
        Detector distance from which the panel positions are measured, mm.

    Raises
    ------
    UsageError
        If the geometry has a format that cannot be changed in this way.
    """
    if is_experiments(geometry.text):
        return _experiments(geometry.text, panels)
    before = PlacedPanels.of(geometry.detector, distance)
    return _crystfel(geometry, before, panels)


def check_suffix(path: str, geometry: Geometry) -> None:
    """Raise an error if the suffix of an output belongs to another format of geometry.

    Raises
    ------
    UsageError
        If the suffix is `.expt` and the geometry is no experiment list, or `.geom` and it is one.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".expt" and not is_experiments(geometry.text):
        raise UsageError(f"-o {path}: the geometry of the run is a CrystFEL geometry file: name the output .geom")
    if suffix == ".geom" and is_experiments(geometry.text):
        raise UsageError(f"-o {path}: the geometry of the run is a DIALS experiment list: name the output .expt")


def _crystfel(geometry: Geometry, before: PlacedPanels, after: PlacedPanels) -> str:
    fields = panel_lines("the geometry", geometry.text)
    names = [panel.name for panel in geometry.detector.panels]
    if list(fields) != names:
        raise UsageError("the geometry is not a CrystFEL geometry file, in which panels could be moved")
    values = {
        name: values_of_moved(fields[name], *[(p.corner[i], p.fast[i], p.slow[i]) for p in (before, after)])
        for i, name in enumerate(names)
    }
    return with_panel_values(geometry.text, values)


def _experiments(text: str, panels: PlacedPanels) -> str:
    content, known = json.loads(text), parse_experiments("the experiment list", text)
    numbers: dict[Path, float] = {}
    for d, seen in models_of_rows(content, known).items():
        detector, rotation = content["detector"][d], seen.rotation
        hierarchy = detector.get("hierarchy", {})
        for i, model in enumerate(detector["panels"]):
            of_all = seen.first + i
            place = (
                rotation.T @ panels.corner[of_all],
                rotation.T @ panels.fast[of_all] / np.linalg.norm(panels.fast[of_all]),
                rotation.T @ panels.slow[of_all] / np.linalg.norm(panels.slow[of_all]),
            )
            for name, vector in local_panel(hierarchy, i, place).items():
                if np.abs(np.subtract(vector, model[name])).max() > (
                    SAME_PLACE if name == "origin" else SAME_DIRECTION
                ):
                    numbers |= {("detector", d, "panels", i, name, k): v for k, v in enumerate(vector)}
    return with_numbers(text, numbers)
