"""Beam centre, detector distance and cell, fitted to the residuals of many crystals.

A crystal's own rotation and strain can absorb much of such an error, but not what all crystals share in the
laboratory. So all are fitted at once: to the residuals of the indexed spots, whitened by their scatter across the
diffracted ray (where the spot was seen) and along it (how far the lattice point was from the Ewald sphere), each
crystal's rotation and strain together with what is common to all. A crystal's strain is drawn to that of the common
cell by a prior whose size is the most likely one. The crystals' own parameters are eliminated (Schur's complement)
and the equations of the common ones summed over the crystals. Errors come from the scatter between crystals (the
sandwich formula), so that they hold whatever the noise is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..cell import Array
from ..crystal import Crystals
from ..detector.beam_shift import Radian
from ..strain import matrices, symmetric_basis
from .equations import (
    COMMON,
    Spread,
    derivatives,
    index_spots,
    likeliest_scatter,
    reduce,
    spread_of,
    sums_over_spots,
    turned_and_strained,
)

FEWEST_CRYSTALS = 8
ROUNDS = 7
FIRST = Spread(across=4e-4, along=8e-4, scatter=3e-3)
PRIORS = {"x": 0.1, "y": 0.1, "distance": 0.02}
"""Standard deviations of the priors that hold beam shift and distance where the spots do not determine them."""
STRAIN_PRIOR = 0.1
"""Standard deviation of the prior that keeps the strains of the cells small."""
SIGNIFICANT = 5.0
"""Standard errors from which on a correction is believed."""
WORTH = 0.5
"""A beam shift matters from this share of the residuals' scatter across the ray on."""


@dataclass(frozen=True)
class Misfit:
    """G parameters that crystals have in common, fitted to their residuals.

    Attributes
    ----------
    values : (G,) float64
        Beam shift along x and y in units of the distance, the share of itself by which the detector is nearer than
        was taken (the arguments of `spots_of_moved_detector`), then the strains of the references, by their bases.
    normal : (G, G) float64
        Matrix of the normal equations of the common parameters.
    scores : (C, G) float64
        Each crystal's part of the right side of the normal equations; the parts sum to zero at the solution.
    bases : dict of (k, 6) float64
        By the row of the reference, the strains that keep its lattice's symmetry.
    spread : Spread
        Scatter of the residuals, and of the strains between crystals beyond their errors.
    cells : (C, 3, 3) float64
        Cells of the crystals as fitted, angstrom.
    residuals, spots : (n, 3) float64
        Residuals of the indexed spots before the fit, and these spots, 1/angstrom.
    wavelength : float
        Median wavelength of the frames, angstrom.
    n_crystals : int
        Crystals with enough spots.
    """

    values: Array
    normal: Array
    scores: Array
    bases: dict[int, Array]
    spread: Spread
    cells: Array
    residuals: Array
    spots: Array
    wavelength: float
    n_crystals: int

    @property
    def shift(self) -> Radian:
        """The beam shift, (2,)."""
        return Radian(self.values[:2])

    @property
    def shift_errors(self) -> Radian:
        """Standard errors of the beam shift, (2,)."""
        return Radian(self.errors[:2])

    @property
    def is_shifted(self) -> bool:
        """Whether there is a significant beam shift that is large enough to matter."""
        return is_shift(self.shift, self.shift_errors, self.spread, self.wavelength)

    @property
    def spread_with_shift(self) -> Spread:
        """The scatter of residuals from which a beam shift is not taken out: it is one across the ray."""
        shift = float(np.linalg.norm(self.shift)) / self.wavelength if self.is_shifted else 0.0
        # One of its two directions for each residual across the ray.
        return replace(self.spread, across=float(np.hypot(self.spread.across, shift / np.sqrt(2))))

    @property
    def covariance(self) -> Array:
        """Covariance of the values, (G, G)."""
        return self.knowing(np.zeros((0, len(self.values))))[1]

    @property
    def errors(self) -> Array:
        """Standard errors of the values, (G,)."""
        return np.sqrt(np.diag(self.covariance))

    def knowing(self, zero: Array) -> tuple[Array, Array]:
        """Values (G,) and their covariance (G, G) when some linear combinations of them, rows (m, G), are zero."""
        _, _, vt = np.linalg.svd(np.atleast_2d(zero), full_matrices=True)
        free = vt[len(zero) :].T
        bread = free @ np.linalg.inv(free.T @ self.normal @ free) @ free.T
        filling = self.scores.T @ self.scores * (self.n_crystals / max(self.n_crystals - free.shape[1], 1))
        # The priors are observations too.
        filling += np.diag(_stiffness(len(self.values)))
        return bread @ self.normal @ self.values, np.asarray(bread @ filling @ bread)

    def scale(self, reference: int) -> Array:
        """The combination (G,) of the values that is the mean stretch of a reference in all directions."""
        row = np.zeros(len(self.values))
        row[self.columns(reference)] = self.bases[reference][:, :3].sum(axis=1) / 3
        return row

    def columns(self, reference: int) -> slice:
        """Where the strain of a reference is among the values."""
        rows = list(self.bases)
        first = len(COMMON) + sum(len(self.bases[row]) for row in rows[: rows.index(reference)])
        return slice(first, first + len(self.bases[reference]))

    def strain(self, reference: int, values: Array | None = None) -> Array:
        """The strain (3, 3) of a reference that its crystals share."""
        values = self.values if values is None else values
        return matrices(values[self.columns(reference)] @ self.bases[reference])


def _stiffness(n_common: int) -> Array:
    """The diagonal (G,) that the priors add to the normal equations of the common parameters."""
    strains = [STRAIN_PRIOR] * (n_common - len(COMMON))
    return np.array([*(PRIORS[name] for name in COMMON), *strains]) ** -2.0


def is_shift(shift: Radian, errors: Radian, spread: Spread, wavelength: float) -> bool:
    """Whether a beam shift (2,) is significant, and large enough beside the residuals' scatter to matter."""
    sure = (np.abs(shift) > SIGNIFICANT * errors).any()
    return bool(sure and np.linalg.norm(shift) > WORTH * spread.across * wavelength)


def find_misfit(crystals: Crystals, rounds: int = ROUNDS) -> Misfit | None:
    """Fit what crystals have in common, and each one's rotation and strain; None where they are too few."""
    bases = {
        int(row): symmetric_basis(crystals.references[row], crystals.operators[row])
        for row in np.unique(crystals.input_cell)
    }
    detector, spread, moved = np.zeros(len(COMMON)), FIRST, crystals
    first = index_spots(crystals)
    for _ in range(rounds):
        indexed = index_spots(moved)
        n_crystals = int(indexed.used.sum())
        if n_crystals < FEWEST_CRYSTALS:
            return None
        sums = sums_over_spots(indexed, derivatives(indexed), spread)
        reduced = reduce(sums, indexed, spread.scatter, bases, crystals.input_cell)
        normal, right = reduced.matrix.sum(axis=0), reduced.right.sum(axis=0)
        stiffness = _stiffness(len(normal))
        normal += np.diag(stiffness)
        right[: len(COMMON)] -= detector * stiffness[: len(COMMON)]
        change = np.linalg.solve(normal, right)
        scatter = likeliest_scatter(sums, indexed, change, bases, crystals.input_cell)
        spread = Spread(*spread_of(sums, indexed, reduced, change, spread), scatter)
        cells = turned_and_strained(moved, indexed, reduced.own(change))
        # The detector's part goes into the spots; strains are measured from the references each time.
        detector = detector + change[: len(COMMON)]
        moved = replace(crystals.corrected(Radian(detector[:2]), detector[2]), cells=cells)
    values = np.concatenate([detector, change[len(COMMON) :]])
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
        float(np.median(crystals.wavelength)),
        n_crystals,
    )
