"""The scan of a frame for real-space lattice vectors up to a given length, and the constants of the fits that follow.

For a vector v of the real-space lattice and every spot s of the reciprocal lattice, s . v is close to an integer. The
scan evaluates C(v) = sum_j cos(2 pi s_j . v) over the frame's spots of low resolution, on a grid of directions times
lengths. Lengths up to the longest, the reach, are divided into octaves, each a factor of `OCTAVE` wide and with
directions of its own. The phase of a spot s is s . v in turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..plan import half_sphere

LANES = 64
"""Divisor of the number of directions in an octave, because kernels process this many side by side."""
OCTAVE = 1.6
"""Ratio of the longest to the shortest length in an octave."""
STEP = 0.12
"""Step in length times the resolution of the scan: the step changes the fastest phase by 0.12 turns."""
SPACING = 0.40
"""Spacing of directions (radian) times the length times the resolution of the scan."""
TURNS = 30.0
"""Resolution of the scan times the reach, if spots extend so far: the largest phase of the longest vector, in turns."""
MOST_TURNS = 80.0
"""Upper limit of the resolution of the scan times the reach: the time of a scan grows with its third power."""
SHORTEST_SHARE, SHORTEST_TURNS = 1 / 12, 2.5
"""Lower limits of a vector's length over the reach, and of its phase, in turns, at the resolution of the scan; for a
shorter vector all phases are close to zero, whatever the lattice."""
FEWEST_TURNS = 4.0
"""Largest phase, in turns, below which a reach is not scanned."""
FEWEST_LOW = 10
"""Lower limit of the number of a frame's spots that the scan uses."""
LOW_SPOTS = 14
"""Rank of the spot, by distance from the origin, whose median distance is the lower limit of the scan's resolution."""
HITS, MOST_HITS = 90_000, 8000
"""Number of a frame's local maxima of C that are refined, times the median number of spots, and its upper limit; the
maxima are divided evenly among the octaves. Frames with few spots have more false maxima, and each costs less."""
FLOOR = 0.35
"""Lower limit of C at a local maximum over the number of spots."""

TRUE = 0.6
"""Fraction of spots that the likelihood assigns to the lattice; any value from 0.4 to 0.75 serves."""
WIDTH_FLOOR, WIDTH_ACROSS, WIDTH_ALONG = 0.03, 0.0004, 0.0009
"""Scatter of the phase of a spot that belongs to the lattice, in turns: a constant, a part per angstrom of the vector's
length, and a part per angstrom of its component along the beam, the direction of a still's excitation error."""
SCALES = (1.0, 0.5, 0.25)
"""Factors on the width, of which each vector takes that with the highest likelihood: crystals and detectors differ in
the errors of their spots, and a width twice too large costs each spot a factor of 2 in likelihood."""
WIDEST = 0.2
"""Upper limit of the width that a refinement uses, turns."""
WIDTHS = (2.5, 2.0, 1.5, 1.0, 1.0)
"""Factors on the width in the successive steps of a vector's refinement."""
SCALED_WIDTHS = (1.5, 1.2, 1.0)
"""Factors on the width at the vector's own scale in the steps that follow these."""
JOINT_WIDTHS = (2.0, 1.5, 1.0)
"""Factors on the width in the successive steps of the joint fit of three vectors."""
RIDGE, JOINT_RIDGE = 0.02, 5e-5
"""Ridge terms of the normal matrices of one vector (times the squared width) and of three vectors."""
LONGEST_STEP = 1.5
"""Upper limit of the change of a vector in one step, angstrom."""
DISTINCT = 0.25
"""Distance between two vectors times the resolution of the scan, above which they are distinct."""
VECTORS, LATTICES = 600, 60
"""Numbers of vectors and of lattices that are kept for a frame."""
PAIRED, PAIRS = 300, 600
"""Number of a frame's best vectors of which all pairs are scored, and of the best pairs that are joined with each third
vector."""
FLATTEST = 0.15
"""Lower limit of the volume of three vectors over the product of their lengths."""
TRIED = 2400
"""Number of a frame's best triples of vectors that are considered; the distinct ones among them are fitted."""
SAME_TRIPLE, SAME_LATTICE = 0.015, 0.01
"""Relative tolerances of the seven Voronoi lengths of two equal lattices, before and after the joint fit."""
MOST_SPOTS = 60
"""Largest number of a frame's spots with which lattices are searched, those of lowest resolution."""
FEWEST_SPOTS = 7
"""Number of spots below which a frame is left out."""


@dataclass(frozen=True)
class Octave:
    """A range of vector lengths with the directions on which it is scanned.

    Attributes
    ----------
    first, step : float
        Shortest length and step in length, angstrom: the lengths are first + k step for k = 0 ... n_lengths - 1. A
        local maximum may lie at any of them but the first and the last.
    n_lengths : int
        Number of lengths.
    directions : (M, 3) float32
        Unit vectors on the half sphere; M is a multiple of `LANES`.
    most : int
        Largest number of local maxima that the octave contributes.
    """

    first: float
    step: float
    n_lengths: int
    directions: NDArray[np.float32]
    most: int


@dataclass(frozen=True)
class VectorScan:
    """The scan for lattice vectors up to a reach.

    Attributes
    ----------
    reach : float
        Length of the longest vector, angstrom.
    shortest : float
        Length of the shortest vector, angstrom.
    resolution : float
        Distance of spots from the origin up to which C is summed, 1/angstrom.
    octaves : tuple of Octave
        Octaves of lengths, the longest first.
    """

    reach: float
    shortest: float
    resolution: float
    octaves: tuple[Octave, ...]

    @classmethod
    def make(cls, reach: float, frames: list[Array]) -> VectorScan | None:
        """Plan the scan of frames for lattice vectors.

        Parameters
        ----------
        reach
            Length of the longest vector, angstrom.
        frames
            Distances (n,) of each frame's spots from the origin, ascending, 1/angstrom; at most `MOST_SPOTS` a frame.

        Returns
        -------
        VectorScan or None
            None if the resolution of the spots is too low for the reach.
        """
        lengths = [frame for frame in frames if len(frame)]
        if not lengths:
            return None
        usual = float(np.median([frame[min(len(frame), LOW_SPOTS) - 1] for frame in lengths]))
        resolution = max(usual, min(TURNS / reach, float(np.percentile(np.concatenate(lengths), 90))))
        resolution = min(resolution, MOST_TURNS / reach)
        if reach * resolution < FEWEST_TURNS:
            return None
        shortest = max(SHORTEST_SHARE * reach, SHORTEST_TURNS / resolution)
        hits = int(min(MOST_HITS, HITS / np.median([len(frame) for frame in lengths])))
        return cls(reach, shortest, resolution, _octaves(reach, shortest, resolution, hits))

    def low_counts(self, squares: Array, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of spots on each frame over which C is summed: those within the resolution, at least `FEWEST_LOW`.

        Parameters
        ----------
        squares : (N,)
            |s|^2 of the spots, ascending within a frame, 1/angstrom^2.
        offsets : (F + 1,)
            Frame f owns the spots offsets[f]:offsets[f + 1].

        Returns
        -------
        (F,) int64
        """
        low = squares <= (1.001 * self.resolution) ** 2
        running = np.concatenate([[0], np.cumsum(low)])
        counts = running[offsets[1:]] - running[offsets[:-1]]
        return np.asarray(np.maximum(counts, np.minimum(np.diff(offsets), FEWEST_LOW)), dtype=np.int64)


def _octaves(reach: float, shortest: float, resolution: float, hits: int) -> tuple[Octave, ...]:
    """The octaves between the shortest vector and the reach (angstrom) for a resolution (1/angstrom)."""
    step, ends, high = STEP / resolution, [], reach
    while high > shortest * 1.0001:
        low = max(shortest, high / OCTAVE)
        ends.append((low, high))
        high = low
    most = -(-hits // max(len(ends), 1))
    octaves = []
    for low, high in ends:
        n = int(2 * np.pi / (SPACING / (high * resolution)) ** 2)
        directions = half_sphere(LANES * max(4, -(-n // LANES))).astype(np.float32)
        octaves.append(Octave(low - step, step, int(np.ceil((high - low) / step)) + 3, directions, most))
    return tuple(octaves)
