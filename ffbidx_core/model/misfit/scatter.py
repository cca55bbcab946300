"""The scatter of the residuals and of the crystals' strains in the joint fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..strain import MULTIPLICITY
from .equations import OWN, Indexed, Reduced, Spread, Sums, products_per_crystal

CONSISTENT = 1.074
"""Ratio of the standard deviation of normally distributed residuals (of three components) to the weighted estimate."""
SCATTERS = np.geomspace(2e-5, 0.02, 70)
"""Standard deviations of the crystals' strains among which the likeliest is chosen."""


def spread_of(sums: Sums, indexed: Indexed, reduced: Reduced, change: Array, before: Spread) -> tuple[float, float]:
    """Standard deviations, 1/angstrom, of the residuals across and along the ray after the fit.

    Each sum of squares is divided by the number of its observations less the number of parameters that they determine,
    the trace of their part of the hat matrix (variance components after Helmert).
    """
    n = sums.n_detector
    full = np.concatenate([reduced.own(change), np.broadcast_to(change[:n], (len(indexed.used), n))], axis=1)
    left = sums.residuals - np.einsum("nip,np->ni", sums.jacobian, full[indexed.crystal])
    found = []
    for part, sigma in ((slice(0, 2), before.across), (slice(2, 3), before.along)):
        jacobian = sums.jacobian[:, part, :OWN]
        weighted = jacobian * sums.weights[:, None, None]
        matrix = products_per_crystal(weighted, jacobian, indexed) / sigma**2
        taken = np.einsum("cpq,cqp->c", reduced.inverse, matrix)[indexed.used].sum()
        n = sums.weights.sum() * left[:, part].shape[1]
        squares = (sums.weights[:, None] * left[:, part] ** 2).sum()
        found.append(CONSISTENT * float(np.sqrt(squares / max(n - taken, 1.0))))
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
    levels = [float((along / (values + t**-2)).sum() - np.log1p(t**2 * values).sum()) for t in SCATTERS]
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
