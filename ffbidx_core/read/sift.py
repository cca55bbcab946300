"""Sifting: the selection of spots without padding, exact duplicates and spots outside the limits of resolution.

There are two implementations whose results are equal to the bit: one in NumPy, and one in machine code with a single
pass, which is ten times faster but takes a third of a second to load.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.records.batch import LARGEST_SPOT, SMALLEST_SPOT, usable_frames

WORTH_LOADING = 2_000_000
"""Number of spots after which the machine code is loaded."""
FEW_SPOTS = 20_000
"""Number of spots in a block that NumPy sifts faster than the machine code is loaded, if Numba itself is loaded."""


@dataclass(frozen=True)
class ResolutionLimits:
    """Limits of resolution, angstrom: spots with d_min <= 1/|s| <= d_max are used; None for no limit."""

    d_min: float | None = None
    d_max: float | None = None

    @property
    def squared(self) -> tuple[float, float]:
        """The smallest and the largest |s|^2, 1/angstrom^2, of spots that are used."""
        return 0.0 if self.d_max is None else self.d_max**-2, np.inf if self.d_min is None else self.d_min**-2

    def within(self, squared: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each spot is used, (N,), from its |s|^2 (N,), 1/angstrom^2."""
        low, high = self.squared
        return np.asarray((squared >= low) & (squared <= high))


@dataclass(frozen=True)
class Sifted:
    """The n spots of F frames that are used.

    Attributes
    ----------
    spots : (n, 3) float32
        Spots in reciprocal space, 1/angstrom, frame after frame; those of a frame in the order of the input or by
        falling intensity.
    kept : (F,) int64
        Number of spots used on each frame.
    usable : (F,) bool
        Whether all spots of a frame are finite and not too far from the origin; no spots are used on other frames.
    left_out : (F,) int64
        Number of spots of each usable frame that were left out as padding or duplicates; 0 for other frames.
    """

    spots: NDArray[np.float32]
    kept: NDArray[np.int64]
    usable: NDArray[np.bool_]
    left_out: NDArray[np.int64]


class Sieve:
    """A function that sifts the spots of blocks: by NumPy at first, by machine code once loading it is worth while."""

    def __init__(self) -> None:
        self._seen = 0

    def __call__(
        self,
        spots: NDArray[Any],
        offsets: NDArray[np.int64],
        intensity: NDArray[Any] | None,
        limits: ResolutionLimits,
    ) -> Sifted:
        """Sift the spots of frames.

        Parameters
        ----------
        spots : (N, 3) floating
            Spots in reciprocal space, 1/angstrom; they may be nan or inf.
        offsets : (F + 1,) int64
            Frame f owns the spots offsets[f]:offsets[f + 1].
        intensity : (N,) floating or None
            Intensities, not nan, by which the spots of each frame are sorted, falling; None to keep their order.
        limits
            Limits of resolution.
        """
        self._seen += len(spots)
        is_loaded = "numba" in sys.modules and len(spots) > FEW_SPOTS
        sift = sift_in_one_pass if is_loaded or self._seen > WORTH_LOADING else sift_by_numpy
        return sift(spots, offsets, intensity, limits)


def sift_in_one_pass(
    spots: NDArray[Any], offsets: NDArray[np.int64], intensity: NDArray[Any] | None, limits: ResolutionLimits
) -> Sifted:
    """Sift spots in machine code; see `Sieve` for the parameters."""
    from .sift_kernel import sift_frames

    if spots.dtype not in (np.float32, np.float64):
        with np.errstate(over="ignore", invalid="ignore"):
            spots = spots.astype(np.float32)
    counts = np.diff(offsets)
    most = int(counts.max(initial=1))
    out = np.empty((len(spots), 3), np.float32)
    (kept, left_out), usable = np.empty((2, len(counts)), np.int64), np.empty(len(counts), np.bool_)
    table = np.full(2 ** (2 * most).bit_length(), -1, np.int64)
    frame = np.empty((most, 3), np.float32)
    keys = np.zeros(0, np.float64) if intensity is None else np.ascontiguousarray(intensity)
    sift_frames(
        np.ascontiguousarray(spots).reshape(-1),
        offsets,
        keys,
        np.array([LARGEST_SPOT, SMALLEST_SPOT**2, *limits.squared]),
        out,
        kept,
        left_out,
        usable,
        table,
        frame.reshape(-1),
        frame,
        frame.view(np.uint32),
        np.empty((1, 1 if intensity is None else most), keys.dtype),
        np.empty((2, 1 if intensity is None else most), np.int64),
    )
    return Sifted(out[: int(kept.sum())], kept, usable, left_out)


def sift_by_numpy(
    spots: NDArray[Any], offsets: NDArray[np.int64], intensity: NDArray[Any] | None, limits: ResolutionLimits
) -> Sifted:
    """Sift spots by NumPy; see `Sieve` for the parameters."""
    with np.errstate(over="ignore", invalid="ignore"):
        # Adding 0 turns -0 into 0, so that all duplicates have the same bits.
        spots = spots.astype(np.float32) + np.float32(0)
    counts = np.diff(offsets)
    # One comparison for all spots nearly always suffices; it is false for nan.
    all_usable = len(spots) == 0 or bool(spots.max() < LARGEST_SPOT and spots.min() > -LARGEST_SPOT)
    usable = np.ones(len(counts), dtype=bool) if all_usable else usable_frames(spots, offsets)
    frame = np.repeat(np.arange(len(counts)), counts)
    if not all_usable:
        spots[~usable[frame]] = 0
    squared = np.einsum("ij,ij->i", spots, spots, dtype=np.float64)
    real = squared >= SMALLEST_SPOT**2
    real &= first_occurrences(spots, frame)
    used = real & limits.within(squared)
    if not all_usable:
        used &= usable[frame]
    if intensity is not None:
        order = np.lexsort((-intensity, frame))
        spots, used, frame, real = spots[order], used[order], frame[order], real[order]
    left_out = np.zeros_like(counts)
    if not real.all():
        left_out += np.bincount(frame[~real & usable[frame]], minlength=len(counts))
    if used.all():
        return Sifted(spots, counts, usable, left_out)
    return Sifted(spots[used], np.bincount(frame[used], minlength=len(counts)), usable, left_out)


def first_occurrences(spots: NDArray[np.float32], frame: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each of the spots (N, 3) is the first of its exact duplicates on the same frame, (N,)."""
    first = np.ones(len(spots), dtype=bool)
    # Equal spots have equal keys, and other spots hardly ever do: one sort shows that usual frames have no duplicates.
    bits = np.ascontiguousarray(spots).view(np.uint32).astype(np.uint64)
    key = bits @ _MIX + frame.astype(np.uint64) * _MIX_FRAME
    ordered = np.sort(key)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        # Without a `kind`, NumPy 2.0 tries a table of the whole range of keys, which overflows.
        repeats = np.flatnonzero(np.isin(key, repeated, kind="sort"))
        _, firsts = np.unique(np.column_stack([frame[repeats], spots[repeats]]), axis=0, return_index=True)
        first[repeats] = False
        first[repeats[firsts]] = True
    return first


_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_MIX_FRAME = np.uint64(0xD6E8FEB86659FD93)
