"""Testing how well crystals predict spots that were not used in their fit; learned values must improve this.

Half of the spots of each frame are indexed, and the spots of the other half are counted that lie near a reflection of
the crystal; then the halves are exchanged. A beam, a cell or a prior that gives a fit more or less freedom than the
crystals have predicts fewer of these spots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import PrimitiveCells
from ..model.cell import Array
from ..model.plan import SearchPlan
from ..model.records.ragged import offsets_of
from ..parameters import Parameters

RADII = (0.0005, 0.001, 0.002)
"""Distances from a reflection, 1/angstrom, within which a spot counts as predicted."""


@dataclass(frozen=True)
class Unseen:
    """The numbers of unseen spots that are predicted.

    Attributes
    ----------
    counts : (3,) int64
        Number of spots within each of `RADII`.
    indexed : int
        Number of halves of frames that were indexed.
    """

    counts: NDArray[np.int64]
    indexed: int

    @property
    def error(self) -> float:
        """The largest relative error by chance of the count within the middle radius."""
        return float(1 / np.sqrt(max(self.counts[1], 1)))

    def over(self, other: Unseen) -> float:
        """The ratio of the predicted spots to those of `other`, averaged over the radii."""
        return float((self.counts / np.maximum(other.counts, 1)).mean())


def predicted(
    devices: Devices,
    spots: NDArray[Any],
    offsets: NDArray[np.int64],
    plan: SearchPlan,
    p: Parameters,
    given: PrimitiveCells,
) -> Unseen:
    """The number of unseen spots that the crystals of some frames predict; see `predicted_by_frame`."""
    counts, indexed = predicted_by_frame(devices, spots, offsets, plan, p, given)
    return Unseen(counts.sum(axis=0), indexed)


def predicted_by_frame(
    devices: Devices,
    spots: NDArray[Any],
    offsets: NDArray[np.int64],
    plan: SearchPlan,
    p: Parameters,
    given: PrimitiveCells,
) -> tuple[NDArray[np.int64], int]:
    """Index each half of the spots of some frames, and count the spots of the other half that the crystal predicts.

    Parameters
    ----------
    spots : (N, 3)
        Spots, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1].
    given : (M, 3, 3)
        Primitive cells from which the drift is measured, rows a, b, c, angstrom.

    Returns
    -------
    counts : (F, 3) int64
        Number of these spots of each frame within each of `RADII`.
    indexed : int
        Number of halves of frames that were indexed.
    """
    n = len(offsets) - 1
    frame = np.repeat(np.arange(n), np.diff(offsets))
    xyz = spots.astype(np.float64)
    # Every second spot in the order of resolution is taken, whatever the order of the input.
    order = np.lexsort((*xyz.T[::-1], (xyz**2).sum(axis=1), frame))
    half = np.empty(len(frame), np.int64)
    half[order] = np.arange(len(frame)) % 2
    counts = np.array([np.bincount(frame[half == k], minlength=n) for k in (0, 1)])
    result = devices.index_frames(
        np.concatenate([spots[half == 0], spots[half == 1]]).astype(np.float32),
        offsets_of(counts.ravel()),
        plan,
        p.replace(retry=False, searches=1),
        given_cells=given,
    )
    found = np.diff(result.crystal_offsets) > 0
    cells = np.zeros((2 * n, 3, 3))
    cells[found] = result.cells[result.crystals[result.crystal_offsets[:-1][found]]]
    # Each spot is compared with the crystal that was found on the half to which it does not belong.
    other = (1 - half) * n + frame
    judged = found[other]
    distance = _distance(xyz[judged], cells[other[judged]])
    near = [np.bincount(frame[judged][distance < radius], minlength=n) for radius in RADII]
    return np.column_stack(near).astype(np.int64), int(found.sum())


def _distance(spots: Array, cells: Array) -> Array:
    """Distances (n,), 1/angstrom, of spots (n, 3) from the nearest reflection of cells (n, 3, 3); infinite at 000."""
    indices = np.rint(np.einsum("nij,nj->ni", cells, spots))
    points = np.einsum("ni,nij->nj", indices, np.linalg.inv(cells).transpose(0, 2, 1)) if len(cells) else spots
    return np.where((indices != 0).any(axis=1), np.linalg.norm(points - spots, axis=1), np.inf)
