"""The columns of a results file from which a report is made."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.basis import ConventionalCells
from ..model.cell import Array
from ..model.records.crystals import CrystalColumns
from ..model.records.frame import FrameStatus
from ..model.records.results import Results, ResultsHeader
from ..model.records.table import Column
from ..read.results import read_record, results_in_pieces

USABLE = (FrameStatus.INDEXED, FrameStatus.NOT_INDEXED, FrameStatus.TOO_FEW_SPOTS)
"""Statuses of frames whose spots could be used."""


@dataclass(kw_only=True)
class RunColumns(CrystalColumns):
    """The results of a run on F frames: k crystals (without other cells) from m input cells.

    Attributes
    ----------
    header : ResultsHeader
        The record of how the results were made.
    complete : bool
        Whether the run reached its end.
    input_cells : (m, 3, 3) float64
        The input cells, rows a, b, c, angstrom.
    learned_cells : (m, 3, 3) float64 or None
        The input cells learned from the first frames of the run; None if nothing was learned.
    sources : list of str, s
        Names of the input files in order; a file that recurs after another one is listed again.
    first_frames : (s,) int64
        Number of the first frame of each input file.
    status : (F,) uint8
        The `FrameStatus` of each frame.
    reason : (F,) uint8
        The `FrameReason` why a frame has no crystal; zeros if the file does not record it.
    rung : (F,) uint8
        The `Rung` of the try that indexed a frame; zeros if the file does not record it.
    n_spots : (F,) int32
        Number of spots given on each frame.
    n_crystals : (F,) int64
        Number of crystals of each frame.
    cells : (k, 3, 3) float32
        Oriented cells of the crystals, rows a, b, c, angstrom.
    input_cell : (k,) int32
        Row of `input_cells` from which each crystal came.
    crystal_parameters : (k, 6) float32
        Parameters a, b, c in angstrom, alpha, beta, gamma in degrees of each crystal.
    """

    header: ResultsHeader
    complete: bool
    input_cells: ConventionalCells
    learned_cells: ConventionalCells | None
    sources: list[str]
    first_frames: NDArray[np.int64]
    status: Annotated[NDArray[np.uint8], Column("frames")]
    reason: Annotated[NDArray[np.uint8], Column("frames")]
    rung: Annotated[NDArray[np.uint8], Column("frames")]
    n_spots: Annotated[NDArray[np.int32], Column("frames")]
    n_crystals: Annotated[NDArray[np.int64], Column("frames")]
    cells: Annotated[NDArray[np.float32], Column("crystals", tail=(3, 3))]
    input_cell: Annotated[NDArray[np.int32], Column("crystals")]
    crystal_parameters: Annotated[NDArray[np.float32], Column("crystals", tail=(6,))]

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the run, keyed by their names."""
        return dict(json.loads(self.header.parameters))

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.status)

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Whether each frame has a crystal, (F,)."""
        return np.asarray(self.status == FrameStatus.INDEXED)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Whether each frame could be used and has no crystal, (F,)."""
        return np.asarray(np.isin(self.status, USABLE) & ~self.indexed)

    def learned(self, row: int) -> Array | None:
        """The learned cell (3, 3) of a row of `input_cells`; None if it was not changed."""
        if self.learned_cells is None or (self.learned_cells[row] == self.input_cells[row]).all():
            return None
        return np.asarray(self.learned_cells[row])

    @property
    def share_indexed(self) -> Array:
        """The share of the spots on its frame that each crystal explains, (k,)."""
        return np.asarray(self.n_indexed / np.maximum(np.repeat(self.n_spots, self.n_crystals), 1))


def read_columns(path: str) -> RunColumns:
    """Read the columns for a report from a results file, in pieces, without cells that are not crystals.

    Raises
    ------
    InputError
        If the file is not a results file, is damaged, or has no frames.
    """
    parts: list[RunColumns] = []
    sources: list[str] = []
    first_frames: list[int] = []
    n_frames = 0
    for piece in results_in_pieces(path):
        for start in _starts(piece.source):
            if not sources or sources[-1] != piece.source[start]:
                sources.append(piece.source[start])
                first_frames.append(n_frames + start)
        n_frames += piece.n_frames
        parts.append(_columns(piece))
    if not parts:
        share = read_record(path)[1].settings.get("shard")
        mend = f": it is the share {share} of a run, join the shares with `ffbidx merge`" if share else ""
        raise InputError(path, f"has no frames{mend}")
    return replace(RunColumns.joined(parts), sources=sources, first_frames=np.array(first_frames, dtype=np.int64))


def _columns(piece: Results) -> RunColumns:
    """The columns of a piece, without the names of its files."""
    nothing = np.zeros(piece.n_frames, dtype=np.uint8)
    return RunColumns(
        header=piece.header,
        complete=piece.complete,
        input_cells=piece.input_cells,
        learned_cells=piece.learned_cells,
        sources=[],
        first_frames=np.zeros(0, dtype=np.int64),
        status=piece.status,
        reason=nothing if piece.reason is None else piece.reason,
        rung=nothing if piece.rung is None else piece.rung,
        n_spots=piece.n_spots,
        n_crystals=np.diff(piece.crystal_offsets),
        cells=piece.cells[piece.crystals],
        input_cell=piece.input_cell[piece.crystals],
        crystal_parameters=piece.crystal_parameters,
        **piece.only(CrystalColumns),
    )


def _starts(source: NDArray[np.object_]) -> list[int]:
    """The frames of a piece at which another file begins; the first is 0."""
    return [0, *(np.flatnonzero(source[1:] != source[:-1]) + 1).tolist()]
