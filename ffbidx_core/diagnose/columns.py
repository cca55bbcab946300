"""The columns of a results file that a report is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.basis import ConventionalCells
from ..model.cell import Array
from ..model.records.crystals import CrystalColumns
from ..model.records.frame import FrameStatus
from ..model.records.results import Results, ResultsHeader
from ..model.records.table import Column
from ..read.results import results_in_pieces

USABLE = (FrameStatus.INDEXED, FrameStatus.NOT_INDEXED, FrameStatus.TOO_FEW_SPOTS)
"""Statuses of frames whose spots could be used."""


@dataclass(kw_only=True)
class RunColumns(CrystalColumns):
    """What a run found on F frames: k crystals, without the other cells, from m input cells.

    Attributes
    ----------
    header : ResultsHeader
        How the results were made.
    complete : bool
        False when the run was stopped before its end.
    input_cells : (m, 3, 3) float64
        Rows a, b, c, angstrom.
    learned_cells : (m, 3, 3) float64 or None
        The input cells as learned from the run's first frames.
    sources : list of str, s
        Input files, one after another; a file that comes again after another counts again.
    first_frames : (s,) int64
        First frame of each input file.
    status : (F,) uint8
        What became of each frame, as `FrameStatus`.
    reason : (F,) uint8
        Why a frame has no crystal, as `FrameReason`; zeros in files that do not say it.
    rung : (F,) uint8
        The try that indexed a frame, as `Rung`; zeros in files that do not say it.
    n_spots : (F,) int32
        Spots given.
    n_crystals : (F,) int64
        Crystals of each frame.
    cells : (k, 3, 3) float32
        Crystals, rows a, b, c, angstrom.
    input_cell : (k,) int32
        Row of `input_cells` that each crystal came from.
    crystal_parameters : (k, 6) float32
        a, b, c in angstrom, alpha, beta, gamma in degrees of each crystal.
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

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.status)

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Which frames have a crystal, (F,)."""
        return np.asarray(self.status == FrameStatus.INDEXED)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which frames could be used and have none, (F,)."""
        return np.asarray(np.isin(self.status, USABLE) & ~self.indexed)

    def learned(self, row: int) -> Array | None:
        """What a row of `input_cells` became, (3, 3); None where it stayed as it was given."""
        if self.learned_cells is None or (self.learned_cells[row] == self.input_cells[row]).all():
            return None
        return np.asarray(self.learned_cells[row])

    @property
    def share_indexed(self) -> Array:
        """Share of its frame's spots that each crystal explains, (k,)."""
        return np.asarray(self.n_indexed / np.maximum(np.repeat(self.n_spots, self.n_crystals), 1))


def read_columns(path: str) -> RunColumns:
    """Read what a report needs of a results file, in pieces: the cells that are no crystals are not kept.

    Raises
    ------
    InputError
        When it is no results file, is damaged, or has no frames.
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
        raise InputError(path, "has no frames")
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
    """Frames of a piece at which another file begins; 0 is the first."""
    return [0, *(np.flatnonzero(source[1:] != source[:-1]) + 1).tolist()]
