"""A beam so far off that it hides most crystals: many shifts tried on a few frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.cell import Array, shortest_reciprocal
from ..model.chance.evidence import Evidence
from ..model.detector.beam_shift import Radian
from ..model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..model.plan import SearchPlan
from ..model.records.ragged import evenly, fuller_half, offsets_of, rows_of
from ..parameters import Parameters

RINGS = 3
STEP = 0.3
"""Distance of the shifts that are tried, a share of the shortest reciprocal vector: so near the fit finds the rest."""
FRAMES = 24
"""Number of frames on which the shifts are tried."""


def shifts_to_try(shortest: float, wavelength: float) -> Radian:
    """Beam shifts (n, 2) on a hexagonal net around no shift, which is left out, the smallest ones first.

    Parameters
    ----------
    shortest
        Length of the shortest reciprocal vector of a cell, 1/angstrom; of several cells the largest of these lengths.
    wavelength
        Angstrom.
    """
    i, j = np.meshgrid(*[np.arange(-RINGS, RINGS + 1)] * 2, indexing="ij")
    inside = (np.abs(i + j) <= RINGS) & ((i != 0) | (j != 0))
    points = np.column_stack([i[inside] + j[inside] / 2, j[inside] * np.sqrt(0.75)])
    points = points[np.argsort(np.linalg.norm(points, axis=1), kind="stable")]
    return Radian(STEP * shortest * wavelength * points)


def scan_beam(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: Array, p: Parameters
) -> Radian | None:
    """The best beam shift (2,) of many, where frames are indexed clearly better with it than without.

    Parameters
    ----------
    cells : (M, 3, 3)
        Input cells, primitive ones.

    Returns
    -------
    (2,) float64 or None
        None where no shift is better, or spots lie on no Ewald sphere around +z.
    """
    chosen, wavelengths = _frames_with_most_spots(spots, offsets, p)
    n = len(chosen)
    if n < p.learn_min_crystals:
        return None
    rows, some = rows_of(offsets, chosen)
    counts = np.diff(some)
    shortest = max(shortest_reciprocal(cell) for cell in cells)
    shifts = np.concatenate([np.zeros((1, 2)), shifts_to_try(shortest, float(np.median(wavelengths)))])
    xyz, wavelength = spots[rows].astype(np.float64), np.repeat(wavelengths, counts)
    moved = [spots_of_moved_detector(xyz, wavelength, Radian(shift)).astype(np.float32) for shift in shifts]
    result = devices.index_frames(
        np.concatenate(moved),
        offsets_of(np.tile(counts, len(shifts))),
        SearchPlan.make(cells, p),
        p.replace(retry=False, searches=1),
        given_cells=cells,
    )
    shown = Evidence.of(result, p.accept)
    trials = [shown[slice(k * n, (k + 1) * n)] for k in range(len(shifts))]
    best = int(np.argmax([trial.evidence.sum() for trial in trials]))
    return Radian(shifts[best]) if trials[best].is_better_than(trials[0]) else None


def _frames_with_most_spots(
    spots: NDArray[Any], offsets: NDArray[np.int64], p: Parameters
) -> tuple[NDArray[np.int64], Array]:
    """Up to `FRAMES` frames, spread over the half that has more spots, and their wavelengths in angstrom."""
    half = fuller_half(offsets)
    half = half[np.diff(offsets)[half] >= p.learn_min_spots]
    found = []
    for f in evenly(half, FRAMES).tolist():
        wavelength = wavelength_of_spots(spots[offsets[f] : offsets[f + 1]].astype(np.float64))
        if wavelength is not None:
            found.append((f, wavelength))
    frames, wavelengths = np.array(found).reshape(-1, 2).T
    return frames.astype(np.int64), wavelengths
