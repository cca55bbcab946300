"""Detector geometries of any format, recognised by the content."""

from __future__ import annotations

from ...errors import InputError
from ...model.detector.geometry_file import BEAM_SHIFT, geometry_text, parse_shift_alone
from ...model.detector.panels import Geometry
from ..files.content import read_text
from .crystfel import parse_crystfel
from .dials import is_experiments, parse_experiments
from .xds import is_xds_geometry, parse_xds_geometry


def read_geometry(path: str) -> Geometry:
    """A CrystFEL geometry file, a DIALS experiment list, XDS.INP or XPARM.XDS, or the NXmx entries of an HDF5 file.

    Raises
    ------
    InputError
        Naming the line or the panel.
    """
    text = read_text(path)
    if text is not None:
        return parse_geometry(path, text)
    from ..files.datasets import open_file
    from .nxmx import nxmx_geometry

    with open_file(path) as file:
        geometry = nxmx_geometry(file, path)
    if geometry is None:
        wanted = "wavelength, distance, sizes of a pixel and beam centre in /entry/instrument"
        raise InputError(path, f"is an HDF5 file without a geometry, which is {wanted}")
    return geometry


def parse_geometry(path: str, text: str) -> Geometry:
    """The geometry that the text of a geometry file in any known format describes; `path` is for messages.

    A CrystFEL geometry file is tried last: it is recognised by nothing but its lines, which are named where they are
    wrong.

    Raises
    ------
    InputError
        Naming the line or the panel.
    """
    if text.startswith(BEAM_SHIFT):
        return parse_shift_alone(text)
    if is_experiments(text):
        return parse_experiments(path, text).geometry
    if is_xds_geometry(text):
        # Read back, so that the spots are made by the very numbers that results record.
        return parse_crystfel(path, geometry_text(parse_xds_geometry(path, text)))
    return parse_crystfel(path, text)
