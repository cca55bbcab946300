"""The results of a run as arrays, and how a results file keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray

from .crystals import CellColumns, CrystalColumns
from .frame import FrameStatus
from .reason import FrameReason, Rung
from .table import SHARED, ArrayTable, Column, columns_of
from .view import data_frame, described, every, frames_of

FORMAT = "ffbidx-results"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ResultsHeader:
    """The root attributes that say how the results were made.

    Attributes
    ----------
    ffbidx_version, method, backend, device
    parameters
        JSON, as `Parameters.as_json` gives it.
    geometry
        The CrystFEL geometry file that was given for the inputs, or empty.
    half_pixel_shift
        `yes` or `no`: whether half a pixel was added to the peaks of the inputs; empty for spots without pixels.
    lattices
        Lattice of each `--cell` in CrystFEL's short form, such as `tPc mCb`, or empty.
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
    """F frames of a run, and the m input cells that they were indexed with.

    Attributes
    ----------
    input_cells : (m, 3, 3) float64
        Rows a, b, c, angstrom, in order of first use.
    source : (F,) object
        Input file of each frame.
    index : (F,) int64
        The frame's index in its file; -1 for a file that could not be read.
    id : (F,) object
        The frame's name in its file, or empty.
    n_spots : (F,) int32
        Spots given.
    n_sampled : (F,) int32
        Spots used in the sampling.
    status : (F,) uint8
        What became of each frame, as `FrameStatus`.
    """

    input_cells: Annotated[NDArray[np.float64], Column(SHARED, "/input_cells", tail=(3, 3), units="angstrom")]
    source: Annotated[NDArray[np.object_], Column("frames", "/frame/source")]
    index: Annotated[NDArray[np.int64], Column("frames", "/frame/index")]
    id: Annotated[NDArray[np.object_], Column("frames", "/frame/id")]
    n_spots: Annotated[NDArray[np.int32], Column("frames", "/frame/n_spots")]
    n_sampled: Annotated[NDArray[np.int32], Column("frames", "/frame/n_sampled")]
    status: Annotated[NDArray[np.uint8], Column("frames", "/frame/status", names=FrameStatus)]


@dataclass(kw_only=True, repr=False)
class Results(CrystalColumns, CellColumns, FrameColumns):
    """The results of a run, or of some of its frames: `results[10:20]` are those of ten.

    A file has the datasets in the order of the fields, those of the last base first. `input_cell` is a row of
    `input_cells`.

    Attributes
    ----------
    header : ResultsHeader
        How the results were made.
    complete : bool
        False when the run was stopped before its end.
    crystal_parameters : (k, 6) float32
        a, b, c in angstrom, alpha, beta, gamma in degrees of each crystal.
    learned_cells : (m, 3, 3) float64 or None
        The input cells as learned from the run's first frames.
    reason : (F,) uint8 or None
        Why a frame has no crystal, as `FrameReason`; None in files of versions that did not say it.
    rung : (F,) uint8 or None
        The try that indexed a frame, as `Rung`; None in the same files.
    n_at_origin : (F,) int32 or None
        Spots left out because they lie inside the first shell of reciprocal space; None in files of versions that
        searched with these too.
    """

    header: ResultsHeader
    complete: bool
    crystal_parameters: Annotated[NDArray[np.float32], Column("crystals", "/crystal/parameters", tail=(6,))]
    learned_cells: Annotated[
        NDArray[np.float64] | None, Column(SHARED, "/learned_cells", tail=(3, 3), units="angstrom")
    ] = None
    reason: Annotated[NDArray[np.uint8] | None, Column("frames", "/frame/reason", names=FrameReason)] = None
    rung: Annotated[NDArray[np.uint8] | None, Column("frames", "/frame/rung", names=Rung)] = None
    n_at_origin: Annotated[NDArray[np.int32] | None, Column("frames", "/frame/n_at_origin")] = None

    def __len__(self) -> int:
        return self.n_frames

    def __repr__(self) -> str:
        return described(self, type(self).__name__)

    def __getitem__(self, frames: int | slice) -> Self:
        """Some frames: those of a slice, or one."""
        span, step = frames_of(frames, self.n_frames)
        return every(super().__getitem__(span), step)

    def to_pandas(self, rows: str = "crystals") -> Any:
        """A pandas DataFrame with a row for each of the crystals or frames.

        Parameters
        ----------
        rows : {"crystals", "frames"}
            What each row is. Columns have the names of the attributes; those of crystals are joined by the number,
            file, index and name of the frame, the crystal's rank on it, its input cell, its score and the cell
            parameters a, b, c (angstrom), alpha, beta, gamma (degrees), those of frames by the number of crystals.

        Raises
        ------
        UsageError
            When pandas is not installed.
        ParameterError
            For other rows.
        """
        return data_frame(self, rows)

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.index)

    @property
    def frame_of_crystal(self) -> NDArray[np.int64]:
        """Frame of each crystal, (k,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.crystal_offsets))


COLUMNS = columns_of(Results)
"""Every array of `Results`, by the name of its field, in the order of the file's datasets."""
