"""The frames of results together with their spots, which are read again from the input."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..model.basis import ConventionalCells, as_given
from ..model.cell import Array
from ..model.crystal import NO_CRYSTAL, assign_spots
from ..model.detector.panels import Geometry
from ..model.detector.peaks import DetectorPeaks
from ..model.lattice import Lattice
from ..model.records.frame import FrameStatus
from ..model.records.results import Results
from ..parameters import Parameters
from .files.identity import text_of
from .formats.spot_file import SpotFile
from .run_inputs import RunInputs, open_again

FRAMES_AT_ONCE = 256
"""Number of frames whose spots are read at once."""
NO_PIXELS = "its spots have no pixels on a detector, which this output needs: give peaks, and a geometry with -g FILE"

_IMAGE = re.compile(r"(?P<image>.+) (?P<event>\S*//\S*)", re.DOTALL)


@dataclass
class IndexedFrame:
    """A frame with its n spots and k crystals.

    Attributes
    ----------
    source : str
        File from which the frame was read.
    index : int
        Index of the frame in that file, from 0.
    name : str
        Name of the frame in the file, or empty.
    status : FrameStatus
        Outcome of the frame.
    spots : (n, 3) float64
        Spots as the file has them, 1/angstrom; zeros in place of numbers that are not finite.
    peaks : DetectorPeaks or None
        Positions of the spots on the detector; None if the file has none.
    cells : (k, 3, 3) float64
        Oriented conventional cells of the crystals, the best first; rows a, b, c, angstrom.
    lattices : list of Lattice, k
        Lattice of each crystal.
    resolution : (k,) float32
        Resolution up to which each crystal indexes spots, angstrom; nan if it is not known.
    crystal : (n,) int64
        Number of the crystal that indexes each spot, or -1.
    hkl : (n, 3) int64
        Miller indices of each spot; zeros for a spot of no crystal.
    input_cell : (k,) int64
        Row of the run's input cells that each crystal came from.
    geometry : Geometry or None
        Geometry by which the pixels of the spots are to be understood; None if the spots have no pixels.
    """

    source: str
    index: int
    name: str
    status: FrameStatus
    spots: Array
    peaks: DetectorPeaks | None
    cells: ConventionalCells
    lattices: list[Lattice]
    resolution: NDArray[np.float32]
    crystal: NDArray[np.int64]
    hkl: NDArray[np.int64]
    input_cell: NDArray[np.int64]
    geometry: Geometry | None = None

    @property
    def image(self) -> tuple[str, str]:
        """Image file and event, as CrystFEL names them; bytes that are not valid text are escaped."""
        image, event = image_of(self.source, self.index, self.name)
        return text_of(image), text_of(event)


def image_of(source: str, index: int, name: str) -> tuple[str, str]:
    """Image file and event of a frame, from a name such as `image.cxi //3`, else from its file and index."""
    match = _IMAGE.fullmatch(name)
    return (match["image"], match["event"]) if match else (source, f"//{index}")


def indexed_frames(pieces: Iterable[Results], inputs: RunInputs, *, assigns: bool = True) -> Iterator[IndexedFrame]:
    """The frames of results, in pieces of consecutive frames, with their spots, without frames that were unreadable.

    Parameters
    ----------
    pieces
        The results.
    inputs
        The inputs of the run, in which the spots are.
    assigns
        Whether each spot is assigned to the crystal that indexes it; otherwise no crystal indexes any spot.

    Raises
    ------
    InputError
        If an input no longer exists, has changed, or has lost a frame.
    """
    for results in pieces:
        coverage = _coverage(results) if assigns else None
        readable = np.flatnonzero(results.status != FrameStatus.UNREADABLE)
        for source, group in itertools.groupby(readable.tolist(), results.source.__getitem__):
            with contextlib.closing(open_again(source, inputs)) as file:
                yield from _frames_of_file(file, results, list(group), inputs, coverage)


def _coverage(results: Results) -> tuple[float, bool]:
    """Threshold below which a crystal of the results indexes a spot; see `Parameters.coverage`."""
    values: dict[str, Any] = json.loads(results.header.parameters)
    names = ("accept", "method", "crystals_threshold")
    return Parameters(**{name: values[name] for name in names if name in values}).coverage


def geometry_of(results: Results, inputs: RunInputs) -> Geometry:
    """The geometry of the first frame that can be read, else the geometry that was given.

    Raises
    ------
    UsageError
        If there is neither.
    """
    for source, status in zip(results.source, results.status, strict=True):
        if status != FrameStatus.UNREADABLE:
            with contextlib.closing(open_again(source, inputs)) as file:
                return file_geometry(file)
    if not isinstance(inputs.geometry, Geometry):
        raise UsageError("no input can be read, so that there is no geometry: give it with -g FILE")
    return inputs.geometry


def file_geometry(file: SpotFile) -> Geometry:
    """The geometry of an open spot file, or a `UsageError` if its spots have no pixels."""
    if file.geometry is None:
        raise UsageError(f"{file.path}: {NO_PIXELS}")
    return file.geometry


def _frames_of_file(
    file: SpotFile, results: Results, frames: Sequence[int], inputs: RunInputs, coverage: tuple[float, bool] | None
) -> Iterator[IndexedFrame]:
    """Some frames of results, given by their rows, whose spots are in one file."""
    for begin in range(0, len(frames), FRAMES_AT_ONCE):
        part = frames[begin : begin + FRAMES_AT_ONCE]
        wanted = results.index[part]
        if wanted.max() >= file.n_frames:
            raise InputError(file.path, f"has no frame {wanted.max()} any more: it holds {file.n_frames}")
        # A frame may be named more than once, and in any order.
        distinct = np.unique(wanted)
        read = {}
        for raw in file.read(distinct):
            for i, index in enumerate(raw.indices.tolist()):
                rows = slice(int(raw.offsets[i]), int(raw.offsets[i + 1]))
                peaks = None if raw.peaks is None else raw.peaks[rows, slice(i, i + 1)]
                read[index] = raw.spots[rows].astype(np.float64), peaks, raw.ids[i], raw.geometry
        for f in part:
            yield _indexed_frame(results, f, inputs, coverage, *read[int(results.index[f])])


def _indexed_frame(
    results: Results,
    f: int,
    inputs: RunInputs,
    coverage: tuple[float, bool] | None,
    spots: Array,
    peaks: DetectorPeaks | None,
    name: str,
    geometry: Geometry | None,
) -> IndexedFrame:
    """A frame of results with its spots, which are assigned to its crystals by a coverage; None: to no crystal."""
    rows = results.crystals[results.crystal_offsets[f] : results.crystal_offsets[f + 1]]
    cells, input_cell = as_given(results.cells[rows].astype(np.float64)), results.input_cell[rows].astype(np.int64)
    lattices = [inputs.lattice_of(results.input_cells, row) for row in input_cell.tolist()]
    spots = np.where(np.isfinite(spots), spots, 0.0) if not np.isfinite(spots).all() else spots
    crystal, hkl = np.full(len(spots), NO_CRYSTAL, np.int64), np.zeros((len(spots), 3), np.int64)
    if coverage is not None:
        threshold, fractional = coverage
        centrings = [lattice.centring for lattice in lattices]
        crystal, hkl = assign_spots(spots, cells, centrings, threshold, fractional=fractional)
    return IndexedFrame(
        results.source[f],
        int(results.index[f]),
        name,
        FrameStatus(int(results.status[f])),
        spots,
        peaks,
        cells,
        lattices,
        results.resolution[results.crystal_offsets[f] : results.crystal_offsets[f + 1]],
        crystal,
        hkl,
        input_cell,
        geometry,
    )
