"""Comparing the numbers of a backend with those of the oracle."""

import numpy as np

from ffbidx_core.model.records.batch import SpotBatch


def to_host(array):
    return array.get() if hasattr(array, "get") else np.asarray(array)


def moved(batch, rng):
    """The batch with every coordinate changed by a relative amount of up to 1e-6, in the same order."""
    factors = 1 + 1e-6 * rng.uniform(-1, 1, size=batch.xyz.shape)
    return SpotBatch((batch.xyz * factors).astype(np.float32), batch.offsets)


def check_numbers(found, wanted, tolerance, oracle_on, batch, *, rare=0.02):
    """Check that found and wanted agree within tolerance, or differ no more than the oracle on a moved batch."""
    axes = tuple(range(np.ndim(tolerance), wanted.ndim))

    def distance(a):
        with np.errstate(invalid="ignore"):
            return np.where(a == wanted, 0, np.abs(a - wanted)).max(axis=axes)

    assert found.shape == wanted.shape
    off = distance(found)
    wrong = ~(off <= tolerance)
    if not wrong.any():
        return
    rng = np.random.default_rng(1)
    reach = np.max([distance(oracle_on(moved(batch, rng))) for _ in range(24)], axis=0)
    lines = [
        f"{i}: off by {off[tuple(i)]:.3g}, tolerance {tolerance[tuple(i)]:.3g}, oracle moves {reach[tuple(i)]:.3g}"
        for i in np.argwhere(wrong)
    ]
    assert (reach[wrong] >= off[wrong] / 2).all(), "\n".join(lines)
    assert wrong.mean() <= rare, "\n".join(lines)


def spread(spots):
    """The ratio of the largest |s| to the smallest rms coordinate along any direction of spots (n, 3)."""
    if len(spots) < 3:
        return 1.0
    smallest = np.linalg.svd(spots, compute_uv=False)[-1] / np.sqrt(len(spots))
    return np.linalg.norm(spots, axis=1).max() / smallest
