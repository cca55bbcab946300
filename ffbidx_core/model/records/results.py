"""The results of a run as arrays, and the datasets of a results file that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..basis import ConventionalCells
from .crystals import CellColumns, CrystalColumns
from .frame import FrameStatus
from .reason import FrameReason, Rung
from .table import SHARED, ArrayTable, Column, columns_of
from .view import data_frame, described, every, frames_of

FORMAT = "ffbidx-results"
FORMAT_VERSION = 1
NUMBERED = "_number"
"""End of the name of a dataset of a saved part that holds, instead of texts, their numbers in its attribute `names`."""


@dataclass(frozen=True)
class ResultsHeader:
    """Root attributes of a results file, which record how the results were made.

    Attributes
    ----------
    ffbidx_version, method, backend, device
        Version of ffbidx, refinement method, backend and device that computed the results.
    parameters
        All parameters as JSON, see `Parameters.as_json`.
    geometry
        Text of the CrystFEL geometry file given for the inputs; empty if none was given.
    half_pixel_shift
        `yes` or `no` for whether half a pixel was added to the peaks of the inputs; empty for spots without pixels.
    lattices
        Lattice of each `--cell` in CrystFEL's short form, such as `tPc mCb`; empty if there is none.
    """

    ffbidx_version: str
    method: str
    parameters: str
    backend: str
    device: str
    geometry: str = ""
    half_pixel_shift: str = ""
    lattices: str = ""


@dataclass(kw_only=True)
class FrameColumns(ArrayTable):
    """F frames of a run, and the m input cells with which they were indexed.

    Attributes
    ----------
    input_cells : (m, 3, 3) float64
        Input cells, rows a, b, c, angstrom, in the order of their first use.
    source : (F,) object
        Input file of each frame.
    index : (F,) int64
        Index of each frame in its file; -1 for a file that could not be read.
    id : (F,) object
        Name of each frame in its file, or empty.
    n_spots : (F,) int32
        Number of spots in the input.
    n_sampled : (F,) int32
        Number of spots used in the sampling.
    status : (F,) uint8
        Outcome of each frame, as `FrameStatus`.
    """

    input_cells: Annotated[ConventionalCells, Column(SHARED, "/input_cells", tail=(3, 3), units="angstrom")]
    source: Annotated[NDArray[np.object_], Column("frames", "/frame/source")]
    index: Annotated[NDArray[np.int64], Column("frames", "/frame/index")]
    id: Annotated[NDArray[np.object_], Column("frames", "/frame/id")]
    n_spots: Annotated[NDArray[np.int32], Column("frames", "/frame/n_spots")]
    n_sampled: Annotated[NDArray[np.int32], Column("frames", "/frame/n_sampled")]
    status: Annotated[NDArray[np.uint8], Column("frames", "/frame/status", names=FrameStatus)]


@dataclass(kw_only=True, repr=False)
class Results(CrystalColumns, CellColumns, FrameColumns):
    """The results of a run, or of a selection of its frames: `results[10:20]` are the results of ten frames.

    A results file has the datasets in the order of the fields, the fields of the last base class first. The values of
    `input_cell` are rows of `input_cells`.

    Attributes
    ----------
    header : ResultsHeader
        Record of how the results were made.
    complete : bool
        Whether the run reached its end.
    crystal_parameters : (k, 6) float32
        Conventional cell parameters of each crystal: a, b, c in angstrom, alpha, beta, gamma in degrees.
    learned_cells : (m, 3, 3) float64 or None
        Input cells as refined on the run's first frames, rows a, b, c, angstrom; None if the run learned none.
    reason : (F,) uint8 or None
        Reason why a frame has no crystal, as `FrameReason`; None in files of versions that did not record it.
    rung : (F,) uint8 or None
        The try that indexed a frame, as `Rung`; None in the same files.
    n_at_origin : (F,) int32 or None
        Number of spots left out because they are too close to the origin, see `SearchPlan.origin_radius`; None in
        files of versions that used these spots, too.
    """

    header: ResultsHeader
    complete: bool
    crystal_parameters: Annotated[NDArray[np.float32], Column("crystals", "/crystal/parameters", tail=(6,))]
    learned_cells: Annotated[
        ConventionalCells | None, Column(SHARED, "/learned_cells", tail=(3, 3), units="angstrom")
    ] = None
    reason: Annotated[NDArray[np.uint8] | None, Column("frames", "/frame/reason", names=FrameReason)] = None
    rung: Annotated[NDArray[np.uint8] | None, Column("frames", "/frame/rung", names=Rung)] = None
    n_at_origin: Annotated[NDArray[np.int32] | None, Column("frames", "/frame/n_at_origin")] = None

    def __len__(self) -> int:
        return self.n_frames

    def __repr__(self) -> str:
        return described(self, type(self).__name__)

    def __getitem__(self, frames: int | slice) -> Self:
        """The results of one frame, or of the frames of a slice."""
        span, step = frames_of(frames, self.n_frames)
        return every(super().__getitem__(span), step)

    def to_pandas(self, rows: str = "crystals") -> Any:
        """A pandas DataFrame with one row for each crystal or for each frame.

        Parameters
        ----------
        rows : {"crystals", "frames"}
            The kind of rows. Columns have the names of the attributes. Crystals also have the number, file, index and
            name of their frame, their rank on the frame, their input cell and score, and the cell parameters a, b, c
            (angstrom) and alpha, beta, gamma (degrees); frames also have their number of crystals.

        Raises
        ------
        UsageError
            If pandas is not installed.
        ParameterError
            If `rows` has another value.
        """
        return data_frame(self, rows)

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.index)

    @property
    def frame_of_crystal(self) -> NDArray[np.int64]:
        """Number of the frame of each crystal, (k,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.crystal_offsets))


COLUMNS = columns_of(Results)
"""Columns of `Results` by the names of their fields, in the order of the datasets of a results file."""
