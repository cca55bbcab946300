"""Opening of HDF5 spot files of any format, which is recognised by the datasets in the file."""

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
    """A format: how it is recognised and opened, and the reason for its place in the table.

    Attributes
    ----------
    matches : callable
        Function of an open file, its path and the geometry that returns whether the file has this format.
    open : callable
        Function of path and geometry that opens the file.
    reason : str
        Reason why the format is tried neither earlier nor later.
    """

    matches: Callable[[h5py.File, str, Geometry | None], bool]
    open: Callable[[str, Geometry | None], SpotFile]
    reason: str


FORMATS = (
    _Format(
        lambda file, path, geometry: find(file, path, SPOTS) is not None,
        Hdf5File,
        "first, since such a file may also hold the peaks from which its spots were computed",
    ),
    _Format(
        lambda file, path, geometry: find(file, path, HDF5_GROUP) is not None,
        DialsFile,
        "before peak lists that a geometry names, since the geometry of a table is its experiment list",
    ),
    _Format(
        names_events,
        EventsFile,
        "before CXI peak lists in their usual places, since the geometry names other peak lists",
    ),
    _Format(
        lambda file, path, geometry: find_peak_lists(file, path, geometry) is not None,
        CxiFile,
        "after the formats that are recognised by a name of their own or by the geometry",
    ),
    _Format(
        lambda file, path, geometry: True,
        Hdf5File,
        "last, since its reader reports that there are no spots, and lists the content of the file",
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
