"""The reduction of many frames to few numbers: histograms, and the indexing rate along a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array

MOST_WINDOWS = 200
LEAST_FRAMES = 25
"""Smallest number of frames in a window of the indexing rate."""
MOST_BINS = 60
CENTRAL = (0.5, 99.5)
"""Percentiles between which a histogram shows its values, so that a few outliers do not hide the rest."""


@dataclass(frozen=True)
class Histogram:
    """The numbers of values in n bins.

    Attributes
    ----------
    edges : (n + 1,) float64
        Edges of the bins.
    counts : (n,) int64
        Number of values in each bin.
    outside : int
        Number of values below the first edge or above the last one.
    """

    edges: Array
    counts: NDArray[np.int64]
    outside: int


@dataclass(frozen=True)
class Rate:
    """The share of indexed frames in w consecutive windows of a run.

    Attributes
    ----------
    edges : (w + 1,) int64
        Window i holds the frames edges[i] to edges[i + 1] - 1.
    share : (w,) float64
        Share of indexed frames in each window.
    low, high : (w,) float64
        The 68 % interval of each share (Wilson score interval).
    """

    edges: NDArray[np.int64]
    share: Array
    low: Array
    high: Array


def rate_along_run(indexed: NDArray[np.bool_]) -> Rate:
    """The share of indexed frames in windows of about equal size, from `indexed` (F,)."""
    n_windows = min(max(1, len(indexed) // LEAST_FRAMES), MOST_WINDOWS)
    edges = np.linspace(0, len(indexed), n_windows + 1).round().astype(np.int64)
    n = np.maximum(np.diff(edges), 1)
    share = np.add.reduceat(indexed.astype(np.int64), edges[:-1]) / n if len(indexed) else np.zeros(n_windows)
    centre = (share + 0.5 / n) / (1 + 1 / n)
    half = np.sqrt(share * (1 - share) / n + 0.25 / n**2) / (1 + 1 / n)
    # Rounding must not place a share of 0 or 1 outside its interval.
    return Rate(edges, share, np.minimum(centre - half, share), np.maximum(centre + half, share))


def histogram(values: NDArray[Any], edges: Array) -> Histogram:
    """Count values (n,) between edges; values that are not finite count as outside."""
    counts, edges = np.histogram(values, edges)
    return Histogram(edges, counts.astype(np.int64), len(values) - int(counts.sum()))


def central_edges(values: NDArray[Any], marks: Iterable[float] = ()) -> Array:
    """Edges of bins over the bulk of the finite values and over marks that are shown with them."""
    finite = values[np.isfinite(values)]
    bulk = np.percentile(finite, CENTRAL) if len(finite) else np.array([])
    ends = np.array([*bulk, *marks], dtype=np.float64)
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    # Equal values get a bin of finite width.
    margin = max(0.05 * (high - low), 1e-4 * abs(high), 1e-9)
    return np.linspace(low - margin, high + margin, _bins_for(len(finite)) + 1)


def _bins_for(n: int) -> int:
    """The number of bins by Rice's rule, within bounds."""
    return int(np.clip(2 * np.cbrt(n), 8, MOST_BINS))


def count_edges(counts: NDArray[np.integer]) -> Array:
    """Edges of bins, half-way between whole numbers, over the bulk of counts (n,) and 0."""
    most = int(np.ceil(np.percentile(counts, CENTRAL[1]))) if len(counts) else 0
    width = -(-(most + 1) // _bins_for(len(counts)))
    n_bins = -(-(most + 1) // width)
    return np.asarray(np.arange(n_bins + 1) * float(width) - 0.5, dtype=np.float64)
