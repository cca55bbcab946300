"""Spot files of every format, told apart by content."""

from __future__ import annotations

import contextlib

from ...errors import InputError
from ...model.detector.beam_shift import BeamShift
from ...model.detector.panels import Geometry
from ...model.records.results import FORMAT as RESULTS
from ..files.content import is_hdf5, read_head, read_text
from ..files.probe import check_opens
from ..geometry.dials import HDF5_GROUP, TABLE_ID, is_experiments
from .shifted import ShiftedSpots, with_shifted_beam
from .spot_file import SpotFile
from .stream import SIGNATURE, StreamFile
from .text import TextFile
from .xds import SpotXdsFile, is_spot_xds


def open_spots(path: str, geometry: Geometry | None = None) -> SpotFile:
    """Open a spot file, its format told by its content.

    Parameters
    ----------
    geometry
        For peaks in detector pixels; None: the file's own.

    Raises
    ------
    InputError
        When the file cannot be used, or needs a geometry that is not there.
    """
    if geometry is not None and geometry.beam_shift is not None:
        return _open_shifted(path, geometry.beam_shift)
    check_opens(path)
    if read_head(path).startswith(SIGNATURE.encode()):
        return StreamFile(path, geometry)
    if TABLE_ID.encode() in read_head(path, 64):
        return _open_dials(path, geometry)
    text = read_text(path)
    if text is not None and is_experiments(text):
        raise InputError(path, "is JSON: name the reflections of DIALS (.refl), and its experiment list with -g")
    if text is None:
        return _open_hdf5(path, geometry)
    return SpotXdsFile(path, text, geometry) if is_spot_xds(text) else TextFile(path, text)


def _open_shifted(path: str, shift: BeamShift) -> SpotFile:
    file = open_spots(path)
    if file.geometry is None:
        return ShiftedSpots(file, shift)
    with contextlib.closing(file):
        moved = with_shifted_beam(file.geometry, shift, file)
    return open_spots(path, moved)


def _open_dials(path: str, geometry: Geometry | None) -> SpotFile:
    from .dials import DialsFile

    return DialsFile(path, geometry)


def is_results(path: str) -> bool:
    """Whether a file is a results file of this program."""
    if not is_hdf5(read_head(path)):
        return False
    from ..files.datasets import errors_of, open_file

    with open_file(path) as file, errors_of(path, "attributes"):
        return bool(file.attrs.get("format") == RESULTS)


def _open_hdf5(path: str, geometry: Geometry | None) -> SpotFile:
    from ..files.datasets import errors_of, find, open_file
    from .cxi import CxiFile, find_peak_lists
    from .events import EventsFile, names_events
    from .hdf5 import Hdf5File

    with open_file(path) as file:
        with errors_of(path, "attributes"):
            if file.attrs.get("format") == RESULTS:
                raise InputError(path, "holds results, not spots: `ffbidx convert` and `ffbidx table` read it")
        is_dials = find(file, path, HDF5_GROUP) is not None
        has_spots = find(file, path, "/spots") is not None
        has_events = not has_spots and names_events(file, path, geometry)
        has_peak_lists = not has_spots and find_peak_lists(file, path, geometry) is not None
    if is_dials and not has_spots:
        return _open_dials(path, geometry)
    if has_events:
        return EventsFile(path, geometry)
    return CxiFile(path, geometry) if has_peak_lists else Hdf5File(path, geometry)
