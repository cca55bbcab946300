"""Reading of DIALS experiment lists (.expt): beam, detector and images."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.dxtbx import panels_of_model, rotation_of_beam
from ...model.detector.panels import Detector, Geometry, Reading
from ..files.content import read_text
from .groups import groups_of_hierarchy

LIST_ID, TABLE_ID = "ExperimentList", "dials::af::reflection_table"
MOST_LISTS = 100
"""Largest number of experiment lists in a folder that are examined for a table without a list of the same name."""
HDF5_GROUP = "/dials"
"""Group of an HDF5 file that holds reflection tables."""


@dataclass(frozen=True)
class Experiments:
    """E experiments that share a detector and the direction of the beam.

    Attributes
    ----------
    geometry : Geometry
        Geometry in the frame of this program; its text is the experiment list.
    rotation : (3, 3) float64
        Rotation from the frame of the list to the frame of this program.
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
    rotation: Array
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

    It is the list of the same name (`a.expt` for `a.refl`), else the only list with identifiers of the table.

    Parameters
    ----------
    path
        The reflection table.
    identifiers
        Identifiers of the table's experiments.
    """
    stem = re.sub(r"(\.refl|\.h5|\.gz|\.pickle)+$", "", path)
    if os.path.isfile(f"{stem}.expt"):
        return parse_experiments(f"{stem}.expt", read_text(f"{stem}.expt") or "").geometry
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
        If the text is not an experiment list, or has several detectors or directions of the beam.
    """
    try:
        content = json.loads(text)
        if content.get("__id__") != LIST_ID:
            raise InputError(path, f"is JSON, but not a DIALS experiment list: __id__ is not {LIST_ID}")
        return _experiments(path, text, content)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        detail = f"{type(error).__name__}: {error}"[:80]
        raise InputError(path, f"cannot be read as a DIALS experiment list: {detail}") from None


def _experiments(path: str, text: str, content: dict[str, Any]) -> Experiments:
    """The experiments in the content of an experiment list."""
    rows = content["experiment"]
    if not rows:
        raise InputError(path, "is a DIALS experiment list without experiments")
    beams = [content["beam"][row["beam"]] for row in rows]
    detectors = [content["detector"][number] for number in dict.fromkeys(row["detector"] for row in rows)]
    if any(detector != detectors[0] for detector in detectors):
        raise InputError(path, "has several different detectors: split it, one list for each")
    directions = np.array([beam["direction"] for beam in beams], dtype=np.float64)
    if not np.allclose(directions, directions[0], atol=1e-9):
        raise InputError(path, "has beams of different directions: split it, one list for each")
    # The direction of a dxtbx beam points to the source.
    rotation = rotation_of_beam(-directions[0])
    panels, distance = panels_of_model(detectors[0], rotation)
    wavelength = np.array([beam["wavelength"] for beam in beams], dtype=np.float64)
    geometry = Geometry(
        Detector(tuple(panels)),
        Reading(float(wavelength[0]), unit="A"),
        Reading(distance, unit="mm"),
        text=text,
        groups=groups_of_hierarchy(detectors[0].get("hierarchy", {})),
    )
    scans = [content.get("scan", [])[row["scan"]] if row.get("scan") is not None else {} for row in rows]
    images = [content.get("imageset", [])[row["imageset"]] if row.get("imageset") is not None else {} for row in rows]
    ranges = [scan.get("image_range") for scan in scans]
    n_frames = [_n_images(each, span) for each, span in zip(images, ranges, strict=True)]
    image_set = np.array([-1 if row.get("imageset") is None else row["imageset"] for row in rows], dtype=np.int64)
    return Experiments(
        geometry,
        rotation,
        wavelength,
        np.array([0 if span is None else int(span[0]) - 1 for span in ranges]),
        np.array(n_frames, dtype=np.int64),
        images,
        image_set,
        _same_images(rows, n_frames),
        [str(row.get("identifier") or "") for row in rows],
    )


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
    """The geometry of an experiment list with its detectors displaced, and with another wavelength.

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
    content, rotation = json.loads(text), parse_experiments(name, text).rotation
    for beam in content["beam"] if wavelength is not None else ():
        beam["wavelength"] = wavelength
    for detector in content["detector"]:
        root = detector.get("hierarchy", {})
        # Panels in a hierarchy move together with its root.
        for model in [root] if "origin" in root else detector["panels"]:
            model["origin"] = (np.array(model["origin"], dtype=np.float64) + rotation.T @ shift).tolist()
    return parse_experiments(name, json.dumps(content)).geometry


def _n_images(images: dict[str, Any], span: list[int] | None) -> int:
    """Number of images of an experiment, by the range of its scan or by its image set."""
    if span is not None:
        return int(span[1]) - int(span[0]) + 1
    return max(1, len(images.get("single_file_indices") or images.get("images") or []))
