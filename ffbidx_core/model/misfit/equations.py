"""Equations of the joint fit: residuals of indexed spots, their derivatives, elimination of the crystals' parameters.

A crystal has nine parameters of its own: three of its rotation and six of its strain. All crystals share the beam shift
along x and y and the detector distance (`COMMON`), or its distortion in place of the distance (`DISTORTED`), and the
strain of each reference cell in terms of its basis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..basis import PrimitiveCells, as_primitive
from ..cell import Array, reciprocal, shortest_reciprocal
from ..crystal import Crystals
from ..detector.pixels import FORWARD
from ..strain import MULTIPLICITY, components, matrices, strains_and_rotations
from ..vectors import axes_of_rays, cross_matrix

RADIUS = 0.002
"""Distance from a predicted reflection within which a spot is indexed, 1/angstrom, if by one crystal only."""
LARGEST_SHARE = 0.3
"""Upper limit of that distance over the length of the shortest reciprocal lattice vector."""
FEWEST_SPOTS = 6
"""Number of indexed spots below which a crystal is left out of the fit."""
BIWEIGHT = 6.0
"""Length of a residual, in standard deviations, from which its weight is zero."""
OWN = 9
"""Number of parameters of a crystal: three of its rotation, six of its strain."""
COMMON = ("x", "y", "distance")
"""Parameters of the detector: the beam shift along x and y, and the detector distance."""
DISTORTED = ("x", "y", "stretch", "skew", "tilt_x", "tilt_y")
"""Parameters of a distorted detector: the beam shift, and the attributes of `Distortion`."""

MOTIONS = {
    "x": ((0, 0, -1), (0, 0, 0), (0, 0, 0)),
    "y": ((0, 0, 0), (0, 0, -1), (0, 0, 0)),
    "distance": ((1, 0, 0), (0, 1, 0), (0, 0, 0)),
    "stretch": ((1, 0, 0), (0, -1, 0), (0, 0, 0)),
    "skew": ((0, 1, 0), (1, 0, 0), (0, 0, 0)),
    "tilt_x": ((0, 0, 0), (0, 0, 0), (1, 0, 0)),
    "tilt_y": ((0, 0, 0), (0, 0, 0), (0, 1, 0)),
}
"""Matrices by which a ray (X, Y, 1) moves with each parameter of the detector in `spots_of_moved_detector`."""


@dataclass(frozen=True)
class Spread:
    """Scatter of residuals and strains, as standard deviations.

    Attributes
    ----------
    across, along : float
        Standard deviation of residuals across and along the diffracted ray, 1/angstrom.
    scatter : float
        Standard deviation of a component of the crystals' strains.
    """

    across: float
    along: float
    scatter: float


@dataclass(frozen=True)
class Indexed:
    """The n spots that are indexed by exactly one crystal each, and the strains and rotations of the C crystals.

    Attributes
    ----------
    spots, residuals : (n, 3) float64
        Predicted position of each spot, and observed minus predicted position, 1/angstrom.
    crystal : (n,) int64
        Crystal of each spot, ascending.
    axes : (n, 3, 3) float64
        Rows are two unit vectors across the diffracted ray of each spot, and one along it.
    wavelength : (n,) float64
        Wavelength of the beam for each spot, angstrom.
    strain : (C, 6) float64;  rotation : (C, 3, 3) float64
        Strain and rotation of each crystal relative to its reference cell.
    used : (C,) bool
        Whether a crystal has enough spots to take part in the fit.
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
    """The spots close to a predicted reflection of exactly one crystal, of the crystals with enough such spots."""
    from .kernels import place

    rows, crystal = crystals.pairs()
    observed = crystals.spots[rows]
    wavelength = crystals.wavelength[crystals.frame_of_spot[rows]]
    shortest = np.array([shortest_reciprocal(cell) for cell in crystals.references])
    radius = np.minimum(RADIUS, LARGEST_SHARE * shortest)[crystals.input_cell]
    predicted, near = np.empty_like(observed), np.empty(len(rows), dtype=bool)
    reciprocals = np.ascontiguousarray(reciprocal(crystals.cells))
    place(crystals.spots, rows, crystal, crystals.cells, reciprocals, radius, predicted, near)
    near &= observed[:, 2] * wavelength + 1 > FORWARD
    near &= np.bincount(rows[near], minlength=len(crystals.spots))[rows] == 1
    used = np.bincount(crystal[near], minlength=len(crystals.cells)) >= FEWEST_SPOTS
    near &= used[crystal]
    # The predicted ray, not the observed one, whose noise is that of the residuals: parameters that are hard to
    # separate (distance and scale) differ only in a small part of the derivatives.
    kept = np.flatnonzero(near)
    observed, predicted, wavelength = (each.take(kept, axis=0) for each in (observed, predicted, wavelength))
    ray = predicted * wavelength[:, None] + (0.0, 0.0, 1.0)
    axes = np.empty((len(ray), 3, 3))
    for i, axis in enumerate(axes_of_rays(*ray.T)):
        for j, component in enumerate(axis):
            axes[:, i, j] = component
    strain, rotation = strains_and_rotations(crystals.cells, crystals.references[crystals.input_cell])
    return Indexed(
        predicted,
        observed - predicted,
        crystal[kept],
        axes,
        wavelength,
        components(strain),
        rotation,
        used,
    )


def derivatives(indexed: Indexed, common: Sequence[str] = COMMON) -> Array:
    """Derivatives (n, 3, 9 + D) of the residuals with respect to 9 crystal parameters and the D common ones.

    Components are along the axes of `indexed`. The crystal's parameters move the predicted spot. The common ones move
    the observed spot, computed with a wrong detector position, opposite to `spots_of_moved_detector`.
    """
    from .kernels import derive

    out = np.empty((len(indexed.spots), 3, OWN + len(common)))
    motions = np.array([MOTIONS[name] for name in common], dtype=np.float64)
    geometry = indexed.spots, indexed.axes, indexed.crystal, indexed.rotation, indexed.wavelength
    derive(*geometry, motions, np.empty(3), out)
    return out


@dataclass(frozen=True)
class Reduced:
    """Normal equations of the G common parameters for each crystal, whose own parameters have been eliminated.

    Attributes
    ----------
    matrix : (C, G, G);  right : (C, G)
        Matrix and right side of the equations.
    inverse : (C, 9, 9);  mixed : (C, 9, G);  own_right : (C, 9)
        Blocks of the full equations: inverse of the block of a crystal's own parameters, the block that couples own
        and common parameters, and the right side of the own ones.
    """

    matrix: Array
    right: Array
    inverse: Array
    mixed: Array
    own_right: Array

    def own(self, change: Array) -> Array:
        """The changes (C, 9) of the crystals' own parameters that accompany a change (G,) of the common ones."""
        return np.asarray(np.einsum("cpq,cq->cp", self.inverse, self.own_right - self.mixed @ change))


@dataclass(frozen=True)
class Sums:
    """Normal equations of each crystal, as weighted sums over its spots.

    Attributes
    ----------
    matrix : (C, 9 + D, 9 + D);  right : (C, 9 + D)
        Matrix and right side of the equations of 9 crystal parameters and the D parameters of the detector.
    products : (2, C, 10 + D, 10 + D)
        Sums of the products of all pairs of derivatives, and of the residual as the last one, for the two components
        across the ray and for that along it.
    weight : float
        Sum of the weights of all spots.
    """

    matrix: Array
    right: Array
    products: Array
    weight: float

    @property
    def n_detector(self) -> int:
        """The number D of parameters of the detector."""
        return int(self.right.shape[1]) - OWN


def sums_over_spots(indexed: Indexed, jacobian: Array, spread: Spread) -> Sums:
    """The normal equations of each crystal, for whitened residuals with Tukey's biweight, which ignores outliers."""
    from .kernels import sum_products

    n = jacobian.shape[2] + 1
    sigma = np.array([spread.across, spread.across, spread.along])
    lower = np.zeros((2, len(indexed.used), n, n))
    spots = jacobian, indexed.axes, indexed.residuals, indexed.crystal
    weight = sum_products(*spots, sigma, BIWEIGHT, np.empty((3, n)), lower)
    products = lower + np.swapaxes(np.tril(lower, -1), 2, 3)
    whitened = products[0] / spread.across**2 + products[1] / spread.along**2
    return Sums(whitened[:, :-1, :-1], whitened[:, :-1, -1], products, weight)


def reduce(
    sums: Sums, indexed: Indexed, scatter: float, bases: dict[int, Array], input_cell: NDArray[np.int64]
) -> Reduced:
    """Eliminate the crystals' own parameters from the normal equations.

    The prior, by which a crystal's strain scatters about that of its reference by `scatter`, couples the two strains.
    """
    stiffness = MULTIPLICITY / scatter**2
    first = sums.n_detector
    n_common = first + sum(map(len, bases.values()))
    own, own_right = sums.matrix[:, :OWN, :OWN].copy(), sums.right[:, :OWN].copy()
    own[:, range(3, OWN), range(3, OWN)] += stiffness
    own_right[:, 3:] -= stiffness * indexed.strain
    # Spots do not determine the rotation of a crystal that has none.
    own[:, range(OWN), range(OWN)] += 1e-6
    size = len(own)
    mixed, matrix = np.zeros((size, OWN, n_common)), np.zeros((size, n_common, n_common))
    right = np.zeros((size, n_common))
    of_common = slice(OWN, OWN + first)
    mixed[:, :, :first] = sums.matrix[:, :OWN, of_common]
    matrix[:, :first, :first] = sums.matrix[:, of_common, of_common]
    right[:, :first] = sums.right[:, of_common]
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


def turned_and_strained(crystals: Crystals, indexed: Indexed, own: Array) -> PrimitiveCells:
    """The cells (C, 3, 3), angstrom, after a change `own` (C, 9) of their rotations and strains."""
    cross = cross_matrix(own[:, :3])
    u, _, vt = np.linalg.svd(np.eye(3) + cross + cross @ cross / 2)
    rotation = indexed.rotation @ np.swapaxes(u @ vt, 1, 2)
    strained = np.eye(3) + matrices(indexed.strain + own[:, 3:])
    cells = crystals.references[crystals.input_cell] @ strained @ rotation
    return as_primitive(np.where(indexed.used[:, None, None], cells, crystals.cells))
