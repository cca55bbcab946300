"""The scatter of the residuals and of the crystals' strains in the joint fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..strain import MULTIPLICITY
from .equations import OWN, Indexed, Reduced, Spread, Sums

CONSISTENT = 1.074
"""Ratio of the standard deviation of normally distributed residuals (of three components) to the weighted estimate."""
SMALLEST = 1e-5
"""Smallest standard deviation of residuals, 1/angstrom, a tenth of that of sharp spots. Simulated spots may have none,
and rounding would then decide about their weights."""
SCATTERS = np.geomspace(2e-5, 0.02, 70)
"""Standard deviations of the crystals' strains among which the likeliest is chosen."""


def spread_of(sums: Sums, indexed: Indexed, reduced: Reduced, change: Array, before: Spread) -> tuple[float, float]:
    """Standard deviations, 1/angstrom, of the residuals across and along the ray after the fit.

    Each sum of squares is divided by the number of its observations less the number of parameters that they determine,
    the trace of their part of the hat matrix (variance components after Helmert).
    """
    n, n_crystals = sums.n_detector, len(indexed.used)
    common = np.broadcast_to(change[:n], (n_crystals, n))
    # The products with the residual, whose coefficient is -1, are in the same sums.
    left = np.concatenate([reduced.own(change), common, np.full((n_crystals, 1), -1.0)], axis=1)
    found = []
    for products, n_components, sigma in zip(sums.products, (2, 1), (before.across, before.along), strict=True):
        squares = np.einsum("cp,cpq,cq->c", left, products, left, optimize=True).sum()
        taken = np.einsum("cpq,cqp->c", reduced.inverse, products[:, :OWN, :OWN])[indexed.used].sum() / sigma**2
        sigma = CONSISTENT * float(np.sqrt(max(squares, 0.0) / max(n_components * sums.weight - taken, 1.0)))
        found.append(max(sigma, SMALLEST))
    return found[0], found[1]


def likeliest_scatter(
    sums: Sums, indexed: Indexed, change: Array, bases: dict[int, Array], input_cell: NDArray[np.int64]
) -> float:
    """The maximum-likelihood scatter of the crystals' strains about the strains of their references.

    The rotations are eliminated. If J is the information of a crystal's residuals on its strain, b the gradient at the
    strain of its reference, and t^2 the variance of the prior, the log likelihood is
    b^T (J + 1/t^2)^-1 b / 2 - log det(1 + t^2 J) / 2, which is a sum over the eigenvalues of J.
    """
    mean, first = np.zeros_like(indexed.strain), sums.n_detector
    for row, basis in bases.items():
        mean[input_cell == row] = change[first : first + len(basis)] @ basis
        first += len(basis)
    information, gradient = strain_information(sums, change)
    gradient = gradient - np.einsum("cpq,cq->cp", information, mean - indexed.strain)
    scale = 1 / np.sqrt(MULTIPLICITY)
    values, vectors = np.linalg.eigh(scale[:, None] * information[indexed.used] * scale)
    along = np.einsum("cpq,cp->cq", vectors, (gradient * scale)[indexed.used]) ** 2
    values = np.maximum(values, 0)
    variances = SCATTERS[:, None, None] ** 2
    levels = (along / (values + 1 / variances) - np.log1p(variances * values)).sum(axis=(1, 2))
    return float(SCATTERS[int(np.argmax(levels))])


def strain_information(sums: Sums, change: Array) -> tuple[Array, Array]:
    """Information (C, 6, 6) on the crystals' strains with the rotations eliminated, and its gradient (C, 6)."""
    matrix = sums.matrix[:, :OWN, :OWN]
    by_common = sums.matrix[:, :OWN, OWN:] @ change[: sums.n_detector]
    right = sums.right[:, :OWN] - by_common
    turning = matrix[:, :3, :3] + 1e-6 * np.eye(3)
    solved = np.linalg.solve(turning, matrix[:, :3, 3:])
    information = matrix[:, 3:, 3:] - np.swapaxes(matrix[:, :3, 3:], 1, 2) @ solved
    return information, right[:, 3:] - np.einsum("cqp,cq->cp", solved, right[:, :3])
