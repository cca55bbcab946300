import numpy as np
import pytest

from ffbidx_core.report.histograms import (
    LEAST_FRAMES,
    MOST_BINS,
    MOST_WINDOWS,
    central_edges,
    count_edges,
    histogram,
    rate_along_run,
)


def test_the_rate_of_each_window_is_that_of_its_frames():
    indexed = np.random.default_rng(0).uniform(size=3217) < 0.3
    rate = rate_along_run(indexed)
    assert rate.edges[0] == 0
    assert rate.edges[-1] == 3217
    assert np.diff(rate.edges).min() >= LEAST_FRAMES
    expected = [indexed[a:b].mean() for a, b in zip(rate.edges[:-1], rate.edges[1:], strict=True)]
    assert np.allclose(rate.share, expected)


def test_the_interval_holds_the_true_rate_as_often_as_it_says():
    indexed = np.random.default_rng(1).uniform(size=200_000) < 0.9
    rate = rate_along_run(indexed)
    assert len(rate.share) == MOST_WINDOWS
    assert 0.6 < np.mean((rate.low <= 0.9) & (rate.high >= 0.9)) < 0.76


@pytest.mark.parametrize("indexed", [[True], [False] * 3, [True] * 60])
def test_rates_of_few_or_equal_frames(indexed):
    rate = rate_along_run(np.array(indexed))
    assert (rate.share == indexed[0]).all()
    assert ((rate.low >= -1e-12) & (rate.low <= rate.share) & (rate.share <= rate.high) & (rate.high < 1 + 1e-12)).all()


@pytest.mark.parametrize("values", [[], [90.0], [90.0] * 50, [np.nan, 1.0], [0.0] * 4, np.arange(1000.0)])
def test_edges_rise_and_hold_the_marks(values):
    edges = central_edges(np.array(values, np.float32), [95.0])
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= 95 <= edges[-1]
    assert len(edges) <= MOST_BINS + 1


def test_wild_values_are_counted_as_outside():
    values = np.concatenate([np.random.default_rng(0).normal(80, 0.1, 5000), [1e6, np.nan]])
    counted = histogram(values, central_edges(values))
    assert counted.edges[-1] < 81
    assert counted.outside >= 2
    assert counted.counts.sum() + counted.outside == 5002


@pytest.mark.parametrize("counts", [[0], [7], [0, 1, 2, 3], list(range(1000)), [5000] * 300])
def test_every_bin_of_counts_holds_as_many_whole_numbers(counts):
    counts = np.array(counts)
    edges = count_edges(counts)
    width = np.diff(edges)
    assert (width == width[0]).all()
    assert width[0] == round(width[0])
    assert edges[0] == -0.5
    assert histogram(counts, edges).outside <= 0.005 * len(counts) + 1
