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
    radii = np.linalg.norm(spots.astype(np.float64), axis=1)
    filled = np.flatnonzero(np.diff(offsets))
    spheres = 4 / 3 * np.pi * np.maximum.reduceat(radii, offsets[:-1][filled]) ** 3
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
