"""The scan of a frame for lattice vectors up to a reach, and the constants of the fits that follow it.

A vector v of a real-space lattice has s . v near an integer for every spot s of the lattice. C(v) = sum_j cos(2 pi
s_j . v) over the low spots of a frame is scanned on directions times lengths. The reach is cut to octaves, each a
factor of `OCTAVE` in length with directions of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..plan import half_sphere

LANES = 64
"""The number of directions of an octave is a multiple, so that kernels take that many side by side."""
OCTAVE = 1.6
"""Ratio of the longest to the shortest length of an octave."""
STEP = 0.12
"""Step in length times the resolution of the scan: 0.12 of a turn of the fastest phase."""
SPACING = 0.40
"""Spacing of directions times length times the resolution of the scan."""
TURNS = 30.0
"""The scan takes spots up to this number over the reach: longest vectors turn so many times up to there."""
SHORTEST_SHARE, SHORTEST_TURNS = 1 / 12, 2.5
"""A vector is longer than this share of the reach, and turns so often up to the resolution of the scan: of a shorter
one all phases are near zero, whatever the lattice."""
FEWEST_TURNS = 4.0
"""A reach of fewer turns is not scanned."""
FEWEST_LOW = 10
"""The scan takes so many spots of a frame at least."""
LOW_SPOTS = 14
"""The scan's resolution is no lower than that of this spot of the median frame."""
HITS = 1500
"""Local maxima of C of a frame that are refined, shared out evenly between the octaves."""
FLOOR = 0.35
"""C of a local maximum is above this share of the number of spots."""

TRUE = 0.6
"""Share of spots that belong to the lattice, as the likelihood takes it; anything from 0.4 to 0.75 serves."""
WIDTH_FLOOR, WIDTH_ACROSS, WIDTH_ALONG = 0.03, 0.0004, 0.0009
"""A true spot's phase scatters by 0.03 of a turn, by 0.0004 1/A times the vector's length, and by 0.0009 1/A times its
component along the beam: a still's excitation error is along the beam."""
WIDEST = 0.2
"""Width of the refinement at most, in turns."""
WIDTHS = (2.5, 2.0, 1.5, 1.0, 1.0)
"""Factors on the width in the steps of a vector's refinement."""
JOINT_WIDTHS = (2.0, 1.5, 1.0)
"""Factors on the width in the steps of the joint fit of three vectors."""
RIDGE, JOINT_RIDGE = 0.02, 5e-5
"""Added to the diagonal of the normal matrix, for one vector times the square of the width."""
LONGEST_STEP = 1.5
"""Angstrom by which a step moves a vector at most."""
DISTINCT = 0.25
"""Two vectors are distinct where they are further apart than this over the resolution of the scan."""
VECTORS, LATTICES = 90, 15
"""Vectors and lattices of a frame that are kept."""
FLATTEST = 0.15
"""Volume of three vectors over the product of their lengths, at least."""
TRIED = 40 * LATTICES
"""Triples of a frame, best first, of which distinct ones are fitted."""
SAME_TRIPLE, SAME_LATTICE = 0.015, 0.01
"""Two lattices are one where all seven Voronoi lengths agree to this share, before and after the joint fit."""
MOST_SPOTS = 60
"""Spots of a frame, those of lowest resolution, that a lattice is searched with."""
FEWEST_SPOTS = 7
"""A frame with fewer spots is left out."""


@dataclass(frozen=True)
class Octave:
    """A range of lengths with its directions.

    Attributes
    ----------
    first, step : float
        The lengths are first + k step, angstrom, k = 0 ... n_lengths - 1. Local maxima are looked for between the
        first and the last.
    n_lengths : int
    directions : (M, 3) float32
        Unit vectors of the half sphere; M is a multiple of `LANES`.
    most : int
        Local maxima that the octave gives at most.
    """

    first: float
    step: float
    n_lengths: int
    directions: NDArray[np.float32]
    most: int


@dataclass(frozen=True)
class VectorScan:
    """The scan for vectors up to a reach.

    Attributes
    ----------
    reach : float
        Longest vector, angstrom.
    shortest : float
        Shortest vector, angstrom.
    resolution : float
        Length of the spots up to which C is summed, 1/angstrom.
    octaves : tuple of Octave
        Longest first.
    """

    reach: float
    shortest: float
    resolution: float
    octaves: tuple[Octave, ...]

    @classmethod
    def make(cls, reach: float, frames: list[Array]) -> VectorScan | None:
        """The scan of some frames for vectors up to a reach in angstrom; None where spots end too low for it.

        Parameters
        ----------
        frames
            Lengths (n,) of the spots of each frame in ascending order, 1/angstrom, at most `MOST_SPOTS` of each.
        """
        lengths = [frame for frame in frames if len(frame)]
        if not lengths:
            return None
        usual = float(np.median([frame[min(len(frame), LOW_SPOTS) - 1] for frame in lengths]))
        resolution = max(usual, min(TURNS / reach, float(np.percentile(np.concatenate(lengths), 90))))
        if reach * resolution < FEWEST_TURNS:
            return None
        shortest = max(SHORTEST_SHARE * reach, SHORTEST_TURNS / resolution)
        return cls(reach, shortest, resolution, _octaves(reach, shortest, resolution))

    def low_counts(self, squares: Array, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of spots of each frame (F,) that C is summed over: up to the resolution, `FEWEST_LOW` at least.

        Parameters
        ----------
        squares : (N,)
            |s|^2 of the spots, ascending within a frame.
        offsets : (F + 1,)
        """
        low = squares <= (1.001 * self.resolution) ** 2
        running = np.concatenate([[0], np.cumsum(low)])
        counts = running[offsets[1:]] - running[offsets[:-1]]
        return np.asarray(np.maximum(counts, np.minimum(np.diff(offsets), FEWEST_LOW)), dtype=np.int64)


def _octaves(reach: float, shortest: float, resolution: float) -> tuple[Octave, ...]:
    step, ends, high = STEP / resolution, [], reach
    while high > shortest * 1.0001:
        low = max(shortest, high / OCTAVE)
        ends.append((low, high))
        high = low
    most = -(-HITS // max(len(ends), 1))
    octaves = []
    for low, high in ends:
        n = int(2 * np.pi / (SPACING / (high * resolution)) ** 2)
        directions = half_sphere(LANES * max(4, -(-n // LANES))).astype(np.float32)
        octaves.append(Octave(low - step, step, int(np.ceil((high - low) / step)) + 3, directions, most))
    return tuple(octaves)
