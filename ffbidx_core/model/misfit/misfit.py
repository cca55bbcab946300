"""Beam centre, detector distance and unit cell, fitted to the residuals of many crystals.

The rotation and strain of one crystal can absorb much of an error in these quantities, but not the part that all
crystals share in the laboratory frame. The fit therefore determines each crystal's rotation and strain together with
the common quantities, from the residuals of the indexed spots. The residuals are whitened by their scatter across the
diffracted ray (the error of the spot's position) and along it (the distance of the lattice point from the Ewald
sphere). A prior of the likeliest size holds each crystal's strain near that of the common cell. The crystals' own
parameters are eliminated (Schur complement) and the equations of the common ones summed over the crystals. Standard
errors follow from the scatter between crystals (the sandwich formula), so that they do not depend on a noise model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from ..basis import PrimitiveCells
from ..cell import Array
from ..crystal import Crystals
from ..detector.beam_shift import Radian
from ..detector.distortion import Distortion
from ..strain import matrices, symmetric_basis
from .equations import (
    COMMON,
    Spread,
    derivatives,
    index_spots,
    reduce,
    sums_over_spots,
    turned_and_strained,
)
from .scatter import likeliest_scatter, spread_of

FEWEST_CRYSTALS = 8
"""Number of crystals below which nothing is fitted."""
ROUNDS = 7
"""Largest number of rounds of the fit, each of which indexes the spots anew."""
SETTLED_ERRORS, SETTLED_SPREAD = 0.05, 1e-3
"""Change of each parameter of the detector, in errors by the normal matrix, and relative change of the scatters of
residuals and strains, below which a round is the last one."""
FIRST = Spread(across=4e-4, along=8e-4, scatter=3e-3)
"""Scatter of residuals and strains that the first round assumes."""
PRIORS = {"x": 0.1, "y": 0.1, "distance": 0.02, "stretch": 0.02, "skew": 0.02, "tilt_x": 0.1, "tilt_y": 0.1}
"""Standard deviations of the priors on beam shift and tilt (radian), relative distance and stretch, which bind if the
spots do not."""
SMALLEST_ANGLE, KNOWN = 0.03, 1e-5
"""Median diffraction angle (radian) of the spots below which the distance counts as known, with this relative error.
So do the tilts, which move no spot at small angles.

At such angles, as in electron diffraction, a wrong distance scales the spots as a wrong cell does. They differ only
along the ray, where lattice points inside the Ewald sphere are seen more often than those outside; the difference of
the two would follow this and not the residuals, and the fit would not converge.
"""
STRAIN_PRIOR = 0.1
"""Standard deviation of the prior that keeps the strains of the reference cells small."""
SIGNIFICANT = 5.0
"""Size of a correction, in standard errors, from which it is significant."""
WORTH = 0.5
"""Size of a beam shift over the residuals' scatter across the ray from which it matters."""


@dataclass(frozen=True)
class Misfit:
    """G parameters that all crystals share, fitted to the crystals' residuals.

    Attributes
    ----------
    values : (G,) float64
        Beam shift along x and y in radian; relative excess of the assumed detector distance over the true one (these
        are the arguments of `spots_of_moved_detector`), or the parameters `common` in their place; then the strains of
        the references, in terms of their bases.
    normal : (G, G) float64
        Matrix of the normal equations of the common parameters.
    scores : (C, G) float64
        Contribution of each crystal to the right side of the normal equations; the sum is zero at the solution, apart
        from the priors.
    bases : dict of (k, 6) float64
        Basis of the strains that keep the symmetry of the lattice, by the row of the reference.
    spread : Spread
        Scatter of the residuals, and of the strains between crystals in excess of their errors.
    cells : (C, 3, 3) float64
        Fitted oriented cells of the crystals, rows a, b, c, angstrom.
    residuals, spots : (n, 3) float64
        Residuals of the indexed spots before the fit and their predicted positions, 1/angstrom.
    wavelength : float
        Median wavelength of the frames, angstrom.
    n_crystals : int
        Number of crystals with enough spots.
    common : tuple of str
        The parameters of the detector.
    """

    values: Array
    normal: Array
    scores: Array
    bases: dict[int, Array]
    spread: Spread
    cells: PrimitiveCells
    residuals: Array
    spots: Array
    wavelength: float
    n_crystals: int
    common: tuple[str, ...] = COMMON

    @property
    def shift(self) -> Radian:
        """The beam shift (2,), radian."""
        return Radian(self.values[:2])

    @property
    def shift_errors(self) -> Radian:
        """Standard errors (2,) of the beam shift, radian."""
        return Radian(self.errors[:2])

    @property
    def is_shifted(self) -> bool:
        """Whether there is a significant beam shift that is large enough to matter."""
        return is_shift(self.shift, self.shift_errors, self.spread, self.wavelength)

    @property
    def spread_with_shift(self) -> Spread:
        """The scatter of residuals in which a significant beam shift counts as scatter across the ray."""
        shift = float(np.linalg.norm(self.shift)) / self.wavelength if self.is_shifted else 0.0
        # The shift has two components across the ray, so each residual there has 1 / sqrt(2) of it.
        return replace(self.spread, across=float(np.hypot(self.spread.across, shift / np.sqrt(2))))

    @property
    def covariance(self) -> Array:
        """Covariance matrix (G, G) of the values."""
        return self.knowing(np.zeros((0, len(self.values))))[1]

    @property
    def errors(self) -> Array:
        """Standard errors (G,) of the values."""
        return np.sqrt(np.diag(self.covariance))

    def knowing(self, zero: Array) -> tuple[Array, Array]:
        """The values under the constraint that some linear combinations of them are zero.

        Parameters
        ----------
        zero : (m, G)
            Coefficients of the m combinations.

        Returns
        -------
        values : (G,) float64
        covariance : (G, G) float64
        """
        _, _, vt = np.linalg.svd(np.atleast_2d(zero), full_matrices=True)
        free = vt[len(zero) :].T
        bread = free @ np.linalg.inv(free.T @ self.normal @ free) @ free.T
        filling = self.scores.T @ self.scores * (self.n_crystals / max(self.n_crystals - free.shape[1], 1))
        # The priors count as observations, too.
        filling += np.diag(_stiffness(self.common, len(self.values), self.spots, self.wavelength))
        return bread @ self.normal @ self.values, np.asarray(bread @ filling @ bread)

    def scale(self, reference: int) -> Array:
        """Coefficients (G,) of the combination of values that is the isotropic part of a reference's strain."""
        row = np.zeros(len(self.values))
        row[self.columns(reference)] = self.bases[reference][:, :3].sum(axis=1) / 3
        return row

    def columns(self, reference: int) -> slice:
        """The slice of the values that holds the strain of a reference."""
        rows = list(self.bases)
        first = len(self.common) + sum(len(self.bases[row]) for row in rows[: rows.index(reference)])
        return slice(first, first + len(self.bases[reference]))

    def strain(self, reference: int, values: Array | None = None) -> Array:
        """The strain (3, 3) that all crystals of a reference share."""
        values = self.values if values is None else values
        return matrices(values[self.columns(reference)] @ self.bases[reference])


def _stiffness(common: Sequence[str], n_common: int, spots: Array, wavelength: float) -> Array:
    """The terms (G,) that the priors add to the diagonal of the normal matrix of the common parameters.

    `common` has the names of those of the detector. The predicted spots (n, 3) in 1/angstrom and the wavelength in
    angstrom say whether the distance and the tilts count as known.
    """
    is_known = wavelength * np.median(np.linalg.norm(spots, axis=1)) < SMALLEST_ANGLE if len(spots) else False
    priors = PRIORS | (dict.fromkeys(("distance", "tilt_x", "tilt_y"), KNOWN) if is_known else {})
    strains = [STRAIN_PRIOR] * (n_common - len(common))
    return np.array([*(priors[name] for name in common), *strains]) ** -2.0


def _corrected(crystals: Crystals, common: Sequence[str], values: Array) -> Crystals:
    """The crystals with the spots where a detector with the values of the parameters `common` puts them."""
    found = dict(zip(common, values.tolist(), strict=True))
    distortion = Distortion(**{name: value for name, value in found.items() if name not in COMMON})
    return crystals.corrected(Radian(values[:2]), found.get("distance", 0.0), distortion)


def is_shift(shift: Radian, errors: Radian, spread: Spread, wavelength: float) -> bool:
    """Whether a beam shift is significant and large enough, compared with the scatter of the residuals, to matter.

    Parameters
    ----------
    shift, errors : (2,)
        Beam shift along x and y and its standard errors, radian.
    spread
        Scatter of the residuals.
    wavelength
        Wavelength of the beam, angstrom.
    """
    sure = (np.abs(shift) > SIGNIFICANT * errors).any()
    return bool(sure and np.linalg.norm(shift) > WORTH * spread.across * wavelength)


def find_misfit(crystals: Crystals, common: tuple[str, ...] = COMMON, *, keeps_symmetry: bool = True) -> Misfit | None:
    """Fit the parameters that crystals share, together with the rotation and strain of each crystal.

    Parameters
    ----------
    common
        Parameters of the detector that are fitted: `COMMON` or `DISTORTED`.
    keeps_symmetry
        Whether the strains of the references keep the symmetry of their lattices.

    Returns
    -------
    Misfit or None
        None if there are fewer than `FEWEST_CRYSTALS` crystals with enough spots.
    """
    bases = {
        int(row): symmetric_basis(crystals.references[row], crystals.operators[row]) if keeps_symmetry else np.eye(6)
        for row in np.unique(crystals.input_cell)
    }
    detector, spread, moved = np.zeros(len(common)), FIRST, crystals
    if len(crystals.cells) < FEWEST_CRYSTALS:
        return None
    first, wavelength = index_spots(crystals), float(np.median(crystals.wavelength))
    stiffness = _stiffness(common, len(common) + sum(map(len, bases.values())), first.spots, wavelength)
    indexed = first
    for _ in range(ROUNDS):
        n_crystals = int(indexed.used.sum())
        if n_crystals < FEWEST_CRYSTALS:
            return None
        sums = sums_over_spots(indexed, derivatives(indexed, common), spread)
        reduced = reduce(sums, indexed, spread.scatter, bases, crystals.input_cell)
        normal, right = reduced.matrix.sum(axis=0), reduced.right.sum(axis=0)
        normal += np.diag(stiffness)
        right[: len(common)] -= detector * stiffness[: len(common)]
        change = np.linalg.solve(normal, right)
        scatter = likeliest_scatter(sums, indexed, change, bases, crystals.input_cell)
        before, spread = spread, Spread(*spread_of(sums, indexed, reduced, change, spread), scatter)
        cells = turned_and_strained(moved, indexed, reduced.own(change))
        # The detector's part is applied to the spots; strains are measured from the references in every round.
        detector = detector + change[: len(common)]
        small = np.abs(change) < SETTLED_ERRORS * np.sqrt(np.diag(np.linalg.inv(normal)))
        if small[: len(common)].all() and np.allclose(astuple(spread), astuple(before), rtol=SETTLED_SPREAD, atol=0):
            break
        moved = replace(_corrected(crystals, common, detector), cells=cells)
        indexed = index_spots(moved)
    values = np.concatenate([detector, change[len(common) :]])
    scores = reduced.right - np.einsum("cgh,h->cg", reduced.matrix, change)
    return Misfit(
        values,
        normal,
        scores,
        bases,
        spread,
        cells,
        first.residuals,
        first.spots,
        wavelength,
        n_crystals,
        common,
    )
