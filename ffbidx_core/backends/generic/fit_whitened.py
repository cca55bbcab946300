"""The last fit with residuals weighed by what they are: small across the diffracted ray, larger along it.

Across the ray a residual is the error of a spot's place on the detector; along it, how far the lattice point was from
the Ewald sphere when it was seen, which says less of the orientation. Both are known from the run's first frames, as
is the scatter of the crystals' strains (`model.misfit`). A spot is given up at six standard deviations only: lattice
points are seen over the whole width of a shell, and its edges, which a fit with a narrower cut-off takes for outliers,
say most. On simulated stills this halves the error of the orientation.

This is the fit for any backend; the CPU has the same as a kernel (`backends/cpu/whitened.py`). Frames are padded to
numbers of spots that depend on their own number alone, so that no sum depends on the frames beside one.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np

from ...model.detector.pixels import SPHERE_ERROR
from ...model.fits import TYPICAL_WEIGHT, WEIGHED_FEWEST, WEIGHED_STEPS
from ...model.misfit.equations import BIWEIGHT, Spread
from ...model.records.batch import SpotBatch, to_host
from ...model.strain import COMPONENTS, MATRICES, MULTIPLICITY
from ...model.vectors import axes_of_rays, cross_matrix
from ...model.xp import XpArray

STIFF = 1e12
"""What holds the strain to the symmetry of its lattice, in the place of 1 / prior^2."""
SMALLEST, PADDING = 16, 64
"""Frames are padded to the first number of spots, or it doubled, and above the second to multiples of that."""
CHUNK = {True: 1 << 13, False: 1 << 19}
"""Padded spots that are worked on at once, on the host and on a device."""


def fit_whitened(
    spots: SpotBatch,
    cells: XpArray,
    reference: XpArray,
    cutoff: XpArray,
    spread: Spread,
    prior: float,
    symmetry: XpArray | None = None,
) -> XpArray:
    """Rotation and strain of one cell a frame, by all three components of the residuals with their own weights.

    Parameters
    ----------
    cells, reference : (F, 3, 3)
        Where to start, and the cell of no strain. Zero cells stay.
    cutoff : (F,)
        Distance within which the start explains its spots, 1/angstrom.
    spread
        Of the run's residuals; a frame's own are a multiple of it. On frames without an Ewald sphere around the beam
        +z both are `spread.along`.
    prior
        Standard deviation of each component of strain.
    symmetry : (F, 6, 6)
        What makes the part of a strain that keeps the lattice's symmetry of its six numbers, in the axes of the
        reference; None: all strains are free.

    Returns
    -------
    (F, 3, 3) float64
    """
    xp = spots.xp
    fitted = xp.array(cells, dtype=xp.float64)
    for frames, columns, inside in _padded(spots):
        xyz = xp.where(inside, spots.xyz[:, columns].astype(xp.float64), 0.0).transpose(1, 0, 2)
        alike = None if symmetry is None else symmetry[frames]
        fit = _Fit(xyz, inside, fitted[frames], reference[frames], cutoff[frames], spread, prior, alike, xp)
        for _ in range(WEIGHED_STEPS):
            fit.step()
        fitted[frames] = fit.cells()
    return fitted


def _padded(spots: SpotBatch) -> Iterator[tuple[XpArray, XpArray, XpArray]]:
    """Frames of about equally many spots: their numbers (f,), the columns of their spots (f, n), which are real."""
    xp = spots.xp
    counts = to_host(spots.counts)
    if spots.xyz.shape[1] == 0:
        return
    doubled = SMALLEST << np.ceil(np.log2(np.maximum(counts / SMALLEST, 1))).astype(np.int64)
    lengths = np.where(counts > PADDING, -(-counts // PADDING) * PADDING, doubled)
    for length in np.unique(lengths).tolist():
        mine = np.flatnonzero(lengths == length)
        at_once = max(1, CHUNK[xp is np] // length)
        for begin in range(0, len(mine), at_once):
            frames = xp.asarray(mine[begin : begin + at_once])
            places = xp.arange(length)
            inside = places < spots.counts[frames][:, None]
            yield frames, xp.where(inside, spots.offsets[:-1][frames][:, None] + places, 0), inside


class _Fit:
    """Gauss-Newton steps for f frames of n padded spots, (f, 3, n)."""

    def __init__(
        self,
        xyz: XpArray,
        inside: XpArray,
        cells: XpArray,
        reference: XpArray,
        cutoff: XpArray,
        spread: Spread,
        prior: float,
        symmetry: XpArray,
        xp: ModuleType,
    ) -> None:
        self.xp, self.xyz, self.inside, self.symmetry = xp, xyz, inside, symmetry
        self.is_cell = (cells != 0).any(axis=(1, 2))
        # A zero cell has no inverse, and no spots near its points.
        eye = xp.eye(3)
        self.start = cells
        self.stars = _inverse_transposed(xp.where(self.is_cell[:, None, None], cells, eye), xp)
        reference = xp.where(self.is_cell[:, None, None], reference, eye)
        self.to_reference = xp.swapaxes(reference, 1, 2)
        self.prior = prior
        self.wavelength, on_sphere = _spheres(xyz, xp)
        across = xp.where(on_sphere, spread.across, spread.along)
        self.sigma = xp.stack([across, across, xp.full(len(xyz), spread.along)], axis=1)[..., None]
        q, residuals = self.residuals()
        near = inside & ((residuals**2).sum(axis=1) < cutoff[:, None] ** 2)
        whitened = _along(self.axes(q), residuals, xp) / self.sigma
        self.scale = self.noise((whitened**2).sum(axis=1), xp.where(near, 1.0, 0.0))

    def residuals(self) -> tuple[XpArray, XpArray]:
        """Predicted spots and residuals, (f, 3, n)."""
        xp = self.xp
        stars = xp.swapaxes(self.stars, 1, 2)
        q = stars @ xp.rint(xp.linalg.inv(stars) @ self.xyz)
        return q, self.xyz - q

    def axes(self, q: XpArray) -> list[list[XpArray]]:
        """Two unit vectors across the rays and the rays' own: x, y, z of each, (f, n)."""
        wave = self.wavelength[:, None]
        return axes_of_rays(q[:, 0] * wave, q[:, 1] * wave, q[:, 2] * wave + 1, self.xp)

    def noise(self, squared: XpArray, weights: XpArray) -> XpArray:
        """How much larger than the run's the residuals of each frame are, (f, 1), by their squares in sigma, (f, n)."""
        scale = ((weights * squared).sum(axis=1) / 3 + TYPICAL_WEIGHT) / (weights.sum(axis=1) + TYPICAL_WEIGHT)
        return self.xp.sqrt(scale)[:, None]

    def step(self) -> None:
        """One step of all frames that have spots enough."""
        xp = self.xp
        q, residuals = self.residuals()
        axes = self.axes(q)
        # Derivatives and residuals side by side: one matrix product gives the normal equations and their right side.
        table = _table(q, axes, _along(axes, residuals, xp), xp)
        table /= self.sigma[:, None]
        squared = (table[:, 9] ** 2).sum(axis=1)
        share = squared / (BIWEIGHT * self.scale) ** 2
        weights = xp.where(self.inside & (share < 1), (1 - share) ** 2, 0.0)
        enough = self.is_cell & (weights.sum(axis=1) > WEIGHED_FEWEST)
        table *= (xp.sqrt(weights) / self.scale)[:, None, None]
        table = table.reshape(len(q), 10, -1)
        sums = table @ xp.swapaxes(table, 1, 2)
        normal, right = sums[:, :9, :9], sums[:, :9, 9]
        stiffness, pull = self.prior_terms()
        normal[:, 3:, 3:] += stiffness
        right[:, 3:] -= pull
        diagonal = xp.arange(9)
        normal[:, diagonal, diagonal] += 1e-9 * normal[:, diagonal, diagonal] + 1e-6
        change = xp.linalg.solve(normal, right[..., None])[..., 0]
        turned_and_strained = xp.eye(3) + cross_matrix(change[:, :3], xp) + _matrices(change[:, 3:], xp)
        moved = self.stars @ xp.swapaxes(turned_and_strained, 1, 2)
        self.stars = xp.where(enough[:, None, None], moved, self.stars)
        self.scale = self.noise(squared, weights)

    def prior_terms(self) -> tuple[XpArray, XpArray]:
        """What the prior adds to the strain's equations, (f, 6, 6), and takes from their right side, (f, 6)."""
        xp = self.xp
        multiplicity = xp.asarray(MULTIPLICITY)
        deformation = xp.swapaxes(self.to_reference @ self.stars, 1, 2)
        strain = _stretch(deformation, xp)
        stiffness = xp.broadcast_to(xp.diag(multiplicity / self.prior**2), (len(strain), 6, 6))
        if self.symmetry is not None:
            turned = xp.linalg.inv(xp.eye(3) + strain) @ deformation
            forth = _on_components(turned, xp)
            kept = forth @ self.symmetry @ xp.linalg.inv(forth)
            broken = xp.eye(6) - kept
            stiffness = stiffness + STIFF * xp.swapaxes(broken, 1, 2) @ (multiplicity[:, None] * broken)
        numbers = xp.stack([strain[:, i, j] for i, j in COMPONENTS], axis=1)
        return stiffness, (stiffness @ numbers[..., None])[..., 0]

    def cells(self) -> XpArray:
        """The cells (f, 3, 3) as they are now."""
        xp = self.xp
        return xp.where(self.is_cell[:, None, None], _inverse_transposed(self.stars, xp), self.start)


def _inverse_transposed(matrices: XpArray, xp: ModuleType) -> XpArray:
    return xp.swapaxes(xp.linalg.inv(matrices), 1, 2)


def _spheres(xyz: XpArray, xp: ModuleType) -> tuple[XpArray, XpArray]:
    """The wavelength of each frame, (f,), by the Ewald sphere of its spots, and whether they lie on one."""
    squared, depth = (xyz**2).sum(axis=1), -xyz[:, 2]
    radius = (squared * depth).sum(axis=1) / xp.maximum(2 * (depth**2).sum(axis=1), 1e-300)
    off = ((squared - 2 * radius[:, None] * depth) ** 2).sum(axis=1)
    on_sphere = (radius > 0) & (off < SPHERE_ERROR**2 * (squared**2).sum(axis=1))
    return 1 / xp.where(on_sphere, radius, 1.0), on_sphere


def _along(axes: list[list[XpArray]], vectors: XpArray, xp: ModuleType) -> XpArray:
    """Vectors (f, 3, n) along three axes."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return xp.stack([a * x + b * y + c * z for a, b, c in axes], axis=1)


def _table(q: XpArray, axes: list[list[XpArray]], residuals: XpArray, xp: ModuleType) -> XpArray:
    """Derivatives by three rotations and six strains, and the residuals, along each axis: (f, 10, 3, n)."""
    x, y, z = q[:, 0], q[:, 1], q[:, 2]
    table = xp.empty((len(q), 10, *residuals.shape[1:]))
    table[:, 9] = residuals
    for k, (a, b, c) in enumerate(axes):
        columns = (
            y * c - z * b,
            z * a - x * c,
            x * b - y * a,
            a * x,
            b * y,
            c * z,
            a * y + b * x,
            a * z + c * x,
            b * z + c * y,
        )
        for p, column in enumerate(columns):
            table[:, p, k] = column
    return table


def _matrices(numbers: XpArray, xp: ModuleType) -> XpArray:
    """Symmetric matrices (f, 3, 3) of six numbers (f, 6)."""
    return (numbers @ xp.asarray(MATRICES.reshape(6, 9))).reshape(-1, 3, 3)


def _stretch(deformation: XpArray, xp: ModuleType) -> XpArray:
    """E (f, 3, 3) of F = (I + E) R: the square root of F F^T as a series, for small E."""
    x = deformation @ xp.swapaxes(deformation, 1, 2) - xp.eye(3)
    square = x @ x
    return x / 2 - square / 8 + square @ x / 16


def _on_components(rotations: XpArray, xp: ModuleType) -> XpArray:
    """What R E R^T does to the six numbers of E, (f, 6, 6)."""
    turned = rotations[:, None] @ xp.asarray(MATRICES) @ xp.swapaxes(rotations, 1, 2)[:, None]
    return xp.stack([turned[:, :, i, j] for i, j in COMPONENTS], axis=1)
