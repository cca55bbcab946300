"""The words for a wrong scale of frames and their cell, and the option that mends it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..model.basis import ConventionalCells, as_given
from ..model.cell import cell_parameters
from ..model.detector.distance import FirstDistance
from ..model.lattice import cell_option
from .scales import Cause, Scale

OF_SPOTS = {
    10.0: "the cell is in nanometres, or the distance or the wavelength ten times too long",
    0.1: "the spots are in 1/nm, or the distance or the wavelength ten times too short",
    2 * np.pi: "the spots were divided by 2 pi, or the cell was",
    1 / (2 * np.pi): "the spots have a factor 2 pi, which they must not have",
}
"""Causes of the scales in `UNITS` if it is not known how the spots were computed."""
OF_CELL = OF_SPOTS | {
    0.1: "the distance or the wavelength is ten times too short, or the cell ten times too large",
    2 * np.pi: "the cell was divided by 2 pi",
    1 / (2 * np.pi): "the cell has a factor 2 pi, which it must not have",
}
"""Causes of the scales in `UNITS` if the spots were computed from pixels, so that their units are right."""


OWN_UNITS = "; the frames have distances of their own: write their unit in the geometry, as in `clen = PATH mm`"


def note_of_scale(
    scale: Scale, cell: ConventionalCells, centring: str, *, from_pixels: bool = False, own_distances: bool = False
) -> str:
    """A note on the wrong scale of the frames and their cell (3, 3), with its possible causes and the cell to give.

    `from_pixels` says whether the spots were computed from pixels, so that their units are right, and `own_distances`
    whether the frames then have different distances.
    """
    right = scaled_cell(scale, cell, centring)
    counts = f"{scale.indexed} of {scale.of} of the first frames are indexed instead of {scale.before}"
    if scale.indexed <= scale.before:
        counts = f"{scale.of} of the first frames that were tried fit clearly better"
    if scale.is_unit and scale.cause != Cause.DISTANCE:
        causes = OF_CELL if from_pixels else OF_SPOTS
        return f"with a cell {scale.factor:.4g} times as large {counts}: {causes[scale.factor]}; try --cell {right}"
    factor = scale.distance if scale.cause == Cause.DISTANCE else scale.factor
    long, small = ("long", "small") if factor > 1 else ("short", "large")
    possible = scale.cause.value.format(long=long, small=small, factor=scale.factor, distance=scale.distance)
    if scale.cause == Cause.DISTANCE:
        unit = f": {scale.unit_of_distance}{OWN_UNITS if own_distances else ''}" if scale.unit_of_distance else ""
        return f"with another distance of the detector {counts}: {possible}{unit}"
    share = abs(factor - 1)
    return f"with a cell {share:.0%} {'larger' if factor > 1 else 'smaller'} {counts}: {possible}; try --cell {right}"


def scaled_cell(scale: Scale, cell: ConventionalCells, centring: str) -> str:
    """A cell (3, 3) multiplied by a scale, as the value of an option."""
    return cell_option(cell_parameters(scale.factor * cell), centring)


def mending_option(
    scale: Scale, cells: ConventionalCells, centrings: Sequence[str], distance: FirstDistance | None
) -> tuple[str, list[str]]:
    """The option that mends a scale, and its value for each time that it is given.

    It is `--distance` if the distance may be wrong and the frames have one in common, otherwise `--cell`. If distances
    of different frames are in a wrong unit, no option mends them: it is empty and has no values.

    Parameters
    ----------
    scale
        The scale.
    cells : (M, 3, 3)
        Input cells as given, angstrom.
    centrings
        Centring of each cell.
    distance
        Distance of the first frames; None if there is none, or if frames have different ones.
    """
    is_of_distance = scale.cause == Cause.DISTANCE or (scale.cause == Cause.ANY and not scale.is_unit)
    if distance is not None and is_of_distance:
        right = distance.divided(scale.distance, unit_is_wrong=scale.unit_of_distance != "")
        return "--distance", [f"{right:.6g}"]
    if scale.cause == Cause.DISTANCE and scale.unit_of_distance:
        return "", []
    return "--cell", [scaled_cell(scale, as_given(c), centring) for c, centring in zip(cells, centrings, strict=True)]
