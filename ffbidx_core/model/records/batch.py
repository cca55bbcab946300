"""Ragged frames packed in arrays. The shape letters of the project are defined here, once.

F frames in a batch, N spots of all its frames together, M input cells, G vector-length groups, C candidate vectors
per group, Q oriented cells per frame, T radii. Cells are (..., 3, 3) with rows a, b, c; spots are packed as the
columns of (3, N), frame after frame.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..xp import XpArray
from .ragged import offsets_of, rows_of

LARGEST_SPOT = 1000.0
"""No spot lies this far out, 1/angstrom; one that does makes its frame a bad one."""
SMALLEST_SPOT = 1e-6
"""A spot nearer to the origin than this is padding."""


@dataclass(frozen=True)
class SpotBatch:
    """Spots of F frames, each frame's sorted by (|s|^2, x, y, z).

    Attributes
    ----------
    xyz : (3, N) float32, C order
        Reciprocal space, 1/angstrom; an array of the backend.
    offsets : (F + 1,) int64
        Frame f owns the columns offsets[f]:offsets[f + 1]; an array of the backend.
    xp
        The backend's array module, NumPy or CuPy.
    """

    xyz: XpArray
    offsets: XpArray
    xp: ModuleType = np

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.offsets) - 1

    @functools.cached_property
    def counts(self) -> XpArray:
        """Spots of each frame, (F,)."""
        return self.xp.diff(self.offsets)

    @functools.cached_property
    def frame_of_spot(self) -> XpArray:
        """Frame of each spot, (N,)."""
        xp = self.xp
        return xp.searchsorted(self.offsets, xp.arange(self.xyz.shape[1]), side="right") - 1

    def part(self, frames: XpArray) -> tuple[SpotBatch, XpArray]:
        """The batch of some of the frames (indices, ascending), and the columns here of its spots."""
        columns, offsets = rows_of(self.offsets, frames, self.xp)
        return SpotBatch(self.xp.ascontiguousarray(self.xyz[:, columns]), offsets, self.xp), columns

    def take(self, frames: XpArray) -> SpotBatch:
        """The batch of some of the frames (indices, ascending)."""
        return self.part(frames)[0]

    def keep(self, mask: XpArray) -> SpotBatch:
        """The same frames with only those spots for which mask (N,) is true."""
        xp = self.xp
        running = offsets_of(mask, xp)
        return SpotBatch(xp.ascontiguousarray(self.xyz[:, mask]), running[self.offsets], xp)

    def sum_per_frame(self, values: XpArray) -> XpArray:
        """Sums of values (..., N) over the spots of each frame, (..., F), in float64 or int64."""
        xp = self.xp
        kind = xp.int64 if values.dtype.kind in "biu" else xp.float64
        if xp is np and kind is np.float64:
            # Each frame by itself: differences of a running sum depend in their last bits on the frames before.
            sums, filled = np.zeros((*values.shape[:-1], self.n_frames)), self.counts > 0
            if filled.any():
                sums[..., filled] = np.add.reduceat(values, self.offsets[:-1][filled], axis=-1, dtype=np.float64)
            return sums
        running = xp.cumsum(values, axis=-1, dtype=kind)
        running = xp.concatenate([xp.zeros((*values.shape[:-1], 1), dtype=kind), running], axis=-1)
        return running[..., self.offsets[1:]] - running[..., self.offsets[:-1]]


def pack(frames: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Spots (n, 3) of several frames as one array (N, 3) float32 with offsets (F + 1,)."""
    offsets = offsets_of(np.array([len(spots) for spots in frames], dtype=np.int64), np)
    if not frames:
        return np.zeros((0, 3), np.float32), offsets
    return np.concatenate([np.asarray(spots, dtype=np.float32).reshape(-1, 3) for spots in frames]), offsets


def usable_frames(spots: XpArray, offsets: NDArray[np.int64], xp: ModuleType = np) -> NDArray[np.bool_]:
    """Which frames hold only numbers that can be spots: finite and below `LARGEST_SPOT`, (F,) in host memory."""
    # The comparison is false for nan too.
    bad = ~(xp.abs(spots) < LARGEST_SPOT).all(axis=1)
    running = offsets_of(bad, xp)
    bounds = to_host(running[xp.asarray(offsets)])
    return np.asarray(bounds[1:] == bounds[:-1])


def to_host(array: XpArray) -> NDArray[Any]:
    """An array of any backend in host memory."""
    return np.asarray(array.get() if hasattr(array, "get") else array)
