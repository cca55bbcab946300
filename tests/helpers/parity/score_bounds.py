"""The selections that a float32 backend may make, judged by scores with their uncertainty."""

import math
from typing import NamedTuple

import numpy as np

from ffbidx_core.backends.reference.search import score

EPS = 2.0**-24
"""Largest relative error of one rounding to float32."""
ROUNDINGS = 12
"""Number of roundings from a spot and a cell to a fractional index: inputs, two frames, products and sums."""


class Bounds(NamedTuple):
    """The lowest and highest score (m,) that float32 may compute for each of m entries."""

    lower: np.ndarray
    upper: np.ndarray

    def __getitem__(self, entries):
        return Bounds(self.lower[entries], self.upper[entries])


def index_error(sizes):
    """The error of fractional indices |v| |s| = `sizes`, or of their distances and thresholds up to 1."""
    return ROUNDINGS * EPS * (1 + sizes)


def key_error(n, p):
    """The error of the geometric mean of n factors.

    A float32 holds the count, up to n, and the mean logarithm as its fraction; each factor is also rounded.
    """
    high = p.trimh + p.delta
    low = max(p.triml + p.delta, high * 2.0**-60)
    return EPS * high * (4 * (n + 2) * math.log(high / low) + ROUNDINGS)


def bounds(distances, off, near, p):
    """The bounds of the scores of distances (m, n) with uncertainties `off` (n,)."""
    key = key_error(distances.shape[1], p)
    return Bounds(score(np.maximum(distances - off, 0), near, p) - key, score(distances + off, near, p) + key)


def direction_bounds(spots, directions, length, p):
    x = length * (directions @ spots.T)
    off = index_error(length * np.linalg.norm(spots, axis=1))
    return bounds(np.abs(x - np.rint(x)), off, p.distance1, p)


def cell_distances(spots, cells):
    x = np.einsum("mrk,jk->mrj", cells, spots)
    return np.sqrt(((x - np.rint(x)) ** 2).sum(axis=1))


def cell_bounds(spots, cells, p):
    off = index_error(np.linalg.norm(cells[0]) * np.linalg.norm(spots, axis=1))
    return bounds(cell_distances(spots, cells), off, p.distance3, p)


def among_best(b, most):
    """Whether each entry may be, and whether it must be, among the `most` best."""
    surely_better = np.searchsorted(np.sort(b.upper), b.lower, side="left")
    perhaps_better = np.searchsorted(np.sort(b.lower), b.upper, side="right") - 1
    return surely_better < most, perhaps_better < most


def peaks(b, most):
    """Whether each entry on a circle may be, and whether it must be, among the `most` best local minima."""
    if len(b.lower) == 1:
        return np.ones(1, bool), np.ones(1, bool)
    may = (b.lower <= np.roll(b.upper, 1)) & (b.lower <= np.roll(b.upper, -1))
    must = (b.upper <= np.roll(b.lower, 1)) & (b.upper < np.roll(b.lower, -1))
    # An entry competes surely with all that must be minima, and possibly with all that may be minima.
    surely_better = np.searchsorted(np.sort(b.upper[must]), b.lower, side="left")
    perhaps_better = np.searchsorted(np.sort(b.lower[may]), b.upper, side="right") - 1
    return may & (surely_better < most), must & (perhaps_better < most)


def check_order(selected, b):
    """Check that the best entries come first, as far as this is certain."""
    assert len(set(selected)) == len(selected), "an entry was selected twice"
    chosen = b[selected]
    assert (np.maximum.accumulate(chosen.lower) <= chosen.upper).all(), "not sorted by score"


def check_selection(selected, b, most, may, must):
    """Check that the selected entries, best first, are the `most` best of those that compete.

    `may` (m,) and `must` (m,) state whether each entry possibly and certainly competes.
    """
    selected = np.asarray(selected, dtype=np.int64)
    check_order(selected, b)
    assert may[selected].all(), "an entry was selected that was out before"
    left = must.copy()
    left[selected] = False
    if len(selected) < most:
        assert not left.any(), "slots are empty although entries are left"
    elif left.any():
        assert b.upper[left].min() >= b.lower[selected].max(), "a better entry was left out"


def check_separation(selected, b, most, may, must, directions, largest_cosine):
    """Check that the selected directions, best first, are those of a greedy choice that keeps them apart."""
    selected = np.asarray(selected, dtype=np.int64)
    check_order(selected, b)
    assert may[selected].all(), "a direction was selected that was out before"
    cosines = np.abs(directions[selected] @ directions.T)
    among = cosines[:, selected] - 2 * np.eye(len(selected))
    assert (among <= largest_cosine + 4 * EPS).all(), "selected directions are too close"
    left = np.flatnonzero(must & ~np.isin(np.arange(len(must)), selected))
    not_worse = b.lower[selected][:, None] <= b.upper[left]
    in_the_way = ((cosines[:, left] > largest_cosine - 4 * EPS) & not_worse).any(axis=0)
    too_late = not_worse.all(axis=0) & (len(selected) == most)
    assert (in_the_way | too_late).all(), "a direction was left out without a better one close to it"
