"""Testing whether frames that do not fit their cell fit it at another scale, because a length or a unit is wrong.

A wrong wavelength or cell scales the spots exactly; a wrong detector distance scales the spots at high angles less than
those near the beam. Therefore distances are tried as well: those that the best scale suggests, or all if frames fit at
no scale.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import LONGEST, SHORTEST, Array
from ..model.chance.evidence import CLEARLY, Evidence
from ..model.detector.beam_shift import NO_SHIFT
from ..model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..model.detector.wavelength import wavelengths_meant
from ..model.plan import SearchPlan
from ..model.records.ragged import evenly, fuller_half, rows_of
from ..model.records.spots import FrameSpots
from ..parameters import Parameters
from .decoys import IndexedSpots, contest
from .found_scale import OF_DISTANCE, SAME_UNIT, UNITS, Cause, Scale, divisor_of_distance, is_far

NEAR = tuple(float(k) / 100 for k in range(70, 131) if k != 100)
"""Scales of a wrong distance, wavelength or cell, in steps small enough for the last fit at a resolution of 2 A."""
NEAR_FINELY = tuple(float(k) / 200 for k in range(140, 261) if k != 200)
"""The scales for spots of higher resolution, which a given error of the scale displaces more."""
HIGH = 0.6
"""Distance from the origin, 1/angstrom, within which half of the spots lie at most if `NEAR` serves."""
STEPS = (-0.02, -0.01, 0.0, 0.01, 0.02)
"""Differences between the divisor of the distance that the best scale suggests and those that are tried."""
FINE_STEPS = (-0.0075, -0.005, -0.0025, 0.0025, 0.005, 0.0075)
"""Differences between the best scale, or distance, and those that are tried at last.

At a resolution of 2 A an error of 1 % in the distance displaces spots by 0.001/A against the best scale, which is too
much for a cell of 281 A to win against decoys.
"""
GRAZING = 1e-3
"""Smallest cosine of the angle to the beam of a ray that meets a detector whose distance may be far too short."""
LEAST = 0.005
"""Smallest relative error of a scale or a distance that is named."""
FRAMES, FEW = 12, 6
"""Largest number of frames of the sample, and of those on which all scales and distances are tried first."""
FINALISTS = 4
"""Number of the best scales, and of the best distances, that are tried on the whole sample."""
SURE_FROM = 4
"""Number of frames of the sample below which the evidence must be overwhelming."""
OVERWHELMING = 60.0
"""Mean evidence of a frame beyond which a scale is certain, however few frames there are.

Of two frames of another crystal, one may have 48 at the best of all scales and distances; lysozyme with 70 to 120 spots
has 160 to 290.
"""
FEWEST = 0.5
"""Smallest share of frames that must be indexed at another scale."""


def are_too_few(offsets: NDArray[np.int64], p: Parameters) -> bool:
    """Whether a scale of frames with these offsets (F + 1,) into their spots is found only if it is overwhelming."""
    n = int(np.count_nonzero(np.diff(offsets) >= p.learn_min_spots))
    return 0 < (n + 1) // 2 < SURE_FROM


def find_scale(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Scale | None:
    """The scale at which frames fit their primitive cells (M, 3, 3); None if none is clearly better than the given one.

    A sample of the frames with more spots is indexed at all scales of `NEAR`, or `NEAR_FINELY`, and `UNITS`, at those
    of wavelengths that may have been meant (`wavelengths_meant`), and with distances: those that the best scale
    suggests, or all of these if half of the frames fit at no scale, and `OF_DISTANCE`. The best ones of `FEW` frames
    are tried on all. The best scale and the best distance are refined; the better of the two must index half of the
    frames, and its crystals must do better than decoys. If the sample has fewer frames than `SURE_FROM`, it must index
    all of them with the evidence `OVERWHELMING`.
    """
    half = fuller_half(offsets)
    chosen = np.sort(evenly(half[np.diff(offsets)[half] >= p.learn_min_spots], FRAMES))
    if len(chosen) < 2:
        return None
    rows, some = rows_of(offsets, chosen)
    sample = _Sample.of(
        devices, spots[rows], some, cells, p.replace(retry=False, searches=1, strain_prior=p.learn_prior)
    )
    given, enough = sample.scaled(1.0), max(FEWEST * len(chosen), 2)
    few, near = sample.some(FEW), NEAR if np.median(np.linalg.norm(spots[rows], axis=1)) < HIGH else NEAR_FINELY
    scaled = max(
        given,
        *map(sample.scaled, _finalists(map(few.scaled, [*few.possible((*near, *UNITS)), *few.of_wavelengths()]))),
        key=_Tried.total,
    )
    about = sample.suggested_by(scaled.factor) if scaled.n_indexed >= enough else near
    distances = sample.at_distances(_finalists(few.at_distances([*about, *OF_DISTANCE])))
    if not is_far(scaled.factor):
        scaled = max(scaled, *(sample.scaled(scaled.factor + step) for step in FINE_STEPS), key=_Tried.total)
    nearest = max(distances, key=_Tried.total, default=None)
    if nearest is not None:
        finer = sample.at_distances([nearest.factor * (1 + step) for step in FINE_STEPS])
        nearest = max(nearest, *finer, key=_Tried.total)
    best = scaled if nearest is None else max(scaled, nearest, key=_Tried.total)
    if best.n_indexed < enough or abs(best.factor - 1) < LEAST or not best.found.is_better_than(given.found):
        return None
    if sample.is_small and not (best.found.indexed.all() and best.total() > OVERWHELMING * sample.n_frames):
        return None
    mine, own = rows_of(some, np.flatnonzero(best.found.indexed))
    if len(cells) == 1 and contest(devices, IndexedSpots(best.spots[mine], own, as_primitive(best.cells[0]))).is_lost:
        return None
    cause, distance = Cause.ANY, scaled.factor
    if nearest is not None:
        distance = nearest.factor
        if nearest.found.gain_over(scaled.found) > CLEARLY:
            cause = Cause.DISTANCE
        elif scaled.found.gain_over(nearest.found) > CLEARLY:
            cause = Cause.NOT_DISTANCE
    return Scale(scaled.factor, best.n_indexed, given.n_indexed, len(chosen), cause, distance, sample.wavelength)


@dataclass(frozen=True)
class _Tried:
    """Outcome of the frames at another scale or distance."""

    factor: float
    spots: NDArray[Any]
    cells: PrimitiveCells
    found: Evidence

    @property
    def n_indexed(self) -> int:
        """Number of indexed frames."""
        return int(self.found.indexed.sum())

    def total(self) -> float:
        """Sum of the evidence of the frames."""
        return float(self.found.evidence.sum())


def _finalists(tried: Iterable[_Tried]) -> list[float]:
    """The factors with most evidence."""
    return [each.factor for each in sorted(tried, key=_Tried.total, reverse=True)[:FINALISTS]]


@dataclass(frozen=True)
class _Sample(FrameSpots):
    """Frames on which scales and distances are tried.

    Attributes
    ----------
    wavelengths : (N,) float64 or None
        Wavelength of each spot, angstrom; None if the spots of a frame lie on no Ewald sphere.
    cells : (M, 3, 3) float64
        Primitive input cells, rows a, b, c, angstrom.
    """

    devices: Devices
    wavelengths: Array | None
    cells: PrimitiveCells
    p: Parameters

    @classmethod
    def of(
        cls, devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
    ) -> _Sample:
        """A sample with the wavelengths of its frames."""
        each = [wavelength_of_spots(spots[i:j].astype(np.float64)) for i, j in itertools.pairwise(offsets)]
        known = [wavelength for wavelength in each if wavelength is not None]
        wavelengths = np.repeat(known, np.diff(offsets)) if len(known) == len(each) else None
        return cls(spots, offsets, devices, wavelengths, cells, p)

    @property
    def is_small(self) -> bool:
        """Whether only overwhelming evidence of the frames counts."""
        return self.n_frames < SURE_FROM

    @property
    def wavelength(self) -> float | None:
        """The median wavelength, angstrom; None if the wavelengths are not known."""
        return None if self.wavelengths is None else float(np.median(self.wavelengths))

    def some(self, n: int) -> _Sample:
        """A sample of at most n of the frames, spread evenly."""
        chosen = evenly(np.arange(self.n_frames), n)
        rows, _ = rows_of(self.offsets, chosen)
        return replace(self.take(chosen), wavelengths=None if self.wavelengths is None else self.wavelengths[rows])

    def possible(self, factors: Sequence[float]) -> list[float]:
        """The factors by which the cells can be multiplied without becoming too short or too long for a cell."""
        lengths = np.linalg.norm(self.cells, axis=-1)
        return [factor for factor in factors if SHORTEST <= factor * lengths.min() <= factor * lengths.max() <= LONGEST]

    def of_wavelengths(self) -> list[float]:
        """The factors of wavelengths that may have been meant by the wavelength of the frames, besides `UNITS`."""
        if (read := self.wavelength) is None:
            return []
        factors = [read / meant for meant in wavelengths_meant(read)]
        return [factor for factor in factors if all(abs(factor / unit - 1) > SAME_UNIT for unit in UNITS)]

    def scaled(self, factor: float) -> _Tried:
        """The frames indexed with the cells multiplied by a factor, or their spots where these have a wrong unit.

        Where either may be wrong, the better of both is taken: tolerances fit spots in 1/angstrom only.
        """
        tried = []
        if not is_far(factor) or factor in UNITS:
            tried.append(self._tried(factor, self.spots, as_primitive(factor * self.cells)))
        if is_far(factor) and (factor < 1 or factor not in UNITS):
            tried.append(self._tried(factor, (factor * self.spots).astype(np.float32), self.cells))
        return max(tried, key=_Tried.total)

    def at_distances(self, factors: Sequence[float]) -> list[_Tried]:
        """The frames indexed with the detector distance divided by factors; none if wavelengths are not known."""
        if self.wavelengths is None:
            return []
        spots, along = self.spots.astype(np.float64), self.wavelengths
        moved = [
            spots_of_moved_detector(spots, along, NO_SHIFT.radian, factor - 1, least_cosine=GRAZING)
            for factor in factors
        ]
        return [self._tried(f, m.astype(np.float32), self.cells) for f, m in zip(factors, moved, strict=True)]

    def suggested_by(self, scale: float) -> Sequence[float]:
        """Divisors of the distance around the one that scales a spot of median angle by a factor; none for units."""
        if self.wavelengths is None or is_far(scale):
            return []
        about = round(divisor_of_distance(self.spots, self.wavelengths, scale), 2)
        return [about + step for step in STEPS]

    def _tried(self, factor: float, spots: NDArray[Any], cells: PrimitiveCells) -> _Tried:
        result = self.devices.index_frames(spots, self.offsets, SearchPlan.make(cells, self.p), self.p)
        return _Tried(factor, spots, cells, Evidence.of(result, self.p.accept))
