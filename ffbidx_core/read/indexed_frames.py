"""The frames of results together with their spots, which are read again from the input."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..model.basis import ChangeOfBasis, ConventionalCells, as_given
from ..model.cell import Array
from ..model.crystal import assign_spots
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.detector.peaks import DetectorPeaks
from ..model.lattice import InputCell, Lattice
from ..model.records.frame import FrameStatus
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, RunRecord
from ..parameters import Parameters
from .files.content import is_growing
from .files.identity import identity_now, text_of
from .formats.hdf5.kept import KeptSpots, keeps_spots
from .formats.open import open_spots
from .formats.spot_file import SpotFile
from .geometry.any import parse_given

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

    @property
    def image(self) -> tuple[str, str]:
        """Image file and event, as CrystFEL names them; bytes that are not valid text are escaped."""
        image, event = image_of(self.source, self.index, self.name)
        return text_of(image), text_of(event)


def image_of(source: str, index: int, name: str) -> tuple[str, str]:
    """Image file and event of a frame, from a name such as `image.cxi //3`, else from its file and index."""
    match = _IMAGE.fullmatch(name)
    return (match["image"], match["event"]) if match else (source, f"//{index}")


@dataclass
class RunInputs:
    """The inputs of a run, from which the spots of its frames are read again.

    Attributes
    ----------
    geometry : Geometry, ShiftAlone or None
        Geometry that was given for the inputs; None for each input's own.
    lattices : tuple of Lattice
        Lattices of the first input cells; those of further cells follow from their axes and angles.
    identities : dict
        Identity that each input had when it was indexed, by its name; empty if inputs are not to be compared.
    folder : str
        Folder in which inputs are sought besides the current directory.
    kept : str
        Results file that keeps the spots; empty if they are read from the inputs.
    scratch : str
        Folder for bytes that wait to be written; empty for the system's folder of temporary files.
    unchanged : set of str
        Names in `identities` of inputs that were compared already.
    made : dict
        Record of the run for the output, as `record_of` gives it.
    """

    geometry: GivenGeometry | None = None
    lattices: tuple[Lattice, ...] = ()
    identities: dict[str, InputIdentity] = field(default_factory=dict)
    folder: str = ""
    kept: str = ""
    scratch: str = ""
    unchanged: set[str] = field(default_factory=set)
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_header(
        cls, header: ResultsHeader, geometry: GivenGeometry | None, record: RunRecord, path: str
    ) -> RunInputs:
        """The inputs that a results file records; a geometry that is given replaces the recorded one."""
        lattices = tuple(Lattice.of_code(code) for code in header.lattices.split())
        # Another geometry converts the inputs' peaks to other spots.
        kept = path if geometry is None and keeps_spots(path) else ""
        geometry = geometry or _recorded_geometry(header)
        return cls(geometry, lattices, {known.path: known for known in record.inputs}, os.path.dirname(path), kept)

    def as_recorded(self, header: ResultsHeader) -> RunInputs:
        """A copy with the geometry that the run had at its end, since the run may have shifted the beam."""
        known = "" if self.geometry is None else self.geometry.text
        return self if known == header.geometry else replace(self, geometry=_recorded_geometry(header))

    def beside(self, output: str) -> RunInputs:
        """A copy with scratch files beside an output, whose file system must have room for them anyway."""
        return replace(self, scratch=os.path.dirname(os.path.realpath(output)))

    def lattice(self, results: Results, row: int) -> Lattice:
        """The lattice of a row of `/input_cells`."""
        return self.lattice_of(results.input_cells, row)

    def lattice_of(self, input_cells: ConventionalCells, row: int) -> Lattice:
        """The lattice of a row of the run's input cells (m, 3, 3)."""
        return self.lattices[row] if row < len(self.lattices) else Lattice.of_cell(input_cells[row])

    def change_of_basis(self, input_cells: ConventionalCells) -> ChangeOfBasis:
        """The changes of basis between the run's conventional input cells (m, 3, 3) and their primitive cells."""
        rows = range(len(input_cells))
        return ChangeOfBasis.of_each(input_cells, [self.lattice_of(input_cells, row).centring for row in rows])

    def input_cell(self, results: Results) -> InputCell | None:
        """The run's input cell, or None if the run has several."""
        is_one = len(results.input_cells) == 1
        return InputCell(as_given(results.input_cells[0]), self.lattice(results, 0)) if is_one else None


def _recorded_geometry(header: ResultsHeader) -> GivenGeometry | None:
    """The geometry that the header of results records; None if there is none."""
    if not header.geometry:
        return None
    geometry, shift = parse_given("the geometry in the results", header.geometry), header.half_pixel_shift
    if not isinstance(geometry, Geometry):
        return geometry
    return replace(geometry, half_pixel_shift=None if shift == "" else shift == "yes")


def indexed_frames(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[IndexedFrame]:
    """The frames of results, in pieces of consecutive frames, with their spots, without frames that were unreadable.

    Raises
    ------
    InputError
        If an input no longer exists, has changed, or has lost a frame.
    """
    for results in pieces:
        coverage = _coverage(results)
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


def open_again(source: str, inputs: RunInputs) -> SpotFile:
    """Open an input of a run again.

    Raises
    ------
    InputError
        If the file no longer exists, or has changed since it was indexed.
    """
    if inputs.kept:
        return KeptSpots(inputs.kept, source)
    path = next((p for p in (source, os.path.join(inputs.folder, source)) if os.path.lexists(p)), None)
    if path is None:
        raise InputError(source, "is no longer there, and its spots are needed: run this where the inputs are")
    known = inputs.identities.get(source)
    if known is not None and source not in inputs.unchanged:
        now = identity_now(path, known)
        # A file in SWMR mode only grows.
        if (change := now.change(known)) and not (is_growing(path) and now.size >= known.size):
            raise InputError(path, f"has changed since it was indexed: {change}")
        inputs.unchanged.add(source)
    return open_spots(path, inputs.geometry)


def _frames_of_file(
    file: SpotFile, results: Results, frames: Sequence[int], inputs: RunInputs, coverage: tuple[float, bool]
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
                read[index] = raw.spots[rows].astype(np.float64), peaks, raw.ids[i]
        for f in part:
            yield _indexed_frame(results, f, inputs, coverage, *read[int(results.index[f])])


def _indexed_frame(
    results: Results,
    f: int,
    inputs: RunInputs,
    coverage: tuple[float, bool],
    spots: Array,
    peaks: DetectorPeaks | None,
    name: str,
) -> IndexedFrame:
    """A frame of results with its spots assigned to its crystals."""
    rows = results.crystals[results.crystal_offsets[f] : results.crystal_offsets[f + 1]]
    cells = as_given(results.cells[rows].astype(np.float64))
    lattices = [inputs.lattice(results, int(row)) for row in results.input_cell[rows]]
    threshold, fractional = coverage
    spots = np.where(np.isfinite(spots), spots, 0.0) if not np.isfinite(spots).all() else spots
    crystal, hkl = assign_spots(
        spots, cells, [lattice.centring for lattice in lattices], threshold, fractional=fractional
    )
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
    )
