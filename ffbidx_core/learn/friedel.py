"""Finding the beam in electron diffraction by Friedel pairs, whose spots lie opposite one another about the beam.

If the Ewald sphere is nearly flat, a reflection and its Friedel mate are both seen, so the midpoint of many pairs of
spots is the position of the beam. Pairs of a single lattice also have midpoints at all halves of its vectors, but these
lie elsewhere on other frames: summed over the frames, only the midpoints at the beam add up.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array

BIN = 0.001
"""Width of the squares in which midpoints are counted, 1/angstrom: about twice the noise of a midpoint."""
FARTHEST = 0.1
"""Largest distance of the beam from its assumed position, 1/angstrom."""
MOST_SPOTS = 150
"""Largest number of spots of a frame that are paired, those nearest to the assumed beam."""
MOST_CENTRES = 8
"""Number of positions that are tried; with 24 frames the first is the beam, with 12 mostly one of the first five."""
FLAT = 0.01
"""Largest distance, 1/angstrom, of a Friedel mate from the Ewald sphere at which it is seen often enough."""


def mates_are_near(spots: NDArray[np.floating], wavelength: float) -> bool:
    """Whether the Friedel mate of a typical spot (N, 3) lies near the Ewald sphere."""
    return bool(wavelength * np.median((spots.astype(np.float64) ** 2).sum(axis=1)) < FLAT)


def centres_of_symmetry(spots: NDArray[np.floating], offsets: NDArray[np.int64]) -> Array:
    """Positions in the plane normal to the beam about which the spots of most frames are symmetric, the best first.

    Parameters
    ----------
    spots : (N, 3)
        Spots, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1].

    Returns
    -------
    (n, 2) float64
        The positions, 1/angstrom.
    """
    n_bins = round(2 * FARTHEST / BIN)
    frames = [_middles(spots[begin:end].astype(np.float64)) for begin, end in itertools.pairwise(offsets)]
    score = np.zeros((n_bins, n_bins))
    for middles in frames:
        square = np.floor((middles + FARTHEST) / BIN).astype(np.int64)
        counts = np.bincount(square @ (n_bins, 1), minlength=n_bins**2).reshape(n_bins, n_bins)
        # The logarithm keeps a frame that shows a whole plane of its lattice from outvoting the others.
        score += np.log1p(_with_neighbours(counts))
    all_middles = np.concatenate([np.zeros((0, 2)), *frames])
    centres: list[Array] = []
    while len(centres) < MOST_CENTRES and score.max() > 0:
        row, column = np.unravel_index(np.argmax(score), score.shape)
        score[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = 0
        place = (np.array([row, column]) + 0.5) * BIN - FARTHEST
        centres.append(all_middles[np.linalg.norm(all_middles - place, axis=1) < 1.5 * BIN].mean(axis=0))
    return np.array(centres).reshape(-1, 2)


def _middles(spots: Array) -> Array:
    """The midpoints (m, 2), normal to the beam, of all pairs of spots of a frame that are within reach of the beam."""
    nearest = spots[np.argsort((spots**2).sum(axis=1), kind="stable")[:MOST_SPOTS], :2]
    i, j = np.triu_indices(len(nearest), 1)
    middles = (nearest[i] + nearest[j]) / 2
    return np.asarray(middles[(np.abs(middles) < FARTHEST).all(axis=1)])


def _with_neighbours(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the counts of each square and the eight squares around it."""
    padded = np.pad(counts, 1)
    n, m = counts.shape
    return np.asarray(sum(padded[i : i + n, j : j + m] for i, j in itertools.product(range(3), repeat=2)))
