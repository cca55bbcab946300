"""Geometry files with their panels at other places: every byte that need not change stays."""

from __future__ import annotations

import json
import os

import numpy as np

from ...errors import UsageError
from ...model.cell import Array
from ...model.detector.dxtbx import local_panel
from ...model.detector.panels import Geometry
from ...model.detector.placed import PlacedPanels
from ...read.geometry.crystfel import panel_lines
from ...read.geometry.dials import is_experiments, parse_experiments
from ...read.geometry.edited import SAME_PLACE, with_panel_values
from .json_numbers import Path, with_numbers

SAME_DIRECTION = 1e-9
"""Share of a pixel's edge within which a panel's direction stays as its file has it."""


def refined_text(geometry: Geometry, panels: PlacedPanels, distance: float) -> str:
    """The text of a geometry, a CrystFEL geometry file or a DIALS experiment list, with its panels at other places.

    Parameters
    ----------
    geometry
        Its text is what is changed.
    panels
        Where the panels are.
    distance
        Distance that the panels of the geometry are measured from, mm.

    Raises
    ------
    UsageError
        When the geometry is in a format that cannot be changed so.
    """
    if is_experiments(geometry.text):
        return _experiments(geometry.text, panels)
    before = PlacedPanels.of(geometry.detector, distance)
    return _crystfel(geometry, before, panels)


def check_suffix(path: str, geometry: Geometry) -> None:
    """Refuse the name of an output whose suffix is that of another format.

    Raises
    ------
    UsageError
        For `.expt` where the geometry is no experiment list, and for `.geom` where it is one.
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
        raise UsageError("the geometry is no CrystFEL geometry file, in which panels could be moved")
    values = {name: _changed(fields[name], before, after, i) for i, name in enumerate(names)}
    return with_panel_values(geometry.text, values)


def _changed(fields: dict[str, str], before: PlacedPanels, after: PlacedPanels, i: int) -> dict[str, str]:
    """The values of a panel that are others now. Places change by differences: other lines shift panels, too."""
    size = 1e3 / float(fields["res"].split()[0])
    shift = after.corner[i] - before.corner[i]
    changes = {}
    for axis, by in zip("xy", shift[:2] / size, strict=True):
        if abs(by) * size > SAME_PLACE:
            changes[f"corner_{axis}"] = f"{float(fields[f'corner_{axis}'].split()[0]) + by:.6f}"
    for key, old, new in (("fs", before.fast[i], after.fast[i]), ("ss", before.slow[i], after.slow[i])):
        if np.abs(new - old).max() > SAME_DIRECTION * size:
            changes[key] = _direction(new / size)
    if abs(shift[2]) > SAME_PLACE:
        changes["coffset"] = f"{float(fields.get('coffset', '0').split()[0]) + shift[2] / 1e3:.9f}"
    return changes


def _direction(vector: Array) -> str:
    terms = [
        f"{v:+.10f}{axis}" for v, axis in zip(vector, "xyz", strict=True) if axis != "z" or abs(v) > SAME_DIRECTION
    ]
    return " ".join(terms)


def _experiments(text: str, panels: PlacedPanels) -> str:
    content, rotation = json.loads(text), parse_experiments("the experiment list", text).rotation
    numbers: dict[Path, float] = {}
    for d, detector in enumerate(content["detector"]):
        hierarchy = detector.get("hierarchy", {})
        for i, model in enumerate(detector["panels"]):
            place = (
                rotation.T @ panels.corner[i],
                rotation.T @ panels.fast[i] / np.linalg.norm(panels.fast[i]),
                rotation.T @ panels.slow[i] / np.linalg.norm(panels.slow[i]),
            )
            for name, vector in local_panel(hierarchy, i, place).items():
                if np.abs(np.subtract(vector, model[name])).max() > (
                    SAME_PLACE if name == "origin" else SAME_DIRECTION
                ):
                    numbers |= {("detector", d, "panels", i, name, k): v for k, v in enumerate(vector)}
    return with_numbers(text, numbers)
