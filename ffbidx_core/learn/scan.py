"""Finding a beam so far off that most crystals are missed, by trying many shifts on a few frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import PrimitiveCells
from ..model.cell import Array, shortest_reciprocal
from ..model.chance.evidence import Evidence
from ..model.detector.beam_shift import Radian
from ..model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..model.plan import SearchPlan
from ..model.records.ragged import evenly, fuller_half, offsets_of, rows_of
from ..parameters import Parameters
from .friedel import centres_of_symmetry, mates_are_near

RINGS = 4
STEP = 0.3
"""Spacing of the shifts in units of the shortest reciprocal vector, small enough for the fit to find the rest."""
FRAMES = 24
"""Number of frames on which the shifts are tried."""


def shifts_to_try(shortest: float, wavelength: float) -> Radian:
    """Beam shifts (n, 2) in radian on a hexagonal net around zero, which is left out; the smallest shifts come first.

    Parameters
    ----------
    shortest
        Length of the shortest reciprocal vector of a cell, 1/angstrom; of several cells the largest of these lengths.
    wavelength
        Wavelength, angstrom.
    """
    return Radian(STEP * shortest * wavelength * hexagonal_net(RINGS))


def hexagonal_net(rings: int) -> Array:
    """Points (n, 2), each at distance 1 from its neighbours, in hexagonal rings around 0, which is left out."""
    i, j = np.meshgrid(*[np.arange(-rings, rings + 1)] * 2, indexing="ij")
    inside = (np.abs(i + j) <= rings) & ((i != 0) | (j != 0))
    points = np.column_stack([i[inside] + j[inside] / 2, j[inside] * np.sqrt(0.75)])
    return np.asarray(points[np.argsort(np.linalg.norm(points, axis=1), kind="stable")])


def scan_beam(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Radian | None:
    """The best of many beam shifts (2,), in radian, if frames are indexed clearly better with it.

    Parameters
    ----------
    cells : (M, 3, 3)
        Primitive input cells, rows a, b, c, angstrom.

    Returns
    -------
    (2,) float64 or None
        The beam shift; None if no shift is better, or spots lie on no Ewald sphere around +z.
    """
    trial = _Trial.of(devices, spots, offsets, cells, p)
    shortest = max(shortest_reciprocal(cell) for cell in cells)
    return None if trial is None else trial.best(shifts_to_try(shortest, trial.wavelength))


def beam_of_symmetry(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Radian | None:
    """The best beam shift (2,), like `scan_beam`, among centres of symmetry of electron diffraction frames."""
    trial = _Trial.of(devices, spots, offsets, cells, p)
    if trial is None or not mates_are_near(spots, trial.wavelength):
        return None
    return trial.best(Radian(trial.wavelength * centres_of_symmetry(spots, offsets)))


@dataclass(frozen=True)
class _Trial:
    """Frames on which beam shifts are tried.

    Attributes
    ----------
    spots : (N, 3) float64
        Spots, 1/angstrom.
    counts : (F,) int64
        Number of spots of each frame.
    wavelengths : (F,) float64
        Wavelength of each frame, angstrom.
    """

    devices: Devices
    spots: Array
    counts: NDArray[np.int64]
    wavelengths: Array
    cells: PrimitiveCells
    p: Parameters

    @classmethod
    def of(
        cls, devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
    ) -> _Trial | None:
        """Choose some of the frames; None if too few have enough spots on an Ewald sphere."""
        chosen, wavelengths = _frames_with_most_spots(spots, offsets, p)
        if len(chosen) < p.learn_min_crystals:
            return None
        rows, some = rows_of(offsets, chosen)
        return cls(devices, spots[rows].astype(np.float64), np.diff(some), wavelengths, cells, p)

    @property
    def wavelength(self) -> float:
        """The median wavelength, angstrom."""
        return float(np.median(self.wavelengths))

    def best(self, shifts: Radian) -> Radian | None:
        """The best of beam shifts (n, 2), in radian; None if none is clearly better than no shift."""
        tried, n = np.concatenate([np.zeros((1, 2)), shifts]), len(self.counts)
        each = np.repeat(self.wavelengths, self.counts)
        moved = [spots_of_moved_detector(self.spots, each, Radian(shift)).astype(np.float32) for shift in tried]
        result = self.devices.index_frames(
            np.concatenate(moved),
            offsets_of(np.tile(self.counts, len(tried))),
            SearchPlan.make(self.cells, self.p),
            self.p.replace(retry=False, searches=1),
            given_cells=self.cells,
        )
        shown = Evidence.of(result, self.p.accept)
        trials = [shown[slice(k * n, (k + 1) * n)] for k in range(len(tried))]
        best = int(np.argmax([trial.evidence.sum() for trial in trials]))
        return Radian(tried[best]) if trials[best].is_better_than(trials[0]) else None


def _frames_with_most_spots(
    spots: NDArray[Any], offsets: NDArray[np.int64], p: Parameters
) -> tuple[NDArray[np.int64], Array]:
    """Choose up to `FRAMES` frames with many spots; returns their numbers and their wavelengths in angstrom.

    They are spread over the half with more spots, or over all frames if half of them would be too few.
    """
    n = len(offsets) - 1
    half = fuller_half(offsets) if n >= 2 * p.learn_min_crystals else np.arange(n)
    half = half[np.diff(offsets)[half] >= p.learn_min_spots]
    found = []
    for f in evenly(half, FRAMES).tolist():
        wavelength = wavelength_of_spots(spots[offsets[f] : offsets[f + 1]].astype(np.float64))
        if wavelength is not None:
            found.append((f, wavelength))
    frames, wavelengths = np.array(found).reshape(-1, 2).T
    return frames.astype(np.int64), wavelengths
