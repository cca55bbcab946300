"""Spot files in HDF5 of every format, recognised by the datasets that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import h5py

from ....errors import InputError
from ....model.detector.panels import Geometry
from ....model.records.results import FORMAT as RESULTS
from ...files.datasets import errors_of, find, open_file
from ...geometry.dials import HDF5_GROUP
from ..dials import DialsFile
from ..spot_file import SpotFile
from .cxi import CxiFile, find_peak_lists
from .events import EventsFile, names_events
from .native import SPOTS, Hdf5File


@dataclass(frozen=True)
class _Format:
    """How a format is recognised and opened, and why it is tried where it stands in its table.

    Attributes
    ----------
    matches : callable
        Takes an open file, its path and the geometry; whether the file is in this format.
    open : callable
        Takes path and geometry.
    reason : str
        Why the format is tried neither earlier nor later.
    """

    matches: Callable[[h5py.File, str, Geometry | None], bool]
    open: Callable[[str, Geometry | None], SpotFile]
    reason: str


FORMATS = (
    _Format(
        lambda file, path, geometry: find(file, path, SPOTS) is not None,
        Hdf5File,
        "first: such a file may hold copies of the peaks that its spots were made of",
    ),
    _Format(
        lambda file, path, geometry: find(file, path, HDF5_GROUP) is not None,
        DialsFile,
        "before peak lists that a geometry names, since the geometry of a table is its experiment list",
    ),
    _Format(
        names_events,
        EventsFile,
        "before CXI peak lists in their usual places: the geometry says that these are not the ones",
    ),
    _Format(
        lambda file, path, geometry: find_peak_lists(file, path, geometry) is not None,
        CxiFile,
        "after the formats that a name of their own or the geometry points to",
    ),
    _Format(
        lambda file, path, geometry: True,
        Hdf5File,
        "last: its reader says that there are no spots, and what there is",
    ),
)
"""The formats in the order in which they are tried; the first that matches opens the file."""


def open_hdf5_spots(path: str, geometry: Geometry | None) -> SpotFile:
    """Open a spot file that is HDF5; see `open_spots`."""
    with open_file(path) as file:
        if holds_results(file, path):
            raise InputError(path, "holds results, not spots: `ffbidx convert` and `ffbidx table` read it")
        found = next(each for each in FORMATS if each.matches(file, path, geometry))
    return found.open(path, geometry)


def holds_results(file: h5py.File, path: str) -> bool:
    """Whether an HDF5 file is a results file of this program."""
    with errors_of(path, "attributes"):
        return bool(file.attrs.get("format") == RESULTS)
