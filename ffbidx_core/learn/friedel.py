"""Where the beam of electron diffraction may be, by Friedel pairs: spots lie opposite one another about it.

On a sphere that is nearly flat a reflection and its opposite are both seen, so that the middle of many pairs of spots
is where the beam meets the detector. A lattice that is off by a shift has such middles too, at all halves of its
vectors, but another frame has them elsewhere: over the frames they add up at the beam alone.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array

BIN = 0.001
"""Width of the squares in which middles are counted, 1/angstrom: about twice the noise of a middle."""
FARTHEST = 0.1
"""The beam is nearer than this to where it is taken to be, 1/angstrom."""
MOST_SPOTS = 150
"""Spots of a frame that are paired, those nearest to the beam as it is taken to be."""
MOST_CENTRES = 8
"""Places that are tried. Of 24 frames the first one is the beam, of 12 mostly one of the first five."""
FLAT = 0.01
"""Distance in 1/angstrom of a reflection's opposite from the sphere up to which it is seen often enough."""


def is_flat(spots: NDArray[np.floating], wavelength: float) -> bool:
    """Whether the opposite of a typical spot (N, 3) lies near to the Ewald sphere."""
    return bool(wavelength * np.median((spots.astype(np.float64) ** 2).sum(axis=1)) < FLAT)


def centres_of_symmetry(spots: NDArray[np.floating], offsets: NDArray[np.int64]) -> Array:
    """Places in the plane across the beam that the spots of most frames are symmetric about, the best one first.

    Parameters
    ----------
    spots : (N, 3)
        1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1].

    Returns
    -------
    (n, 2) float64
        1/angstrom.
    """
    n_bins = round(2 * FARTHEST / BIN)
    frames = [_middles(spots[begin:end].astype(np.float64)) for begin, end in itertools.pairwise(offsets)]
    score = np.zeros((n_bins, n_bins))
    for middles in frames:
        square = np.floor((middles + FARTHEST) / BIN).astype(np.int64)
        counts = np.bincount(square @ (n_bins, 1), minlength=n_bins**2).reshape(n_bins, n_bins)
        # So that no frame that shows a plane of its lattice outvotes the others.
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
    """The middles (m, 2) across the beam of all pairs of a frame's spots, near enough to be the beam."""
    nearest = spots[np.argsort((spots**2).sum(axis=1), kind="stable")[:MOST_SPOTS], :2]
    i, j = np.triu_indices(len(nearest), 1)
    middles = (nearest[i] + nearest[j]) / 2
    return np.asarray(middles[(np.abs(middles) < FARTHEST).all(axis=1)])


def _with_neighbours(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts of each square and the eight around it."""
    padded = np.pad(counts, 1)
    n, m = counts.shape
    return np.asarray(sum(padded[i : i + n, j : j + m] for i, j in itertools.product(range(3), repeat=2)))
