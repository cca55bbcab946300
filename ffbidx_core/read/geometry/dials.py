"""Reading of DIALS experiment lists (.expt): beam, detector and images."""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.dxtbx import panels_of_model, rotation_of_beam
from ...model.detector.panels import Detector, Geometry, Panel, Reading
from ...model.detector.tree import Groups
from ..files.content import read_text
from .dials_faults import WRONG, raise_faults
from .groups import groups_of_hierarchy

LIST_ID, TABLE_ID = "ExperimentList", "dials::af::reflection_table"
_SAME_DIRECTION = 1e-5
"""Angle in radians between the beams of two experiments below which their directions are taken for the same."""
MOST_LISTS = 100
"""Largest number of experiment lists in a folder that are examined for a table without a list of the same name."""
HDF5_GROUP = "/dials"
"""Group of an HDF5 file that holds reflection tables."""


@dataclass(frozen=True)
class DetectorModel:
    """A detector of an experiment list, seen along the beam of some of its experiments.

    Attributes
    ----------
    experiment : int
        Number of the first experiment with this detector and this direction of the beam.
    first, n_panels : int
        Number of its first panel in the detector of the list's geometry, and number of its panels.
    rotation : (3, 3) float64
        Rotation from the frame of the list to the frame of this program, in which the beam is along z.
    """

    experiment: int
    first: int
    n_panels: int
    rotation: Array


@dataclass(frozen=True)
class Experiments:
    """E experiments of a list.

    Attributes
    ----------
    geometry : Geometry
        Geometry in the frame of this program; its text is the experiment list. If the experiments have several
        detectors or directions of the beam, its detector has the panels of all of them, one after another.
    models : list of DetectorModel
        The distinct detectors, each with the direction of its beam.
    model : (E,) int64
        Number of the detector of each experiment among the models.
    wavelength : (E,) float64
        Wavelength of each experiment, angstrom.
    first, n_frames : (E,) int64
        Array index of the first image of each experiment, and its number of images.
    images : list of dict, E
        Image set of each experiment.
    image_set : (E,) int64
        Number of the image set of each experiment, -1 for none.
    identifiers : list of str, E
        Identifier of each experiment, or empty.
    same_images : (E,) int64
        Number of the first experiment on the same images; several lattices on an image are separate experiments.
    """

    geometry: Geometry
    models: list[DetectorModel]
    model: NDArray[np.int64]
    wavelength: Array
    first: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    images: list[dict[str, Any]]
    image_set: NDArray[np.int64]
    same_images: NDArray[np.int64]
    identifiers: list[str]

    def image(self, experiment: int, number: int) -> str:
        """Image file and event of an image of an experiment, such as `data.h5 //3`."""
        images = self.images[experiment]
        indices = images.get("single_file_indices") or []
        files = images.get("images") or []
        name = images.get("template") or (files[min(number, len(files) - 1)] if files else "")
        if indices and name:
            return f"{name} //{indices[min(number, len(indices) - 1)]}"
        if files:
            return f"{files[min(number, len(files) - 1)]} //"
        template = str(images.get("template", ""))
        image = int(self.first[experiment]) + number + 1
        return f"{re.sub('#+', lambda match: str(image).zfill(len(match[0])), template)} //" if template else ""


def is_experiments(text: str) -> bool:
    """Whether a text is a JSON object, as an experiment list is."""
    return text.lstrip().startswith("{")


def experiments_beside(path: str, identifiers: set[str]) -> Geometry | None:
    """The geometry of the experiment list that belongs to a reflection table in the same folder; None if there is none.

    It is the list of the same name (`a.expt` or `a.expt.gz` for `a.refl`), else the only list with identifiers of it.

    Parameters
    ----------
    path
        The reflection table.
    identifiers
        Identifiers of the table's experiments.
    """
    stem = re.sub(r"(\.refl|\.h5|\.gz|\.pickle)+$", "", path)
    for name in (f"{stem}.expt", f"{stem}.expt.gz"):
        if os.path.isfile(name):
            return parse_experiments(name, read_text(name) or "").geometry
    found = []
    lists = sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "*.expt"))) if identifiers else []
    for name in lists[:MOST_LISTS]:
        with contextlib.suppress(InputError):
            experiments = parse_experiments(name, read_text(name) or "")
            if identifiers & set(experiments.identifiers):
                found.append(experiments.geometry)
    # Several lists of the same experiments may hold the detector before and after its refinement.
    return found[0] if len(found) == 1 else None


def refuse_data_block(path: str, text: str) -> None:
    """Reject the data block of an old DIALS (datablock.json), which is JSON but not an experiment list.

    Raises
    ------
    InputError
        If the text is a data block.
    """
    if text.lstrip().startswith("[") and '"DataBlock"' in text:
        how = "make imported.expt with dials.import from the images, and strong.refl with dials.find_spots from that"
        raise InputError(path, f"is a data block of old DIALS (before 2019), which is not read: {how}")


def parse_experiments(path: str, text: str) -> Experiments:
    """The experiments that the text of an experiment list describes; `path` is for messages.

    Raises
    ------
    InputError
        If the text is not an experiment list; all faults of its experiments and models are attached.
    """
    try:
        content = json.loads(text)
        if content.get("__id__") != LIST_ID:
            raise InputError(path, f"is JSON, but not a DIALS experiment list: __id__ is not {LIST_ID}")
        try:
            return _experiments(path, text, content)
        except WRONG:
            raise_faults(path, content)
            raise
    except WRONG as error:
        detail = f"{type(error).__name__}: {error}"[:80]
        raise InputError(path, f"cannot be read as a DIALS experiment list: {detail}") from None


def _experiments(path: str, text: str, content: dict[str, Any]) -> Experiments:
    """The experiments in the content of an experiment list."""
    rows = content["experiment"]
    if not rows:
        raise InputError(path, "is a DIALS experiment list without experiments")
    beams = [content["beam"][row["beam"]] for row in rows]
    wavelength = np.array([beam["wavelength"] for beam in beams], dtype=np.float64)
    models, model, geometry = _detectors(content, rows, beams)
    geometry = replace(geometry, wavelength=Reading(float(wavelength[0]), unit="A"), text=text)
    scans = [content.get("scan", [])[row["scan"]] if row.get("scan") is not None else {} for row in rows]
    images = [content.get("imageset", [])[row["imageset"]] if row.get("imageset") is not None else {} for row in rows]
    ranges = [scan.get("image_range") for scan in scans]
    n_frames = [_n_images(each, span) for each, span in zip(images, ranges, strict=True)]
    image_set = np.array([-1 if row.get("imageset") is None else row["imageset"] for row in rows], dtype=np.int64)
    return Experiments(
        geometry,
        models,
        model,
        wavelength,
        np.array([0 if span is None else int(span[0]) - 1 for span in ranges]),
        np.array(n_frames, dtype=np.int64),
        images,
        image_set,
        _same_images(rows, n_frames),
        [str(row.get("identifier") or "") for row in rows],
    )


def _detectors(
    content: dict[str, Any], rows: list[dict[str, Any]], beams: list[dict[str, Any]]
) -> tuple[list[DetectorModel], NDArray[np.int64], Geometry]:
    """The distinct detectors of some experiments, the number of each experiment's, and the geometry with all panels."""
    texts = [json.dumps(detector, sort_keys=True) for detector in content["detector"]]
    known: dict[str, list[tuple[int, list[float]]]] = {}
    model: list[int] = []
    for row, beam in zip(rows, beams, strict=True):
        directions = known.setdefault(texts[row["detector"]], [])
        same = (number for number, other in directions if math.dist(other, beam["direction"]) < _SAME_DIRECTION)
        number = next(same, None)
        if number is None:
            number = max(model, default=-1) + 1
            directions.append((number, beam["direction"]))
        model.append(number)
    n_models = max(model) + 1
    models: list[DetectorModel] = []
    panels: list[Panel] = []
    groups: Groups = ()
    distance = 0.0
    for number in range(n_models):
        experiment = model.index(number)
        detector = content["detector"][rows[experiment]["detector"]]
        # The direction of a dxtbx beam points to the source.
        rotation = rotation_of_beam([-v for v in beams[experiment]["direction"]])
        own, at = panels_of_model(detector, rotation)
        distance = distance if number else at
        first, inside = len(panels), groups_of_hierarchy(detector.get("hierarchy", {}))
        if n_models > 1:
            # All panels are measured from the distance of the first detector, and each detector is a group.
            own = [replace(panel, name=f"d{number}{panel.name}") for panel in own]
            own = list(Detector(tuple(own)).moved((0, 0, at - distance)).panels)
            whole = tuple(range(len(own)))
            inside = inside if whole in inside or len(own) == 1 else (*inside, whole)
        groups += tuple(tuple(first + panel for panel in group) for group in inside)
        models.append(DetectorModel(experiment, first, len(own), rotation))
        panels += own
    geometry = Geometry(Detector(tuple(panels)), distance=Reading(distance, unit="mm"), groups=groups)
    return models, np.array(model, dtype=np.int64), geometry


def _same_images(rows: list[dict[str, Any]], n_frames: list[int]) -> NDArray[np.int64]:
    """Number (E,) of the first experiment on the same images as each experiment."""
    first: dict[tuple[Any, Any], int] = {}
    same = []
    for number, row in enumerate(rows):
        images, scan = row.get("imageset"), row.get("scan")
        # Among several stills in an image set, nothing identifies the still of a spot.
        is_known = images is not None and (scan is not None or n_frames[number] == 1)
        same.append(first.setdefault((images, scan), number) if is_known else number)
    return np.array(same, dtype=np.int64)


def changed_geometry(text: str, shift: Array, wavelength: float | None) -> Geometry:
    """The geometry of an experiment list with all its detectors displaced alike, and with another wavelength.

    Parameters
    ----------
    text
        Text of the experiment list.
    shift : (3,)
        Displacement in the frame of this program, mm.
    wavelength
        Wavelength, angstrom; None to keep it.
    """
    name = "the experiment list"
    content, known = json.loads(text), parse_experiments(name, text)
    for beam in content["beam"] if wavelength is not None else ():
        beam["wavelength"] = wavelength
    seen = models_of_rows(content, known)
    for row, detector in enumerate(content["detector"]):
        rotation = seen.get(row, known.models[0]).rotation
        root = detector.get("hierarchy", {})
        # Panels in a hierarchy move together with its root.
        for model in [root] if "origin" in root else detector["panels"]:
            model["origin"] = (np.array(model["origin"], dtype=np.float64) + rotation.T @ shift).tolist()
    return parse_experiments(name, json.dumps(content)).geometry


def models_of_rows(content: dict[str, Any], known: Experiments) -> dict[int, DetectorModel]:
    """The model of each detector in the content of an experiment list, by its row; the first that it is used for."""
    models: dict[int, DetectorModel] = {}
    for row, number in zip(content["experiment"], known.model.tolist(), strict=True):
        models.setdefault(row["detector"], known.models[number])
    return models


def _n_images(images: dict[str, Any], span: list[int] | None) -> int:
    """Number of images of an experiment, by the range of its scan or by its image set."""
    indices, names = (list(images.get(key) or []) for key in ("single_file_indices", "images"))
    if span is not None:
        return int(span[1]) - int(span[0]) + 1
    return max(1, len(indices or names))
