"""Spot files of every format, recognised by their content."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import InputError
from ...model.detector.beam_shift import BeamShift, ShiftAlone
from ...model.detector.panels import Geometry, GivenGeometry
from ..files.content import is_hdf5, read_head, read_text
from ..files.probe import check_opens
from ..geometry.dials import TABLE_ID, is_experiments, refuse_data_block
from .shifted import ShiftedSpots, with_shifted_beam
from .spot_file import SpotFile
from .stream import SIGNATURE, StreamFile
from .text import TextFile
from .xds import SpotXdsFile, is_spot_xds

_LONGEST_SIGNATURE = 64
"""Bytes at the start of a reflection table within which its name comes."""


@dataclass(frozen=True)
class _Content:
    """The content of a file, read as far as it is asked for."""

    path: str

    @functools.cached_property
    def head(self) -> bytes:
        """The first bytes of the file."""
        return read_head(self.path)

    @functools.cached_property
    def text(self) -> str | None:
        """The text of the file, None for HDF5; an `InputError` for all else."""
        return read_text(self.path)


@dataclass(frozen=True)
class _Format:
    """How a format is recognised and opened, and why it is tried where it stands in its table.

    Attributes
    ----------
    matches : callable
        Takes the content of a file; whether the file is in this format.
    open : callable
        Takes content and geometry.
    reason : str
        Why the format is tried neither earlier nor later.
    """

    matches: Callable[[_Content], bool]
    open: Callable[[_Content, Geometry | None], SpotFile]
    reason: str


def _open_stream(content: _Content, geometry: Geometry | None) -> SpotFile:
    return StreamFile(content.path, geometry)


def _open_dials(content: _Content, geometry: Geometry | None) -> SpotFile:
    from .dials import DialsFile

    return DialsFile(content.path, geometry)


def _open_hdf5(content: _Content, geometry: Geometry | None) -> SpotFile:
    # Not imported for text, which is read without h5py.
    from .hdf5.open import open_hdf5_spots

    return open_hdf5_spots(content.path, geometry)


def _refuse_json(content: _Content, geometry: Geometry | None) -> SpotFile:
    raise InputError(content.path, "is JSON: name the reflections of DIALS (.refl), and its experiment list with -g")


def _open_spot_xds(content: _Content, geometry: Geometry | None) -> SpotFile:
    return SpotXdsFile(content.path, content.text or "", geometry)


def _open_text(content: _Content, geometry: Geometry | None) -> SpotFile:
    refuse_data_block(content.path, content.text or "")
    return TextFile(content.path, content.text or "")


FORMATS = (
    _Format(
        lambda content: content.head.startswith(SIGNATURE.encode()),
        _open_stream,
        "by its first line, since streams are larger than text that is read whole",
    ),
    _Format(
        lambda content: TABLE_ID.encode() in content.head[:_LONGEST_SIGNATURE],
        _open_dials,
        "before the text is read, which refuses MessagePack as neither HDF5 nor text",
    ),
    _Format(
        lambda content: content.text is None,
        _open_hdf5,
        "before all that asks for the text",
    ),
    _Format(
        lambda content: is_experiments(content.text or ""),
        _refuse_json,
        "before spots in text, whose reader would call the first line no number",
    ),
    _Format(
        lambda content: is_spot_xds(content.text or ""),
        _open_spot_xds,
        "before spots in text, which pixels in columns could pass for",
    ),
    _Format(
        lambda content: True,
        _open_text,
        "last: any text may be meant as spots, and its reader names the line that is none",
    ),
)
"""The formats in the order in which they are tried; the first that matches opens the file."""


def open_spots(path: str, geometry: GivenGeometry | None = None) -> SpotFile:
    """Open a spot file, its format recognised by its content.

    Parameters
    ----------
    geometry
        For peaks in detector pixels; None: the file's own.

    Raises
    ------
    InputError
        When the file cannot be used, or needs a geometry that is not there.
    """
    if isinstance(geometry, ShiftAlone):
        return _open_shifted(path, geometry.beam_shift)
    check_opens(path)
    content = _Content(path)
    return next(each for each in FORMATS if each.matches(content)).open(content, geometry)


def _open_shifted(path: str, shift: BeamShift) -> SpotFile:
    file = open_spots(path)
    if file.geometry is None:
        return ShiftedSpots(file, shift)
    with contextlib.closing(file):
        moved = with_shifted_beam(file.geometry, shift, file)
    return open_spots(path, moved)


def is_results(path: str) -> bool:
    """Whether a file is a results file of this program."""
    if not is_hdf5(read_head(path)):
        return False
    from ..files.datasets import open_file
    from .hdf5.open import holds_results

    with open_file(path) as file:
        return holds_results(file, path)
