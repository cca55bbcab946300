"""Signs that a cell or spots are given in nanometres, not in angstrom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .cell import Array

FARTHEST_USUAL_SPOT = 2.0
"""Spots farther out than this are rare, 1/angstrom: a resolution of 0.5 angstrom."""


def suspicious_units(spots: NDArray[np.floating], offsets: NDArray[np.int64], cells: Array) -> Iterator[str]:
    """A sentence for each thing that looks like nanometres.

    Parameters
    ----------
    spots : (N, 3)
        1/angstrom, finite.
    offsets : (F + 1,)
        Frame f owns rows offsets[f]:offsets[f + 1].
    cells : (M, 3, 3)
        Rows a, b, c, angstrom.
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
    """Volumes of spheres with these radii."""
    return np.asarray(4 / 3 * np.pi * radii.astype(np.float64) ** 3)


def _look_right(spots: NDArray[np.floating], begins: NDArray[np.int64], cells: Array) -> bool:
    """Whether nothing can look like nanometres: judged by the largest coordinate of each frame.

    The farthest spot is at least as far out, and less than twice as far.
    """
    numbers = np.ascontiguousarray(spots).reshape(-1)
    reach = np.maximum(np.maximum.reduceat(numbers, 3 * begins), -np.minimum.reduceat(numbers, 3 * begins))
    return bool(
        2 * reach.max() < FARTHEST_USUAL_SPOT
        and (np.abs(np.linalg.det(cells)) * _spheres(reach).sum() >= len(spots)).all()
    )
