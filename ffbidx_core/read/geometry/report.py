"""A summary of a geometry file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import InputError
from ...model.detector.beam import offset_along_beam
from ...model.detector.panels import Geometry, Reading
from ..files.content import read_head, read_text
from .any import read_geometry
from .dials import LIST_ID, is_experiments, parse_experiments
from .xds import is_xds_geometry

OF_CRYSTFEL = re.compile(r"^\s*(\S+/)?(min_fs|corner_x|clen|res)\s*=", re.MULTILINE)
"""Lines that a CrystFEL geometry has and no spot file has."""
_LOOKED_AT = 2**16
"""Number of bytes at the beginning of a file by which a geometry is recognised."""


@dataclass(frozen=True)
class GeometryReport:
    """A summary of a geometry file.

    Attributes
    ----------
    format : str
        Format of the file.
    panels : int
        Number of panels, of all detectors together.
    detectors : int
        Number of detectors that experiments of a DIALS list have; otherwise 1.
    wavelength, distance : str
        Wavelength and distance at which the beam meets the detector, with their units, or the dataset of the spot files
        that holds them; empty if unknown.
    problems : list of str
        Notes on assumptions and on lines without effect.
    """

    format: str
    panels: int
    detectors: int
    wavelength: str
    distance: str
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that JSON can hold."""
        return asdict(self)


def format_of_geometry(path: str) -> str:
    """The format of a file that holds a geometry and no spots, by its first bytes; empty for any other file."""
    beginning = read_head(path, _LOOKED_AT)
    if b"\0" in beginning:
        # Spot files in HDF5 have the text of a geometry inside.
        return ""
    head = beginning.decode("utf-8", "replace").replace("\r\n", "\n")
    if is_experiments(head):
        return "DIALS experiment list" if LIST_ID in head else ""
    if OF_CRYSTFEL.search(head) and "stream format" not in head[:40]:
        return "CrystFEL geometry"
    return "XDS geometry" if is_xds_geometry(head) else ""


def inspect_geometry(path: str) -> GeometryReport:
    """Summarise a geometry file.

    Raises
    ------
    InputError
        If the file cannot be used; all of its faults are attached.
    """
    geometry = read_geometry(path)
    if not isinstance(geometry, Geometry):
        raise InputError(path, "is a beam shift, not a geometry")
    detectors, text = 1, read_text(path) or ""
    if is_experiments(text):
        detectors = len(parse_experiments(path, text).models)
    offset = offset_along_beam(geometry.detector)
    return GeometryReport(
        format_of_geometry(path),
        len(geometry.detector.panels),
        detectors,
        _shown(geometry.wavelength, lambda reading: f"{reading.angstrom:.5f} A"),
        _shown(geometry.distance, lambda reading: f"{reading.millimetres + offset:.3f} mm"),
        list(geometry.notes),
    )


def _shown(reading: Reading | None, number: Callable[[Reading], str]) -> str:
    """A quantity as text: its number, or the dataset that holds it."""
    if reading is None:
        return ""
    return f"in {reading.path} ({reading.unit})" if reading.value is None else number(reading)
