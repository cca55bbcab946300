"""The columns of a results file that a report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.cell import Array
from ..model.records.frame import FrameStatus
from ..model.records.results import Results, ResultsHeader
from ..read.results import results_in_pieces

USABLE = (FrameStatus.INDEXED, FrameStatus.NOT_INDEXED, FrameStatus.TOO_FEW_SPOTS)
"""Statuses of frames whose spots could be used."""


@dataclass
class Found:
    """What a run found on F frames: k crystals, without the other cells, from m input cells.

    Attributes
    ----------
    header : ResultsHeader
    complete : bool
    input_cells : (m, 3, 3) float64
        Rows a, b, c, angstrom.
    learned_cells : (m, 3, 3) float64 or None
    sources : list of str
        Input files, one after another; a file that comes again after another counts again.
    first_frames : (s,) int64
        First frame of each.
    status : (F,) uint8
    reason, rung : (F,) uint8
        As `FrameReason` and `Rung`; zeros in files that do not have them.
    n_spots : (F,) int32
    n_crystals : (F,) int64
    cells : (k, 3, 3) float32
        Crystals, rows a, b, c, angstrom.
    input_cell : (k,) int32
        Row of `input_cells`.
    n_indexed : (k,) int32
    rmsd : (k,) float32
        1/angstrom.
    log10_chance, log10_false, n_expected : (k,) float32
    parameters : (k, 6) float32
        a, b, c in angstrom, alpha, beta, gamma in degrees.
    """

    header: ResultsHeader
    complete: bool
    input_cells: Array
    learned_cells: Array | None
    sources: list[str]
    first_frames: NDArray[np.int64]
    status: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    rung: NDArray[np.uint8]
    n_spots: NDArray[np.int32]
    n_crystals: NDArray[np.int64]
    cells: NDArray[np.float32]
    input_cell: NDArray[np.int32]
    n_indexed: NDArray[np.int32]
    rmsd: NDArray[np.float32]
    log10_chance: NDArray[np.float32]
    log10_false: NDArray[np.float32]
    n_expected: NDArray[np.float32]
    parameters: NDArray[np.float32]

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


def read_found(path: str) -> Found:
    """Read what a report needs of a results file, in pieces: the cells that are no crystals are not kept.

    Raises
    ------
    InputError
        When it is no results file, is damaged, or has no frames.
    """
    parts: dict[str, list[Any]] = {}
    sources: list[str] = []
    first_frames: list[int] = []
    first: Results | None = None
    n_frames = 0
    for piece in results_in_pieces(path):
        first = first or piece
        for name, values in _columns(piece).items():
            parts.setdefault(name, []).append(values)
        for start in _starts(piece.source):
            if not sources or sources[-1] != piece.source[start]:
                sources.append(piece.source[start])
                first_frames.append(n_frames + start)
        n_frames += piece.n_frames
    if first is None:
        raise InputError(path, "has no frames")
    return Found(
        first.header,
        first.complete,
        first.input_cells,
        first.learned_cells,
        sources,
        np.array(first_frames, dtype=np.int64),
        **{name: np.concatenate(part) for name, part in parts.items()},
    )


def _columns(piece: Results) -> dict[str, NDArray[Any]]:
    nothing = np.zeros(piece.n_frames, dtype=np.uint8)
    return {
        "status": piece.status,
        "reason": nothing if piece.reason is None else piece.reason,
        "rung": nothing if piece.rung is None else piece.rung,
        "n_spots": piece.n_spots,
        "n_crystals": np.diff(piece.crystal_offsets),
        "cells": piece.cells[piece.crystals],
        "input_cell": piece.input_cell[piece.crystals],
        "n_indexed": piece.n_indexed,
        "rmsd": piece.rmsd,
        "log10_chance": piece.log10_chance,
        "log10_false": piece.log10_false,
        "n_expected": piece.n_expected,
        "parameters": piece.crystal_parameters,
    }


def _starts(source: NDArray[np.object_]) -> list[int]:
    """Frames of a piece at which another file begins; 0 is the first."""
    return [0, *(np.flatnonzero(source[1:] != source[:-1]) + 1).tolist()]
