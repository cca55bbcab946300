"""Keeping the spots of a run's frames in its results file.

A child process writes them, because HDF5 may end the whole process if the disk is full.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import FfbidxError, OutputError, UsageError
from ..model.crystal import NO_CRYSTAL
from ..model.records.frame import FrameStatus
from ..model.records.ragged import offsets_of
from ..model.records.results import Results
from ..read.formats.hdf5.kept import GROUP
from ..read.indexed_frames import geometry_of, indexed_frames
from ..read.results import read_run, results_in_pieces
from ..read.run_inputs import RunInputs
from .atomic import publish_file, write_file

COLUMNS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "xyz": ("f4", (3,), "1/angstrom"),
    "crystal": ("i8", (), ""),
    "hkl": ("i4", (3,), ""),
    "pixel": ("f8", (3,), "pixel"),
    "intensity": ("f8", (), ""),
}
"""Datasets with a row for each spot: their type, further dimensions, and unit."""
_ROWS_PER_CHUNK = 2**14


def keep_spots(path: str) -> None:
    """Add the spots of all frames, read again from the inputs, to a results file, which is complete at any time.

    Raises
    ------
    OutputError
        If the spots cannot be read or written; the results file then stays as it was.
    """
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".ffbidx-{secrets.token_hex(6)}.part")
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
        yield from iter(lambda: file.read(2**20), b"")


_PROGRAM = "import sys; from ffbidx_core.write.keep import child; sys.exit(child(*sys.argv[1:]))"


def child(temporary: str, path: str) -> int:
    """Add spots to a copy of a results file; this is the program of the child of `keep_spots`."""
    try:
        with h5py.File(temporary, "r+") as file:
            _add(file, path)
    except (OSError, RuntimeError, FfbidxError) as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        # A normal exit would make HDF5 write its buffers again.
        os._exit(1)
    return 0


def _add(file: h5py.File, path: str) -> None:
    header, _, record, _, _ = read_run(path)
    inputs = RunInputs.of_header(header, None, record, path)
    if GROUP in file:
        del file[GROUP]
    group = file.create_group(GROUP)
    for name, (kind, tail, units) in COLUMNS.items():
        dataset = group.create_dataset(
            name,
            (0, *tail),
            kind,
            maxshape=(None, *tail),
            chunks=(_ROWS_PER_CHUNK, *tail),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )
        if units:
            dataset.attrs["units"] = units
    counts: list[int] = []
    beam: list[tuple[float, float]] = []
    n_crystals = 0
    for results in results_in_pieces(path):
        if "geometry" not in group.attrs:
            with contextlib.suppress(UsageError):
                group.attrs["geometry"] = geometry_of(results, inputs).text
        n_crystals = _add_piece(group, results, inputs, counts, beam, n_crystals)
    group["offsets"] = offsets_of(counts)
    group["wavelength"], group["distance"] = np.array(beam, dtype=np.float64).reshape(-1, 2).T
    group["wavelength"].attrs["units"], group["distance"].attrs["units"] = "angstrom", "mm"
    if "geometry" not in group.attrs:
        del group["pixel"], group["intensity"], group["wavelength"], group["distance"]


def _add_piece(
    group: h5py.Group,
    results: Results,
    inputs: RunInputs,
    counts: list[int],
    beam: list[tuple[float, float]],
    n_crystals: int,
) -> int:
    """Append the spots of some frames, and return the number of crystals so far, including those of these frames."""
    frames = indexed_frames([results], inputs)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}
    for f in range(results.n_frames):
        if results.status[f] == FrameStatus.UNREADABLE:
            counts.append(0)
            beam.append((np.nan, np.nan))
            continue
        frame = next(frames)
        n, peaks = len(frame.spots), frame.peaks
        if frame.geometry is not None and frame.geometry.text != group.attrs.get("geometry"):
            # There is room for one geometry, and pixels mean nothing with that of another frame.
            peaks = None
        first = n_crystals + int(results.crystal_offsets[f])
        counts.append(n)
        beam.append((np.nan, np.nan) if peaks is None else (peaks.wavelength[0], peaks.distance[0]))
        parts["xyz"].append(frame.spots)
        parts["crystal"].append(np.where(frame.crystal == NO_CRYSTAL, NO_CRYSTAL, frame.crystal + first))
        parts["hkl"].append(frame.hkl)
        parts["pixel"].append(np.zeros((n, 3)) if peaks is None else peaks.pixels)
        intensity = None if peaks is None else peaks.intensity
        parts["intensity"].append(np.zeros(n) if intensity is None else intensity)
    for name, arrays in parts.items():
        dataset, n = group[name], sum(len(values) for values in arrays)
        if n:
            dataset.resize(len(dataset) + n, axis=0)
            dataset[-n:] = np.concatenate(arrays)
    return n_crystals + len(results.crystals)
