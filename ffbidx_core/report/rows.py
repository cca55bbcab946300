"""The crystals and failed frames in a report: all of them for a small run, the strangest for a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..diagnose.columns import RunColumns
from ..model.cell import PARAMETER_NAMES, Array
from ..model.percentiles import median_and_spread
from ..model.records.frame import FrameStatus
from ..model.records.reason import FrameReason

MOST_ROWS = 500
"""Largest number of rows of a table, which keeps the page of a long run small."""


@dataclass(frozen=True)
class Rows:
    """A table of a report.

    Attributes
    ----------
    head : tuple of str
        Titles of the columns.
    rows : list of tuple of str
        Texts of the rows.
    n_all : int
        Number of all rows; if there are many, only the strangest are listed.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    n_all: int


def crystal_rows(found: RunColumns) -> Rows:
    """The table of crystals, each with the number of its frame for `ffbidx show`."""
    frame = np.repeat(np.arange(found.n_frames), found.n_crystals)
    chosen = _strangest(strangeness(found))
    head = ("frame", "spots", "indexed", "rmsd / (1/Å)", "d / Å", "log10 false", *PARAMETER_NAMES, "cell")
    rows = [
        (
            str(frame[k]),
            str(found.n_spots[frame[k]]),
            str(found.n_indexed[k]),
            f"{found.rmsd[k]:.5f}",
            _known(found.resolution[k], 2),
            _known(found.log10_false[k], 1),
            *(f"{value:.2f}" for value in found.crystal_parameters[k]),
            str(found.input_cell[k]),
        )
        for k in chosen.tolist()
    ]
    return Rows(head, rows, len(frame))


def failed_rows(found: RunColumns) -> Rows:
    """The table of frames without a crystal; if there are many, those with most spots, which are the strangest."""
    failed = np.flatnonzero(found.status != FrameStatus.INDEXED)
    chosen = failed[_strangest(found.n_spots[failed].astype(np.float64))]
    rows = [
        (
            str(f),
            str(found.n_spots[f]),
            FrameStatus(found.status[f]).words,
            FrameReason(found.reason[f]).words if found.reason[f] else "",
        )
        for f in chosen.tolist()
    ]
    return Rows(("frame", "spots", "status", "reason"), rows, len(failed))


def strangeness(found: RunColumns) -> Array:
    """The strangeness (k,) of crystals: the deviation of the cell from others of its input cell, or the doubt about it.

    It is the larger of two numbers: the largest deviation of its six cell parameters from their medians, in spreads,
    and 10 minus twice the difference of log10 of the expected false crystals from that of the most doubtful crystal.
    """
    strange = np.zeros(len(found.cells))
    for row in np.unique(found.input_cell):
        mine = found.input_cell == row
        median, spread = median_and_spread(found.crystal_parameters[mine].astype(np.float64))
        off = np.abs(found.crystal_parameters[mine] - median) / np.maximum(spread, 1e-3)
        strange[mine] = off.max(axis=1)
    doubt = np.nan_to_num(found.log10_false, nan=-np.inf)
    if np.isfinite(doubt).any():
        strange = np.maximum(strange, np.maximum(0, 10 + 2 * (doubt - doubt.max())))
    return strange


def _strangest(strange: Array) -> NDArray[np.intp]:
    """The numbers of the `MOST_ROWS` strangest rows, in their order."""
    return np.sort(np.argsort(-strange, kind="stable")[:MOST_ROWS])


def _known(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"
