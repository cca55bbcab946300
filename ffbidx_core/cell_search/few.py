"""The lattices of frames with few spots: each proposes thousands, of which the right one recurs on other frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..method.index_frames import Backend
from ..model.cell import Array
from ..model.records.batch import to_host
from ..model.unknown.selling import voronoi_lengths
from ..model.unknown.threes import FEWEST_SPOTS, LATTICES, MOST_SPOTS, PLACES
from .frames import Frames
from .pool import Cluster, median_cell

FRAMES, FEWEST_FRAMES = 100, 30
"""Largest number of frames that are searched, those with most spots, and the number below which none is."""
TOLERANCE = 0.01
"""Largest difference of the logarithms of the seven Voronoi lengths of two lattices that are taken as one."""
BIN = 6 * TOLERANCE
"""Width of the bins, of logarithms of lengths, in which agreeing lattices are sought."""
PER_FRAME = 10.0
"""Weight of a frame that has a lattice, in logarithms of the rank of this lattice on the frame: about the logarithm of
the number of lattices of a frame that another one agrees with by chance, at the last rank."""
PORTION = 16
"""Number of frames at once, which bounds the memory."""
CLUSTERS = 8
"""Number of lattices that are considered."""
TOP = 1000
"""Number of the lattices with the highest weights among which distinct ones are sought."""


def frames_with_few_spots(frames: Frames) -> NDArray[np.int64]:
    """The numbers of the frames that are searched, those with most spots first; none if there are too few."""
    fits = (frames.counts >= FEWEST_SPOTS) & (frames.counts <= MOST_SPOTS)
    order = np.argsort(-frames.counts, kind="stable")
    chosen = order[fits[order]][:FRAMES]
    return chosen if len(chosen) >= FEWEST_FRAMES else chosen[:0]


def agreed_lattices(backend: Backend, low: Frames, chosen: NDArray[np.int64], reach: float) -> list[Cluster]:
    """The distinct lattices on which most of some frames agree, those with most weight first.

    Parameters
    ----------
    backend
        The backend that computes the lattices of each frame.
    low
        The frames with their spots of low resolution.
    chosen
        Numbers of the frames that are searched.
    reach
        Longest vector, angstrom.
    """
    parts = [_lattices(backend, low, chosen[k : k + PORTION], reach) for k in range(0, len(chosen), PORTION)]
    if not parts:
        return []
    cells, lengths, scores, frame, rank = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    one, other = agreeing(lengths, frame)
    # Of several lattices of a frame that agree with one, the first counts.
    order = np.lexsort((rank[other], frame[other], one))
    one, other = one[order], other[order]
    is_first = np.ones(len(one), bool)
    is_first[1:] = (one[1:] != one[:-1]) | (frame[other][1:] != frame[other][:-1])
    value = PER_FRAME + np.log(LATTICES / (1.0 + rank))
    weight = value + np.bincount(one[is_first], value[other[is_first]], len(value))
    found: list[Cluster] = []
    known: list[Array] = []
    top = np.argsort(-weight, kind="stable")[:TOP]
    for best in top[weight[top] > 2 * PER_FRAME + np.log(LATTICES)]:
        if len(found) == CLUSTERS:
            break
        if any(np.max(np.abs(lengths[best] - each)) < 2 * TOLERANCE for each in known):
            continue
        known.append(lengths[best])
        members = np.concatenate([[best], other[is_first & (one == best)]])
        mine = np.unique(frame[members])
        found.append(Cluster(len(mine), mine, median_cell(cells[members].astype(np.float64), scores[members])))
    return found


def _lattices(
    backend: Backend, low: Frames, chosen: NDArray[np.int64], reach: float
) -> tuple[Array, Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """The lattices (n, 3, 3) of some frames, the logarithms of their Voronoi lengths (n, 7), and their scores, frames
    and ranks on these, (n,)."""
    some = low.take(chosen)
    with backend.lane():
        cells, scores = (to_host(each) for each in backend.join_threes(backend.load(some.spots, some.offsets), reach))
    frame, rank = np.nonzero(np.isfinite(scores))
    real = cells[frame, rank]
    return real, np.log(voronoi_lengths(real)), scores[frame, rank], chosen[frame], rank


def agreeing(lengths: Array, frame: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs (k,), (k,) of lattices of different frames that agree.

    Each lattice is put in all bins that a cube of the tolerance about it meets, so that two lattices that agree share
    one. The cube meets two bins in a sixth of the dimensions.

    Parameters
    ----------
    lengths : (n, 7)
        Logarithms of the Voronoi lengths.
    frame : (n,) int64
        Frame of each lattice.
    """
    from .kernels import find_agreeing

    columns = np.ascontiguousarray(lengths.T)
    low, high = (np.floor((columns + side) / BIN).astype(np.int64) for side in (-TOLERANCE / 2, TOLERANCE / 2))
    member, key = np.arange(len(lengths)), np.array(PLACES) @ low
    for is_twice, step in zip(low != high, PLACES, strict=True):
        twice = is_twice[member]
        member, key = np.concatenate([member, member[twice]]), np.concatenate([key, key[twice] + step])
    order = np.argsort(key, kind="stable")
    member, key = member[order], key[order]
    codes, found = np.zeros(0, np.int64), len(lengths)
    while found > len(codes):
        codes = np.zeros(found, np.int64)
        found = find_agreeing(lengths, frame, member, key, TOLERANCE, codes)
    one, other = np.divmod(np.unique(codes[:found]), max(len(lengths), 1))
    return np.concatenate([one, other]), np.concatenate([other, one])
