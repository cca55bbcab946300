"""Testing whether crystals are copies of a cell that breaks a symmetry, or scatter about a cell that keeps it.

A crystal whose axes differ by chance is indexed in the setting that fits the difference in the given cell, so scatter
alone breaks a symmetry. With all settings of the symmetry considered together, scatter is one cloud about the symmetric
metric, and a true difference is a cloud about each of its copies. The likelihoods of the two decide.
"""

from __future__ import annotations

import numpy as np

from ..model.cell import Array
from ..model.unknown.selling import nearest_setting
from .bravais import Bravais, symmetric_metric
from .stretch import NEAREST

KEPT = 0.95
"""Share of the crystals that are used, those nearest to the symmetric metric."""
FEWEST = 12
"""Smallest number of crystals for a decision."""
ROUNDS = 30
UPPER = np.triu_indices(3)
FLOOR = 1e-9
"""Smallest variance of a metric element relative to the product of the lengths, given by rounding."""
DOUBT, DOUBT_EACH = 3.0, 1.5
"""Gain of log-likelihood above which the symmetry is broken: a constant, and a part for each free parameter beyond half
the logarithm of the number of crystals. Copies also fit what is not normal in a scatter: of 40 lattices whose cells
scatter by 0.5 % four gained up to 4.7 more than the half logarithms and the constant."""


def is_scatter(lattice: Bravais, crystals: Array, start: Array) -> bool:
    """Whether crystals (n, 3, 3), each with a shape of its own, scatter about a symmetric lattice.

    Parameters
    ----------
    lattice
        The symmetric lattice.
    start : (3, 3)
        The metric without the symmetry, in the basis of the primitive cell of the lattice.
    """
    metric = lattice.primitive @ lattice.primitive.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    found = [nearest_setting(cell, metric, NEAREST) for cell in crystals]
    metrics = np.array([each[0] @ each[0].T for each in found if each is not None]).reshape(-1, 3, 3)
    if len(metrics) < FEWEST:
        return False
    operators = lattice.operators
    off = metrics - symmetric_metric(metrics, operators)
    size = np.linalg.norm(off / scale, axis=(1, 2))
    off = off[np.argsort(size, kind="stable")[: int(KEPT * len(off))]]
    turned = operators @ off[:, None] @ np.swapaxes(operators, 1, 2)
    vectors = (turned / scale)[..., *UPPER]
    begin = (start - symmetric_metric(start, operators)) / scale
    single, _ = _log_likelihood(vectors, np.zeros(6))
    copies, free = _log_likelihood(vectors, begin[UPPER])
    return bool(copies - single < free * (0.5 * np.log(len(off)) + DOUBT_EACH) + DOUBT)


def _log_likelihood(vectors: Array, mean: Array) -> tuple[float, int]:
    """The log-likelihood of crystals as copies of a mean metric; a mean of zero is kept.

    Parameters
    ----------
    vectors : (n, m, 6)
        Metric of each crystal minus the symmetric metric, in each of m settings.

    Returns
    -------
    likelihood : float
        The log-likelihood.
    n_free : int
        Number of independent directions in which the metric may deviate.
    """
    n, m, _ = vectors.shape
    moves = bool(mean.any())
    spread = np.einsum("nmi,nmj->ij", vectors, vectors) / (n * m)
    values, axes = np.linalg.eigh(spread)
    real = values > max(FLOOR, 1e-6 * values.max())
    if not real.any():
        return 0.0, 0
    reduced, mean = vectors @ axes[:, real], mean @ axes[:, real]
    k = int(real.sum())
    covariance = np.diag(values[real])
    total = 0.0
    for _ in range(ROUNDS if moves else 1):
        rest = reduced - mean
        solved = np.linalg.solve(covariance, rest.reshape(-1, k).T).T.reshape(rest.shape)
        logs = -0.5 * (rest * solved).sum(axis=2) - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
        highest = logs.max(axis=1, keepdims=True)
        weights = np.exp(logs - highest)
        total = float((highest[:, 0] + np.log(weights.mean(axis=1))).sum())
        if moves:
            weights /= weights.sum(axis=1, keepdims=True)
            mean = np.einsum("nm,nmi->i", weights, reduced) / n
            rest = reduced - mean
            covariance = np.einsum("nm,nmi,nmj->ij", weights, rest, rest) / n + FLOOR * np.eye(k)
    return total, k
