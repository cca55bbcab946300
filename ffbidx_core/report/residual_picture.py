"""The picture of the residuals of spots over the detector, as arrows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..diagnose.experiment import ExperimentFinding
from ..model.cell import Array
from .figures import Picture
from .style import FAILED, GREY, INDEXED, new_figure

CELLS = 11
"""Number of squares along each side of the picture."""
FEWEST = 8
"""Smallest number of spots of a square with an arrow."""
LONGEST = 0.9
"""Length of the longest arrow, in units of a square."""


def residual_picture(experiment: ExperimentFinding) -> Picture:
    """Draw the mean residuals of the indexed spots in squares of the detector, seen along the beam."""
    places, means, errors = mean_residuals(experiment.spots, experiment.residuals)
    figure, axes = new_figure(5.4, 5.0)
    side = _side(experiment.spots)
    longest = float(np.linalg.norm(means, axis=1).max(initial=0)) or 1.0
    sure = np.linalg.norm(means, axis=1) > 3 * errors
    for mask, colour, label in ((sure, FAILED, "more than 3 errors long"), (~sure, INDEXED, "within 3 errors")):
        if mask.any():
            arrows = means[mask] / longest * LONGEST * side
            axes.quiver(
                *places[mask].T,
                *arrows.T,
                color=colour,
                angles="xy",
                scale_units="xy",
                scale=1,
                width=0.005,
                label=label,
            )
    limit = side * (CELLS / 2 + 0.5)
    axes.plot(0, 0, "+", color=GREY, ms=9)
    axes.legend(loc="upper right", ncols=2)
    axes.set(
        title="Residuals over the detector",
        xlabel="x / (1/Å)",
        ylabel="y / (1/Å)",
        xlim=(-limit, limit),
        ylim=(-limit, 1.12 * limit),
        aspect="equal",
    )
    return Picture(
        "residuals",
        "diagnosis",
        figure,
        f"Mean of observed − predicted positions in squares of the detector; the longest arrow is {longest:.1e}/Å. "
        "Arrows in one common direction indicate a wrong beam centre; radial arrows a wrong distance or cell.",
    )


def mean_residuals(spots: Array, residuals: Array) -> tuple[Array, Array, NDArray[np.float64]]:
    """The centres (n, 2), mean residuals (n, 2) and errors (n,), 1/angstrom, of squares with enough spots."""
    side = _side(spots)
    number = np.clip(np.floor(spots[:, :2] / side + CELLS / 2).astype(np.int64), 0, CELLS - 1)
    square = number[:, 0] * CELLS + number[:, 1]
    counts = np.bincount(square, minlength=CELLS**2)
    sums, squares = (
        np.stack([np.bincount(square, values[:, i], CELLS**2) for i in (0, 1)], axis=1)
        for values in (residuals, residuals**2)
    )
    kept = counts >= FEWEST
    mean = sums[kept] / counts[kept, None]
    variance = (squares[kept] / counts[kept, None] - mean**2).sum(axis=1)
    middle = (np.stack(np.divmod(np.flatnonzero(kept), CELLS), axis=1) + 0.5 - CELLS / 2) * side
    return middle, mean, np.sqrt(variance / counts[kept])


def _side(spots: Array) -> float:
    return 2 * float(np.abs(spots[:, :2]).max(initial=1e-3)) * 1.0001 / CELLS
