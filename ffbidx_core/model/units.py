"""Recognition of cells and spots that seem to be given in nanometres instead of angstrom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .cell import Array

ENOUGH_SPOTS = 1_000_000
"""Number of spots of some files from which their units are seen."""
FARTHEST_USUAL_SPOT = 2.0
"""Distance from the origin, 1/angstrom, beyond which spots are rare; it is a resolution of 0.5 angstrom."""


class SeenUnits:
    """The number of spots of some files that were looked at for some cells: enough of them show the units of all."""

    def __init__(self) -> None:
        self._looked_at: tuple[bytes, set[str]] = b"", set()
        self._n_spots = 0

    def look_at(self, cells: Array, files: Iterable[str], n_spots: int) -> bool:
        """Whether the next `n_spots` spots of some files are to be looked at for some cells, with which they count."""
        if self._looked_at != (these := (cells.tobytes(), set(files))):
            self._looked_at, self._n_spots = these, 0
        are_new = self._n_spots < ENOUGH_SPOTS
        self._n_spots += n_spots
        return are_new


def suspicious_units(spots: NDArray[np.floating], offsets: NDArray[np.int64], cells: Array) -> Iterator[str]:
    """Look for spots and cells that seem to be given in nanometres.

    Parameters
    ----------
    spots : (N, 3)
        Spots in reciprocal space, finite numbers that should be in 1/angstrom.
    offsets : (F + 1,)
        Frame f owns the spots offsets[f]:offsets[f + 1].
    cells : (M, 3, 3)
        Input cells, rows a, b, c, which should be in angstrom.

    Yields
    ------
    str
        One sentence for each suspicion.
    """
    if len(spots) == 0:
        return
    filled = np.flatnonzero(np.diff(offsets))
    if _look_right(spots, offsets[:-1][filled], cells):
        return
    radii = np.linalg.norm(spots.astype(np.float64), axis=1)
    spheres = _spheres(np.maximum.reduceat(radii, offsets[:-1][filled]))
    for m, volume in enumerate(np.abs(np.linalg.det(cells))):
        # A crystal cannot have more reflections than its lattice has points within the resolution.
        if volume * spheres.sum() < len(spots):
            yield (
                f"input cell {m} has {volume * spheres.mean():.3g} lattice points within the spots' resolution for "
                f"{len(spots) / len(filled):.3g} spots: is it in nanometres? It must be in angstrom"
            )
    if (far := int((radii > FARTHEST_USUAL_SPOT).sum())) > 0:
        yield (
            f"{far} of {len(spots)} spots lie beyond {FARTHEST_USUAL_SPOT:g}/angstrom: are they in 1/nm? "
            "They must be in 1/angstrom"
        )


def _spheres(radii: NDArray[np.floating]) -> NDArray[np.float64]:
    """Volumes of spheres with the given radii."""
    return np.asarray(4 / 3 * np.pi * radii.astype(np.float64) ** 3)


def _look_right(spots: NDArray[np.floating], begins: NDArray[np.int64], cells: Array) -> bool:
    """Whether the units are certainly right, judged quickly by the largest absolute coordinate on each frame.

    The farthest spot of a frame is at least that far from the origin, and less than twice as far.
    """
    numbers = np.ascontiguousarray(spots).reshape(-1)
    reach = np.maximum(np.maximum.reduceat(numbers, 3 * begins), -np.minimum.reduceat(numbers, 3 * begins))
    return bool(
        2 * reach.max() < FARTHEST_USUAL_SPOT
        and (np.abs(np.linalg.det(cells)) * _spheres(reach).sum() >= len(spots)).all()
    )
