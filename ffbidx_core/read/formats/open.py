"""Opening of spot files of any format, which is recognised by the content."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import InputError
from ...model.detector.beam_shift import ShiftAlone
from ...model.detector.panels import Geometry, GivenGeometry
from ..files.compressed import errors_of_file
from ..files.content import is_hdf5, read_head, read_text
from ..files.inputs import SPOT_SUFFIXES, spot_files
from ..files.probe import Prober, check_opens
from ..geometry.dials import TABLE_ID, is_experiments, refuse_data_block
from .shifted import ShiftedSpots, with_shifted_beam
from .spot_file import SpotFile
from .stream import SIGNATURE, StreamFile
from .text import TextFile, refuse_table
from .xds import SpotXdsFile, is_spot_xds

_LONGEST_SIGNATURE = 64
"""Number of bytes at the beginning of a reflection table that contain the name of the format."""


@dataclass(frozen=True)
class _Content:
    """The content of a file, of which only the parts that are accessed are read."""

    path: str

    @functools.cached_property
    def head(self) -> bytes:
        """The first bytes of the file."""
        return read_head(self.path)

    @functools.cached_property
    def text(self) -> str | None:
        """The text of the file, or None for HDF5; anything else raises an `InputError`."""
        if os.path.isdir(self.path) and not spot_files(self.path):
            with errors_of_file(self.path):
                os.listdir(self.path)
            suffixes = ", ".join(SPOT_SUFFIXES)
            raise InputError(self.path, f"is a directory without spot files, whose names end in {suffixes}")
        return read_text(self.path)


@dataclass(frozen=True)
class _Format:
    """A format: how it is recognised and opened, and the reason for its place in the table.

    Attributes
    ----------
    matches : callable
        Function of the content of a file that returns whether the file has this format.
    open : callable
        Function of content and geometry that opens the file.
    reason : str
        Reason why the format is tried neither earlier nor later.
    """

    matches: Callable[[_Content], bool]
    open: Callable[[_Content, Geometry | None], SpotFile]
    reason: str


def _open_stream(content: _Content, geometry: Geometry | None) -> SpotFile:
    """Open a CrystFEL stream."""
    return StreamFile(content.path, geometry)


def _open_dials(content: _Content, geometry: Geometry | None) -> SpotFile:
    """Open a DIALS reflection table."""
    from .dials import DialsFile

    return DialsFile(content.path, geometry)


def _open_hdf5(content: _Content, geometry: Geometry | None) -> SpotFile:
    """Open an HDF5 file of any format."""
    # Imported here, since text is read without h5py.
    from .hdf5.open import open_hdf5_spots

    return open_hdf5_spots(content.path, geometry)


def _refuse_json(content: _Content, geometry: Geometry | None) -> SpotFile:
    """Reject a JSON file, which is probably an experiment list."""
    raise InputError(content.path, "is JSON: name the reflections of DIALS (.refl), and its experiment list with -g")


def _open_spot_xds(content: _Content, geometry: Geometry | None) -> SpotFile:
    """Open SPOT.XDS."""
    return SpotXdsFile(content.path, content.text or "", geometry)


def _open_text(content: _Content, geometry: Geometry | None) -> SpotFile:
    """Open a text file with the spots of one frame."""
    refuse_data_block(content.path, content.text or "")
    refuse_table(content.path, content.text or "")
    return TextFile(content.path, content.text or "")


FORMATS = (
    _Format(
        lambda content: content.head.startswith(SIGNATURE.encode()),
        _open_stream,
        "first, by its first line, since streams are too large to be read whole as text",
    ),
    _Format(
        lambda content: TABLE_ID.encode() in content.head[:_LONGEST_SIGNATURE],
        _open_dials,
        "before the text is read, since MessagePack is neither HDF5 nor text",
    ),
    _Format(
        lambda content: content.text is None,
        _open_hdf5,
        "before all formats that access the text",
    ),
    _Format(
        lambda content: is_experiments(content.text or ""),
        _refuse_json,
        "before spots in text, whose reader would report that the first line is not a number",
    ),
    _Format(
        lambda content: is_spot_xds(content.text or ""),
        _open_spot_xds,
        "before spots in text, for which columns of pixels could be mistaken",
    ),
    _Format(
        lambda content: True,
        _open_text,
        "last, since any text may be meant as spots, and the reader names the line that is not a spot",
    ),
)
"""The formats in the order in which they are tried; the first that matches opens the file."""


def open_spots(path: str, geometry: GivenGeometry | None = None, prober: Prober | None = None) -> SpotFile:
    """Open a spot file, whose format is recognised by its content.

    Parameters
    ----------
    path
        The spot file.
    geometry
        Geometry for peaks in detector pixels, or a beam shift; None for the file's own geometry.
    prober
        Opens the file first, in case it hangs; None: it is opened at once.

    Raises
    ------
    InputError
        If the file cannot be used, or needs a geometry and has none.
    """
    if isinstance(geometry, ShiftAlone):
        return _open_shifted(path, geometry, prober)
    check_opens(path, prober)
    content = _Content(path)
    return next(each for each in FORMATS if each.matches(content)).open(content, geometry)


def _open_shifted(path: str, changes: ShiftAlone, prober: Prober | None) -> SpotFile:
    """Open a spot file with its beam shifted."""
    file = open_spots(path, prober=prober)
    if file.geometry is None:
        return ShiftedSpots(file, changes.beam_shift, changes.distortion)
    with contextlib.closing(file):
        moved = with_shifted_beam(file.geometry, changes.beam_shift, file, changes.distortion)
    return open_spots(path, moved, prober)


def is_results(path: str) -> bool:
    """Whether a file is a results file of this program."""
    if not is_hdf5(read_head(path)):
        return False
    from ..files.datasets import open_file
    from .hdf5.open import holds_results

    with open_file(path) as file:
        return holds_results(file, path)
