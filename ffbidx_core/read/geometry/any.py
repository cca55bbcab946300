"""Reading of detector geometries of any format, which is recognised by the content."""

from __future__ import annotations

from ...errors import InputError
from ...model.detector.beam_shift import ShiftAlone
from ...model.detector.geometry_file import geometry_text
from ...model.detector.panels import Geometry, GivenGeometry
from ..files.content import read_text
from .crystfel import parse_crystfel
from .dials import is_experiments, parse_experiments, refuse_data_block
from .xds import is_xds_geometry, parse_xds_geometry


def read_geometry(path: str) -> GivenGeometry:
    """Read the geometry in a CrystFEL geometry file, DIALS experiment list, XDS.INP, XPARM.XDS or NXmx file.

    Raises
    ------
    InputError
        If the file contains no usable geometry; the message names the line or the panel.
    """
    text = read_text(path)
    if text is not None:
        return parse_given(path, text)
    from ..files.datasets import open_file
    from .nxmx import nxmx_geometry

    with open_file(path) as file:
        geometry = nxmx_geometry(file, path)
    if geometry is None:
        wanted = "wavelength, distance, sizes of a pixel and beam centre in /entry/instrument"
        raise InputError(path, f"is an HDF5 file without a geometry, which is {wanted}")
    return geometry


def parse_given(path: str, text: str) -> GivenGeometry:
    """The geometry or beam shift that a text from results describes; `path` is for messages. See `parse_geometry`."""
    return ShiftAlone.of_text(text) or parse_geometry(path, text)


def parse_geometry(path: str, text: str) -> Geometry:
    """The geometry that the text of a geometry file in any known format describes; `path` is for messages.

    CrystFEL's format is tried last, since only its individual lines can be recognised; wrong ones are reported.

    Raises
    ------
    InputError
        If the text describes no usable geometry; the message names the line or the panel.
    """
    refuse_data_block(path, text)
    if is_experiments(text):
        return parse_experiments(path, text).geometry
    if is_xds_geometry(text):
        # The geometry is read back, so that spots are computed from exactly the numbers that results record.
        return parse_crystfel(path, geometry_text(parse_xds_geometry(path, text)))
    return parse_crystfel(path, text)
