"""Batches: frames with unequal numbers of spots, packed in arrays.

The letters of array shapes throughout the project are: F frames in a batch, N spots of all its frames together, M input
cells, G groups of vector lengths, C candidate vectors per group, Q oriented cells per frame, T radii. Cells are
(..., 3, 3) with rows a, b, c; spots are the columns of (3, N), frame after frame.
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
"""Absolute value of a coordinate, 1/angstrom, from which a spot is impossible and makes its frame a bad one."""
SMALLEST_SPOT = 1e-6
"""Distance from the origin, 1/angstrom, below which a spot is padding."""
FEW_SPOTS = 1 << 15
"""Number of spots up to which a batch is small: on a GPU it takes longer to launch its kernels than to compute them."""
FLATTEST_WAVELENGTH = 0.1
"""Wavelength below which the Ewald sphere is nearly flat, angstrom: that of electrons of more than 15 keV."""


@dataclass(frozen=True)
class SpotBatch:
    """The spots of F frames, sorted within each frame by (|s|^2, x, y, z).

    Attributes
    ----------
    xyz : (3, N) float32, C order
        Spots in reciprocal space, 1/angstrom; an array of the backend.
    offsets : (F + 1,) int64
        Frame f owns the columns offsets[f]:offsets[f + 1]; an array of the backend. Columns from offsets[F] on belong
        to no frame, and their values have no meaning.
    xp
        The backend's array module, NumPy or CuPy.
    """

    xyz: XpArray
    offsets: XpArray
    xp: ModuleType = np

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.offsets) - 1

    @functools.cached_property
    def counts(self) -> XpArray:
        """Number of spots on each frame, (F,)."""
        return self.xp.diff(self.offsets)

    @functools.cached_property
    def frame_of_spot(self) -> XpArray:
        """Number of the frame of each spot, (N,); the last frame for columns that belong to none."""
        xp = self.xp
        frames = xp.searchsorted(self.offsets, xp.arange(self.xyz.shape[1]), side="right") - 1
        return xp.minimum(frames, self.n_frames - 1)

    def take(self, frames: XpArray) -> SpotBatch:
        """The batch of a selection of frames: ascending indices, which only frames without spots may repeat.

        On a device a small batch keeps its number of columns, so that the host need not wait for the new one.
        """
        n_columns = self.xyz.shape[1]
        waits = self.xp is np or n_columns > FEW_SPOTS or len(frames) == 0
        columns, offsets = rows_of(self.offsets, frames, self.xp, None if waits else n_columns)
        return SpotBatch(self.xp.ascontiguousarray(self.xyz[:, columns]), offsets, self.xp)

    def keep(self, mask: XpArray) -> SpotBatch:
        """The same frames with only the spots for which `mask` (N,) is true."""
        xp = self.xp
        running = offsets_of(mask, xp)
        return SpotBatch(xp.ascontiguousarray(self.xyz[:, mask]), running[self.offsets], xp)

    def sum_per_frame(self, values: XpArray) -> XpArray:
        """Sums (..., F) of values (..., N) over the spots of each frame, in float64, or in int64 for integer values."""
        xp = self.xp
        kind = xp.int64 if values.dtype.kind in "biu" else xp.float64
        if xp is np and kind is np.float64:
            # Each frame is summed by itself: the last bits of differences of a running sum depend on earlier frames.
            sums, filled = np.zeros((*values.shape[:-1], self.n_frames)), self.counts > 0
            if filled.any():
                sums[..., filled] = np.add.reduceat(values, self.offsets[:-1][filled], axis=-1, dtype=np.float64)
            return sums
        running = xp.cumsum(values, axis=-1, dtype=kind)
        running = xp.concatenate([xp.zeros((*values.shape[:-1], 1), dtype=kind), running], axis=-1)
        return running[..., self.offsets[1:]] - running[..., self.offsets[:-1]]


def pack(frames: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pack the spots (n, 3) of several frames.

    Returns
    -------
    spots : (N, 3) float32
        Spots of all frames, in the unit of the frames.
    offsets : (F + 1,) int64
        Frame f owns the spots offsets[f]:offsets[f + 1].
    """
    offsets = offsets_of(np.array([len(spots) for spots in frames], dtype=np.int64), np)
    if not frames:
        return np.zeros((0, 3), np.float32), offsets
    return np.concatenate([np.asarray(spots, dtype=np.float32).reshape(-1, 3) for spots in frames]), offsets


def usable_frames(spots: XpArray, offsets: NDArray[np.int64], xp: ModuleType = np) -> NDArray[np.bool_]:
    """Whether all coordinates on each frame are finite and below `LARGEST_SPOT` in absolute value.

    Parameters
    ----------
    spots : (N, 3)
        Spots, 1/angstrom; an array of `xp`.
    offsets : (F + 1,)
        Frame f owns the spots offsets[f]:offsets[f + 1].

    Returns
    -------
    (F,) bool
        An array in host memory.
    """
    # The comparison is false for nan, too.
    near = xp.abs(spots) < LARGEST_SPOT
    if near.all():
        return np.ones(len(offsets) - 1, dtype=np.bool_)
    running = offsets_of(~near.all(axis=1), xp)
    bounds = to_host(running[xp.asarray(offsets)])
    return np.asarray(bounds[1:] == bounds[:-1])


def to_host(array: XpArray) -> NDArray[Any]:
    """The NumPy array in host memory with the content of any backend's array."""
    return np.asarray(array.get() if hasattr(array, "get") else array)
