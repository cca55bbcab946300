"""The last fit with residuals weighted by their scatter, which is small across the diffracted ray and larger along it.

The residual across the ray is the error of the spot's position on the detector. The residual along the ray is the
excitation error, the distance of the lattice point from the Ewald sphere, which is less informative on the orientation.
The scatter of both, and of the crystals' strains, is known from the run's first frames (`model.misfit`). A spot is
rejected only beyond six standard deviations, because lattice points diffract over the whole width of a shell, whose
edges are the most informative and would be outliers to a fit with a narrower cut-off. On simulated stills this halves
the error of the orientation.

The code here runs on any backend; the CPU backend has the same fit as a kernel (`backends/cpu/whitened.py`). A frame is
padded to a length that depends only on its own number of spots, so that no sum depends on the other frames.
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
"""Stiffness, in place of 1 / prior^2, that suppresses strains which break the symmetry of the lattice."""
SMALLEST, PADDING = 16, 64
"""Smallest padded length, which is doubled up to the second number; longer frames are padded to its multiples."""
CHUNK = {True: 1 << 13, False: 1 << 19}
"""Number of padded spots that are processed at once: on the host (True) and on a device (False)."""


def fit_whitened(
    spots: SpotBatch,
    cells: XpArray,
    reference: XpArray,
    cutoff: XpArray,
    spread: Spread,
    prior: float,
    symmetry: XpArray | None = None,
) -> XpArray:
    """Fit the rotation and strain of one cell a frame, with separate weights for the components of the residuals.

    Parameters
    ----------
    spots
        Batch of spots.
    cells, reference : (F, 3, 3)
        Initial cells, and the cells without strain, rows a, b, c, angstrom. Zero cells are unchanged.
    cutoff : (F,)
        Distance within which the initial cell explains its spots, 1/angstrom.
    spread
        Scatter of the run's residuals across and along the ray; the scatter on a frame is a multiple of it. On a frame
        whose spots fit no Ewald sphere about a beam along +z, `spread.along` holds for all directions.
    prior
        Standard deviation of each component of the strain.
    symmetry : (F, 6, 6)
        Projection of the six strain components, on the axes of the reference, onto the strains that keep the symmetry
        of the lattice; None if all strains are allowed.

    Returns
    -------
    (F, 3, 3) float64
        Fitted cells, rows a, b, c, angstrom.
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
    """Groups of f frames that are padded to the same length n.

    Yields
    ------
    frames : (f,)
        Numbers of the frames.
    columns : (f, n)
        Columns of the frames' spots in the batch.
    inside : (f, n) bool
        Whether each is a spot of the frame and not padding.
    """
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
    """Gauss-Newton steps on f frames, whose spots (f, 3, n) are padded to the length n."""

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
        # A zero cell has no inverse and explains no spots.
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
        """Predicted spots and residuals, both (f, 3, n), 1/angstrom."""
        xp = self.xp
        stars = xp.swapaxes(self.stars, 1, 2)
        q = stars @ xp.rint(xp.linalg.inv(stars) @ self.xyz)
        return q, self.xyz - q

    def axes(self, q: XpArray) -> list[list[XpArray]]:
        """Components x, y, z, each (f, n), of two unit vectors across the rays of predicted spots and one along."""
        wave = self.wavelength[:, None]
        return axes_of_rays(q[:, 0] * wave, q[:, 1] * wave, q[:, 2] * wave + 1, self.xp)

    def noise(self, squared: XpArray, weights: XpArray) -> XpArray:
        """Ratio (f, 1) of each frame's scatter to the run's, from squared residuals (f, n) in units of the run's."""
        scale = ((weights * squared).sum(axis=1) / 3 + TYPICAL_WEIGHT) / (weights.sum(axis=1) + TYPICAL_WEIGHT)
        return self.xp.sqrt(scale)[:, None]

    def step(self) -> None:
        """Take one step on every frame with enough spots."""
        xp = self.xp
        q, residuals = self.residuals()
        axes = self.axes(q)
        # Derivatives and residuals stand in one table, whose product with itself gives the normal equations and the
        # right side.
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
        """Terms (f, 6, 6) that the prior adds to the strain's equations, and (f, 6) to subtract from the right side."""
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
        """The present cells (f, 3, 3), rows a, b, c, angstrom."""
        xp = self.xp
        return xp.where(self.is_cell[:, None, None], _inverse_transposed(self.stars, xp), self.start)


def _inverse_transposed(matrices: XpArray, xp: ModuleType) -> XpArray:
    """Transposes of the inverses of matrices (f, 3, 3)."""
    return xp.swapaxes(xp.linalg.inv(matrices), 1, 2)


def _spheres(xyz: XpArray, xp: ModuleType) -> tuple[XpArray, XpArray]:
    """Wavelength (f,), angstrom, of the Ewald sphere that fits each frame's spots, and whether one fits them."""
    squared, depth = (xyz**2).sum(axis=1), -xyz[:, 2]
    radius = (squared * depth).sum(axis=1) / xp.maximum(2 * (depth**2).sum(axis=1), 1e-300)
    off = ((squared - 2 * radius[:, None] * depth) ** 2).sum(axis=1)
    on_sphere = (radius > 0) & (off < SPHERE_ERROR**2 * (squared**2).sum(axis=1))
    return 1 / xp.where(on_sphere, radius, 1.0), on_sphere


def _along(axes: list[list[XpArray]], vectors: XpArray, xp: ModuleType) -> XpArray:
    """Components (f, 3, n) of vectors (f, 3, n) along three axes of each spot."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return xp.stack([a * x + b * y + c * z for a, b, c in axes], axis=1)


def _table(q: XpArray, axes: list[list[XpArray]], residuals: XpArray, xp: ModuleType) -> XpArray:
    """Table (f, 10, 3, n) of derivatives with respect to three rotations and six strains, then the residuals.

    The third dimension counts the axes across and along the ray.
    """
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
    """Symmetric matrices (f, 3, 3) with the given six components (f, 6)."""
    return (numbers @ xp.asarray(MATRICES.reshape(6, 9))).reshape(-1, 3, 3)


def _stretch(deformation: XpArray, xp: ModuleType) -> XpArray:
    """The strain E (f, 3, 3) in F = (I + E) R, by the series for the square root of F F^T, for small E."""
    x = deformation @ xp.swapaxes(deformation, 1, 2) - xp.eye(3)
    square = x @ x
    return x / 2 - square / 8 + square @ x / 16


def _on_components(rotations: XpArray, xp: ModuleType) -> XpArray:
    """Matrices (f, 6, 6) by which the rotation R E R^T acts on the six components of a strain E."""
    turned = rotations[:, None] @ xp.asarray(MATRICES) @ xp.swapaxes(rotations, 1, 2)[:, None]
    return xp.stack([turned[:, :, i, j] for i, j in COMPONENTS], axis=1)
