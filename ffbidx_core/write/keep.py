"""Keeping the spots of a run's frames in its results file.

A child process writes them, because HDF5 may end the whole process if the disk is full.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError, UsageError
from ..model.crystal import NO_CRYSTAL
from ..model.detector.panels import Geometry
from ..model.detector.peaks import DetectorPeaks
from ..model.records.frame import FrameStatus
from ..model.records.ragged import offsets_of
from ..model.records.results import Results
from ..read.formats.hdf5.kept import GROUP
from ..read.indexed_frames import geometry_of, indexed_frames
from ..read.results import read_run, results_in_pieces
from ..read.run_inputs import RunInputs
from .atomic import beside, pieces_of, publish_file, write_file
from .formats.spots import append_rows, rows_dataset
from .join import errors_in_a_line

COLUMNS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "xyz": ("f4", (3,), "1/angstrom"),
    "crystal": ("i8", (), ""),
    "hkl": ("i4", (3,), ""),
    "pixel": ("f8", (3,), "pixel"),
    "intensity": ("f8", (), ""),
}
"""Datasets with a row for each spot: their type, further dimensions, and unit."""


def keep_spots(path: str) -> None:
    """Add the spots of all frames, read again from the inputs, to a results file, which is complete at any time.

    Raises
    ------
    OutputError
        If the spots cannot be read or written; the results file then stays as it was.
    """
    target = os.path.realpath(path)
    temporary = beside(target, ".part")
    try:
        # This is a copy and not a second name, because it is changed before it replaces the original.
        write_file(temporary, _pieces(target), overwrite=False)
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, temporary, path],
            text=True,
            errors="surrogateescape",
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or [f"status {done.returncode} (is the disk full?)"]
            raise OutputError(path, f"its spots cannot be kept: {reason[-1]}")
        publish_file(temporary, path, overwrite=True)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from pieces_of(file)


_PROGRAM = "import sys; from ffbidx_core.write.keep import child; sys.exit(child(*sys.argv[1:]))"


def child(temporary: str, path: str) -> int:
    """Add spots to a copy of a results file; this is the program of the child of `keep_spots`."""
    with errors_in_a_line(), h5py.File(temporary, "r+") as file:
        _add(file, path)
    return 0


def _add(file: h5py.File, path: str) -> None:
    header, _, record, _, _ = read_run(path)
    inputs = RunInputs.of_header(header, None, record, path)
    if GROUP in file:
        del file[GROUP]
    group = file.create_group(GROUP)
    for name, (kind, tail, units) in COLUMNS.items():
        rows_dataset(group, name, kind, tail, units)
    of_frames = _OfFrames()
    n_crystals = 0
    for results in results_in_pieces(path):
        if not of_frames.geometries:
            with contextlib.suppress(UsageError):
                of_frames.geometries[geometry_of(results, inputs).text] = 0
        n_crystals = _add_piece(group, results, inputs, of_frames, n_crystals)
    of_frames.write(group)


@dataclass
class _OfFrames:
    """What is kept of each frame: its number of spots, its beam, and the place and geometry of its detector.

    Attributes
    ----------
    counts : list of int
        Number of spots.
    places : list of (4,) float
        Wavelength, angstrom, and distance and displacement of the detector along x and y, mm; nan without pixels.
    geometry : list of int
        Number of the geometry, -1 without pixels.
    geometries : dict
        Number of each geometry, by its text.
    """

    counts: list[int] = field(default_factory=list)
    places: list[tuple[float, float, float, float]] = field(default_factory=list)
    geometry: list[int] = field(default_factory=list)
    geometries: dict[str, int] = field(default_factory=dict)

    def add(self, n: int, peaks: DetectorPeaks | None, geometry: Geometry | None) -> None:
        """Append a frame with n spots."""
        self.counts.append(n)
        if peaks is None or geometry is None:
            self.places.append((np.nan,) * 4)
            self.geometry.append(-1)
            return
        x, y = (0.0, 0.0) if peaks.shift is None else peaks.shift[0].tolist()
        self.places.append((float(peaks.wavelength[0]), float(peaks.distance[0]), x, y))
        self.geometry.append(self.geometries.setdefault(geometry.text, len(self.geometries)))

    def write(self, group: h5py.Group) -> None:
        """Write the datasets with a row for each frame."""
        group["offsets"] = offsets_of(self.counts)
        if not self.geometries:
            del group["pixel"], group["intensity"]
            return
        first, *others = self.geometries
        group.attrs["geometry"] = first
        places = np.array(self.places, dtype=np.float64).reshape(-1, 4)
        group["wavelength"], group["distance"] = places[:, 0], places[:, 1]
        if np.nan_to_num(places[:, 2:]).any():
            group["shift"] = places[:, 2:]
            group["shift"].attrs["units"] = "mm"
        if others:
            group.create_dataset("geometries", data=[first, *others], dtype=h5py.string_dtype("utf-8"))
            group["geometry"] = np.array(self.geometry, dtype=np.int32)
        group["wavelength"].attrs["units"], group["distance"].attrs["units"] = "angstrom", "mm"


def _add_piece(group: h5py.Group, results: Results, inputs: RunInputs, of_frames: _OfFrames, n_crystals: int) -> int:
    """Append the spots of some frames, and return the number of crystals so far, including those of these frames."""
    frames = indexed_frames([results], inputs)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}
    for f in range(results.n_frames):
        if results.status[f] == FrameStatus.UNREADABLE:
            of_frames.add(0, None, None)
            continue
        frame = next(frames)
        n, peaks = len(frame.spots), frame.peaks
        of_frames.add(n, peaks, frame.geometry)
        first = n_crystals + int(results.crystal_offsets[f])
        parts["xyz"].append(frame.spots)
        parts["crystal"].append(np.where(frame.crystal == NO_CRYSTAL, NO_CRYSTAL, frame.crystal + first))
        parts["hkl"].append(frame.hkl)
        parts["pixel"].append(np.zeros((n, 3)) if peaks is None else peaks.pixels)
        intensity = None if peaks is None else peaks.intensity
        parts["intensity"].append(np.zeros(n) if intensity is None else intensity)
    for name, arrays in parts.items():
        if arrays:
            append_rows(group[name], np.concatenate(arrays))
    return n_crystals + len(results.crystals)
