"""The input cells of a run and the median cells of their crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.cell import Array, cell_parameters
from ..model.percentiles import median_and_spread
from .columns import RunColumns


@dataclass(frozen=True)
class CellFinding:
    """An input cell and its crystals.

    Attributes
    ----------
    row : int
        Row of `/input_cells`.
    n_crystals : int
        Number of crystals.
    given, median, error, spread : (6,) float64
        Cell parameters a, b, c in angstrom, alpha, beta, gamma in degrees. The spread is half the width of the central
        68 %; the error is that of the median.
    learned : bool
        Whether the run corrected the cell.
    """

    row: int
    n_crystals: int
    given: Array
    median: Array
    error: Array
    spread: Array
    learned: bool


def cells_found(found: RunColumns) -> list[CellFinding]:
    """The input cells with crystals, the one with most crystals first."""
    counts = np.bincount(found.input_cell, minlength=len(found.input_cells))
    findings = []
    for row in np.argsort(-counts, kind="stable")[: int((counts > 0).sum())].tolist():
        mine = found.crystal_parameters[found.input_cell == row].astype(np.float64)
        median, spread = median_and_spread(mine)
        # The error of the median of normal numbers is sqrt(pi / 2) times that of their mean.
        error = np.sqrt(np.pi / 2) * spread / np.sqrt(len(mine))
        findings.append(
            CellFinding(
                row,
                len(mine),
                cell_parameters(found.input_cells[row]),
                median,
                error,
                spread,
                found.learned(row) is not None,
            )
        )
    return findings
