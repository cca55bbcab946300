"""The equations of `misfit`: residuals of indexed spots, their derivatives, what is left when crystals are eliminated.

Parameters of a crystal: three of its rotation, six of its strain. Common ones: beam shift along x and y, distance
(`COMMON`), then the strains of the references in terms of their bases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array, reciprocal, shortest_reciprocal
from ..crystal import Crystals
from ..detector.pixels import FORWARD
from ..strain import MATRICES, MULTIPLICITY, components, matrices, strains_and_rotations
from ..vectors import axes_of_rays, cross_matrix

RADIUS = 0.002
"""Spots this near to a predicted one, 1/angstrom, are its own, if they are no other crystal's too."""
LARGEST_SHARE = 0.3
"""The radius is at most this share of the shortest reciprocal vector."""
FEWEST_SPOTS = 6
"""A crystal with fewer indexed spots is left out of the fit."""
BIWEIGHT = 6.0
"""Residuals of so many standard deviations count for nothing."""
CONSISTENT = 1.074
"""The standard deviation of normal residuals, three numbers each, over that of the weighted ones."""
SCATTERS = np.geomspace(2e-5, 0.02, 70)
"""Scatter of the strains that are tried."""
OWN = 9
"""Number of parameters of a crystal: three of its rotation, six of its strain."""
COMMON = ("x", "y", "distance")


@dataclass(frozen=True)
class Spread:
    """Standard deviations: of residuals across and along the diffracted ray, 1/angstrom, and of strains."""

    across: float
    along: float
    scatter: float


@dataclass(frozen=True)
class Indexed:
    """The n spots that are indexed, each by one crystal, and the strains of these, (C, 6), and rotations.

    Attributes
    ----------
    spots : (n, 3) float64
        Predicted places of the spots, 1/angstrom.
    residuals : (n, 3) float64
        Observed less predicted place of each spot, 1/angstrom.
    crystal : (n,) int64
        Crystal of each spot, ascending.
    axes : (n, 3, 3) float64
        Rows: two directions across the diffracted ray, and its own.
    wavelength : (n,) float64
    strain : (C, 6) float64;  rotation : (C, 3, 3) float64
    used : (C,) bool
        Crystals with enough spots.
    """

    spots: Array
    residuals: Array
    crystal: NDArray[np.int64]
    axes: Array
    wavelength: Array
    strain: Array
    rotation: Array
    used: NDArray[np.bool_]


def index_spots(crystals: Crystals) -> Indexed:
    """The spots near to a predicted one of one crystal only, of crystals with enough of them."""
    rows, crystal = crystals.pairs()
    observed = crystals.spots[rows]
    indices = np.rint(np.einsum("nij,nj->ni", crystals.cells[crystal], observed))
    predicted = np.einsum("ni,nij->nj", indices, reciprocal(crystals.cells)[crystal])
    wavelength = crystals.wavelength[crystals.frame_of_spot[rows]]
    shortest = np.array([shortest_reciprocal(cell) for cell in crystals.references])
    radius = np.minimum(RADIUS, LARGEST_SHARE * shortest)[crystals.input_cell[crystal]]
    near = (np.linalg.norm(observed - predicted, axis=1) < radius) & (indices != 0).any(axis=1)
    near &= observed[:, 2] * wavelength + 1 > FORWARD
    near &= np.bincount(rows[near], minlength=len(crystals.spots))[rows] == 1
    used = np.bincount(crystal[near], minlength=len(crystals.cells)) >= FEWEST_SPOTS
    near &= used[crystal]
    # Not the observed ray: its noise would be that of the residuals, and what hardly differs (distance and scale) is
    # distinguished by a small part of the derivatives.
    ray = predicted[near] * wavelength[near, None] + (0.0, 0.0, 1.0)
    strain, rotation = strains_and_rotations(crystals.cells, crystals.references[crystals.input_cell])
    return Indexed(
        predicted[near],
        (observed - predicted)[near],
        crystal[near],
        np.stack([np.stack(axis, axis=1) for axis in axes_of_rays(*ray.T)], axis=1),
        wavelength[near],
        components(strain),
        rotation,
        used,
    )


def derivatives(indexed: Indexed) -> Array:
    """How residuals come about: the derivatives of spots along the axes of `indexed`, (n, 3, 12).

    By a crystal's parameters those of the predicted spot, by the `COMMON` ones those of the spot as it was computed
    with a detector that is not there: they undo what `spots_of_moved_detector` does.
    """
    rotation = cross_matrix(-indexed.spots)
    turned = indexed.rotation[indexed.crystal]
    in_crystal = np.einsum("nij,nj->ni", turned, indexed.spots)
    strain = -np.einsum("ni,pij,njk->nkp", in_crystal, MATRICES, turned, optimize=True)
    ray = indexed.axes[:, 2]
    across = np.eye(3) - ray[:, :, None] * ray[:, None, :]
    # d(ray / |ray|) = cos(2 theta) (1 - ray ray^T) d(X, Y, 1)
    across *= (ray[:, 2] / indexed.wavelength)[:, None, None]
    place = ray / ray[:, 2:] * (1.0, 1.0, 0.0)
    distance = -np.einsum("nij,nj->ni", across, place)
    by_all = np.concatenate([rotation, strain, across[:, :, :2], distance[:, :, None]], axis=2)
    return np.asarray(indexed.axes @ by_all)


@dataclass(frozen=True)
class Reduced:
    """Equations of the common parameters, crystal by crystal, when its own are eliminated.

    Attributes
    ----------
    matrix : (C, G, G);  right : (C, G)
    inverse : (C, 9, 9)
        Of the matrices of the crystals' own parameters.
    mixed : (C, 9, G)
        What joins own and common parameters.
    own_right : (C, 9)
    """

    matrix: Array
    right: Array
    inverse: Array
    mixed: Array
    own_right: Array

    def own(self, change: Array) -> Array:
        """The crystals' parameters (C, 9) that go with a change (G,) of the common ones."""
        return np.asarray(np.einsum("cpq,cq->cp", self.inverse, self.own_right - self.mixed @ change))


@dataclass(frozen=True)
class Sums:
    """Weighted sums over the spots of each crystal: matrix (C, 12, 12), right side (C, 12), and what made them.

    Attributes
    ----------
    weights : (n,);  jacobian : (n, 3, 12);  residuals : (n, 3)
        Along the axes of `Indexed`.
    """

    matrix: Array
    right: Array
    weights: Array
    jacobian: Array
    residuals: Array


def sums_over_spots(indexed: Indexed, jacobian: Array, spread: Spread) -> Sums:
    """The normal equations of each crystal, residuals whitened and those far out given up (Tukey's biweight)."""
    residuals = np.einsum("nij,nj->ni", indexed.axes, indexed.residuals)
    sigma = np.array([spread.across, spread.across, spread.along])
    squared = ((residuals / sigma) ** 2).sum(axis=1) / BIWEIGHT**2
    weights = np.where(squared < 1, (1 - squared) ** 2, 0.0)
    whitened = jacobian / sigma[:, None]
    weighted = whitened * weights[:, None, None]
    matrix = _per_crystal(np.einsum("nip,niq->npq", weighted, whitened, optimize=True), indexed)
    right = _per_crystal(np.einsum("nip,ni->np", weighted, residuals / sigma), indexed)
    return Sums(matrix, right, weights, jacobian, residuals)


def _per_crystal(values: Array, indexed: Indexed) -> Array:
    """Sums of values (n, ...) over the spots of each crystal, (C, ...)."""
    total = np.zeros((len(indexed.used), *values.shape[1:]))
    crystals, first = np.unique(indexed.crystal, return_index=True)
    if len(crystals):
        total[crystals] = np.add.reduceat(values, first, axis=0)
    return total


def reduce(
    sums: Sums, indexed: Indexed, scatter: float, bases: dict[int, Array], input_cell: NDArray[np.int64]
) -> Reduced:
    """Eliminate the crystals' own parameters.

    The prior says that a crystal's strain differs from that of its reference by `scatter`; its equations join the
    two.
    """
    stiffness = MULTIPLICITY / scatter**2
    n_common = len(COMMON) + sum(map(len, bases.values()))
    own, own_right = sums.matrix[:, :OWN, :OWN].copy(), sums.right[:, :OWN].copy()
    own[:, range(3, OWN), range(3, OWN)] += stiffness
    own_right[:, 3:] -= stiffness * indexed.strain
    # A crystal without spots has no rotation.
    own[:, range(OWN), range(OWN)] += 1e-6
    size = len(own)
    mixed, matrix = np.zeros((size, OWN, n_common)), np.zeros((size, n_common, n_common))
    right = np.zeros((size, n_common))
    of_common = slice(OWN, OWN + len(COMMON))
    mixed[:, :, : len(COMMON)] = sums.matrix[:, :OWN, of_common]
    matrix[:, : len(COMMON), : len(COMMON)] = sums.matrix[:, of_common, of_common]
    right[:, : len(COMMON)] = sums.right[:, of_common]
    first = len(COMMON)
    for row, basis in bases.items():
        mine, columns = input_cell == row, slice(first, first + len(basis))
        mixed[mine, 3:, columns] = -(stiffness[:, None] * basis.T)
        matrix[mine, columns, columns] = (basis * stiffness) @ basis.T
        right[mine, columns] = indexed.strain[mine] * stiffness @ basis.T
        first += len(basis)
    inverse = np.linalg.inv(own)
    back = np.swapaxes(mixed, 1, 2) @ inverse
    matrix -= back @ mixed
    right -= np.einsum("cgp,cp->cg", back, own_right)
    matrix[~indexed.used], right[~indexed.used] = 0, 0
    return Reduced(matrix, right, np.asarray(inverse, dtype=np.float64), mixed, own_right)


def spread_of(sums: Sums, indexed: Indexed, reduced: Reduced, change: Array, before: Spread) -> tuple[float, float]:
    """Standard deviations of the residuals across and along the ray after the fit.

    Each is divided by its number of observations less the parameters that it determines, the trace of its part of
    the hat matrix (Helmert's variance components).
    """
    full = np.concatenate([reduced.own(change), np.broadcast_to(change[: len(COMMON)], (len(indexed.used), 3))], axis=1)
    left = sums.residuals - np.einsum("nip,np->ni", sums.jacobian, full[indexed.crystal])
    found = []
    for part, sigma in ((slice(0, 2), before.across), (slice(2, 3), before.along)):
        jacobian = sums.jacobian[:, part, :OWN]
        weighted = jacobian * sums.weights[:, None, None]
        matrix = _per_crystal(np.einsum("nip,niq->npq", weighted, jacobian, optimize=True), indexed) / sigma**2
        taken = np.einsum("cpq,cqp->c", reduced.inverse, matrix)[indexed.used].sum()
        n = sums.weights.sum() * left[:, part].shape[1]
        squares = (sums.weights[:, None] * left[:, part] ** 2).sum()
        found.append(CONSISTENT * float(np.sqrt(squares / max(n - taken, 1.0))))
    return found[0], found[1]


def likeliest_scatter(
    sums: Sums, indexed: Indexed, change: Array, bases: dict[int, Array], input_cell: NDArray[np.int64]
) -> float:
    """The scatter of the crystals' strains about their reference's that makes their residuals most likely.

    Rotation is eliminated. With the information J of a crystal's residuals on its strain, b their gradient where the
    strain is its reference's, and a prior of variance t^2, the log likelihood is
    b^T (J + 1/t^2)^-1 b / 2 - log det(1 + t^2 J) / 2, which is a sum over the eigenvalues of J.
    """
    mean, first = np.zeros_like(indexed.strain), len(COMMON)
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
    """Information (C, 6, 6) on the strains of the crystals, whatever their rotation, and the gradient (C, 6)."""
    matrix = sums.matrix[:, :OWN, :OWN]
    by_common = sums.matrix[:, :OWN, OWN : OWN + len(COMMON)] @ change[: len(COMMON)]
    right = sums.right[:, :OWN] - by_common
    turning = matrix[:, :3, :3] + 1e-6 * np.eye(3)
    solved = np.linalg.solve(turning, matrix[:, :3, 3:])
    information = matrix[:, 3:, 3:] - np.swapaxes(matrix[:, :3, 3:], 1, 2) @ solved
    return information, right[:, 3:] - np.einsum("cqp,cq->cp", solved, right[:, :3])


def turned_and_strained(crystals: Crystals, indexed: Indexed, own: Array) -> Array:
    """The cells (C, 3, 3) with the change `own` (C, 9) of their rotations and strains."""
    cross = cross_matrix(own[:, :3])
    u, _, vt = np.linalg.svd(np.eye(3) + cross + cross @ cross / 2)
    rotation = indexed.rotation @ np.swapaxes(u @ vt, 1, 2)
    strained = np.eye(3) + matrices(indexed.strain + own[:, 3:])
    cells = crystals.references[crystals.input_cell] @ strained @ rotation
    return np.where(indexed.used[:, None, None], cells, crystals.cells)
