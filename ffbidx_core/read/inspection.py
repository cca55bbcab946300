"""Numerical summaries of spot files and results files."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.cell import Array, cell_parameters
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.detector.peaks import note_of_panels
from ..model.records.frame import FrameBlock, FrameStatus
from .blocks import read_blocks
from .files.inputs import Source
from .formats.detectors import detectors_of
from .formats.hdf5.kept import keeps_spots
from .formats.open import open_spots
from .geometry.any import parse_given
from .results import read_results, read_run, results_in_pieces

BINS = 12
"""Largest number of bins of a histogram."""


@dataclass(frozen=True)
class SpotsReport:
    """A summary of spot files.

    Attributes
    ----------
    formats : list of str
        Formats of the files, each once.
    frames, bad_frames, spots, left_out : int
        Numbers of frames, bad frames, spots, and spots left out as padding or duplicates, in all files.
    off_panels : int
        Number of peaks that lie on no panel of the geometry, or on several.
    spots_per_frame : list of int or None
        Smallest, median and largest number of spots on a usable frame; None if there is none.
    histogram : list of (int, int, int)
        Smallest and largest number of spots in each bin, both included, and the number of frames in the bin.
    resolution : list of float or None
        Lowest and highest resolution of a spot, angstrom; None if there are no spots.
    cells : list of 6 float
        Cell parameters of the input cells that the files provide: lengths in angstrom, angles in degrees.
    panels : int
        Number of panels of the detector; 0 if there is no geometry.
    wavelength, distance : float or None
        Wavelength, angstrom, and detector distance, mm, of the first frame with a detector.
    half_pixel_shift : bool or None
        Whether half a pixel is added to peak positions; None for spots without pixels.
    problems : list of str
        One line for each problem or assumption, with its place: every fault of a file or frame that cannot be read,
        not only the first.
    further_geometries : list of dict
        `panels`, `wavelength` and `distance`, as above, for each further geometry of the files.
    """

    formats: list[str]
    frames: int
    bad_frames: int
    spots: int
    left_out: int
    off_panels: int
    spots_per_frame: list[int] | None
    histogram: list[tuple[int, int, int]]
    resolution: list[float] | None
    cells: list[list[float]]
    panels: int
    wavelength: float | None
    distance: float | None
    half_pixel_shift: bool | None
    problems: list[str]
    further_geometries: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that JSON can hold."""
        return asdict(self)


def inspect_spots(
    sources: Sequence[Source], geometry: GivenGeometry | None = None, max_frames: int | None = None
) -> SpotsReport:
    """Summarise spot files; the parameters and errors are those of `read_blocks`."""
    formats, detector, faults = _files(sources, geometry)
    counts: list[NDArray[np.int64]] = []
    lengths = [np.inf, 0.0]
    cells: dict[bytes, Array] = {}
    problems: list[str] = []
    bad = left_out = off_panels = 0
    for block in read_blocks(sources, geometry=geometry, max_frames=max_frames):
        usable = block.status == FrameStatus.NOT_INDEXED
        counts.append(np.diff(block.offsets)[usable])
        bad += int((~usable).sum())
        left_out += block.n_left_out
        off_panels += block.n_off_panels
        problems += block.problems
        faults |= _faults_of_frames(block, geometry)
        if len(block.spots):
            q = np.linalg.norm(block.spots.astype(np.float64), axis=1)
            lengths = [min(lengths[0], float(q.min())), max(lengths[1], float(q.max()))]
        for cell in [] if block.cells is None else block.cells:
            cells[cell.tobytes()] = cell
    n = np.concatenate([np.zeros(0, np.int64), *counts])
    if off_panels > n.sum():
        problems.append(note_of_panels(off_panels, int(n.sum())))
    return SpotsReport(
        formats,
        len(n) + bad,
        bad,
        int(n.sum()),
        left_out,
        off_panels,
        [int(n.min()), int(np.median(n)), int(n.max())] if len(n) else None,
        histogram(n),
        [1 / lengths[0], 1 / lengths[1]] if lengths[1] > 0 else None,
        [cell_parameters(cell).tolist() for cell in cells.values()],
        **detector,
        problems=[fault for problem in problems for fault in faults.get(problem, [problem])],
    )


def _faults_of_frames(block: FrameBlock, geometry: GivenGeometry | None) -> dict[str, list[str]]:
    """Every fault of each unreadable frame of a block, keyed by the note of the block on the frame.

    The row of a file that was opened but not read has no index; such a file has one frame, like a text file.
    """
    faults: dict[str, list[str]] = {}
    bad = np.flatnonzero(block.status == FrameStatus.UNREADABLE).tolist()
    for path, rows in itertools.groupby(bad, block.sources.__getitem__):
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
            for index in np.maximum(block.indices[list(rows)], 0).tolist():
                with _noted(faults):
                    list(file.read(np.array([index])))
    return faults


def _files(
    sources: Sequence[Source], geometry: GivenGeometry | None
) -> tuple[list[str], dict[str, Any], dict[str, list[str]]]:
    """Formats of the files that can be opened, and the geometries of the first frames that have one.

    The last item holds every fault of each file that cannot be opened, keyed by the error's message.
    """
    formats: dict[str, None] = {}
    faults: dict[str, list[str]] = {}
    detectors: dict[str, dict[str, Any]] = {}
    shift = None
    for path in dict.fromkeys(source.path for source in sources):
        with _noted(faults), contextlib.closing(open_spots(path, geometry)) as file:
            formats[file.format] = None
            if file.geometry is not None:
                shift = shift if detectors else file.half_pixel_shift
                for text, detector in detectors_of(file):
                    detectors.setdefault(text, detector)
    none = {"panels": 0, "wavelength": None, "distance": None}
    first, *further = detectors.values() or (none,)
    return list(formats), first | {"half_pixel_shift": shift, "further_geometries": further}, faults


@contextlib.contextmanager
def _noted(faults: dict[str, list[str]]) -> Iterator[None]:
    """A context that ends at an `InputError`, whose faults are added to `faults`."""
    try:
        yield
    except InputError as error:
        faults[str(error)] = error.faults


def histogram(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Histogram of counts: for each bin its smallest and largest count, both included, and the number of entries."""
    if len(counts) == 0:
        return []
    low, high = int(counts.min()), int(counts.max())
    width = -(-(high - low + 1) // BINS)
    number = np.bincount((counts - low) // width)
    return [(low + i * width, low + (i + 1) * width - 1, int(n)) for i, n in enumerate(number)]


@dataclass(frozen=True)
class ResultsReport:
    """A summary of a results file.

    Attributes
    ----------
    complete : bool
        Whether the run reached its end.
    method, backend, device, ffbidx_version, half_pixel_shift : str
        Attributes of the `ResultsHeader`.
    frames, crystals : int
        Numbers of frames and of crystals.
    status : dict
        Number of frames with each status.
    crystals_per_frame : list of (int, int)
        A number of crystals, and the number of frames with as many.
    cells : list of dict
        For each input cell its `lattice` (empty if unknown), the cell parameters `given`, `learned` and `median` (of
        the crystals; lengths in angstrom, angles in degrees), and the number of `crystals`.
    histogram : list of (int, int, int)
        Histogram of the number of spots that a crystal indexes, as in `SpotsReport`.
    panels : int
        Number of panels of the geometry that was given; 0 if none was.
    keeps_spots : bool
        Whether the file holds the spots of its frames.
    problems : list of str
        Notes of the run on its inputs.
    """

    complete: bool
    method: str
    backend: str
    device: str
    ffbidx_version: str
    half_pixel_shift: str
    frames: int
    crystals: int
    status: dict[str, int]
    crystals_per_frame: list[tuple[int, int]]
    cells: list[dict[str, Any]]
    histogram: list[tuple[int, int, int]]
    panels: int
    keeps_spots: bool
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that JSON can hold."""
        return asdict(self)


def inspect_results(path: str) -> ResultsReport:
    """Summarise a results file.

    Raises
    ------
    InputError
        If the file is not a results file, or is damaged.
    """
    # A share of a run may have no frames.
    pieces = list(results_in_pieces(path)) or [read_results(path)]
    first = pieces[0]
    status = np.concatenate([piece.status for piece in pieces])
    per_frame = np.bincount(np.concatenate([np.diff(piece.crystal_offsets) for piece in pieces]))
    came_from = np.concatenate([piece.input_cell[piece.crystals] for piece in pieces])
    parameters = np.concatenate([piece.crystal_parameters for piece in pieces])
    covered = np.concatenate([piece.n_indexed for piece in pieces]).astype(np.int64)
    cells = []
    lattices = first.header.lattices.split()
    for row, cell in enumerate(first.input_cells):
        mine = parameters[came_from == row]
        learned = None if first.learned_cells is None else cell_parameters(first.learned_cells[row]).tolist()
        median = np.median(mine.astype(np.float64), axis=0).tolist() if len(mine) else None
        cells.append(
            {
                "lattice": lattices[row] if row < len(lattices) else "",
                "given": cell_parameters(cell).tolist(),
                "learned": learned,
                "crystals": len(mine),
                "median": median,
            }
        )
    header = first.header
    return ResultsReport(
        first.complete,
        header.method,
        header.backend,
        header.device,
        header.ffbidx_version,
        header.half_pixel_shift,
        len(status),
        len(came_from),
        {s.name.lower(): int((status == s).sum()) for s in FrameStatus},
        [(k, int(n)) for k, n in enumerate(per_frame)],
        cells,
        histogram(covered),
        _panels(header.geometry),
        keeps_spots(path),
        _problems(path),
    )


def _panels(geometry: str) -> int:
    """Number of panels in the text of a geometry; 0 for a beam shift or no geometry."""
    with contextlib.suppress(InputError):
        given = parse_given("the geometry in the results", geometry) if geometry else None
        return len(given.detector.panels) if isinstance(given, Geometry) else 0
    return 0


def _problems(path: str) -> list[str]:
    """Notes of a run on its inputs; none for results of a program that does not record them."""
    with contextlib.suppress(InputError):
        return list(read_run(path)[3].problems)
    return []
