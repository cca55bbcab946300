"""Residuals on the panels, and the normal equations after the parameters of single crystals are eliminated.

A peak gives three residuals: two of its position on the panel, in pixels, and the distance of its lattice point from
the Ewald sphere, in 1/angstrom. Each crystal has a rotation (3 parameters) and a strain (6), drawn by a prior towards
the strain shared by all crystals of its input cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array, reciprocal
from ..model.detector.placed import MRAD, PlacedPanels
from ..model.strain import MATRICES, MULTIPLICITY, matrices
from ..model.vectors import cross_matrix

OWN = 9
"""Number of parameters of a crystal."""
BIWEIGHT = 6.0
"""Residual, in units of the scatter, beyond which it has no weight (Tukey's biweight)."""
FEWEST_SPOTS = 8
"""Smallest number of peaks near predictions of a crystal that is used."""


@dataclass(frozen=True)
class Pairs:
    """n pairs of a peak and a crystal of its frame, sorted by crystal.

    Attributes
    ----------
    pixels : (n, 3) float64
        The fs and ss of each peak, in pixels, and the number of its panel.
    wavelength, farther : (n,) float64
        Wavelength in angstrom, and distance of the detector beyond its median in mm.
    peak, crystal : (n,) int64
        Number of the peak and of the crystal.
    """

    pixels: Array
    wavelength: Array
    farther: Array
    peak: NDArray[np.int64]
    crystal: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[np.bool_] | slice) -> Pairs:
        return Pairs(*(getattr(self, name)[rows] for name in Pairs.__dataclass_fields__))

    @property
    def panel(self) -> NDArray[np.int64]:
        """The number of the panel of each peak, (n,)."""
        return np.asarray(self.pixels[:, 2].astype(np.int64))


@dataclass(frozen=True)
class CrystalState:
    """C crystals as strained and rotated reference cells.

    Attributes
    ----------
    strain : (C, 6) float64
        Strain of each crystal from its reference.
    turn : (C, 3, 3) float64
        Rotation matrix of each crystal.
    reference : (C, 3, 3) float64
        Reference cell of each crystal, rows a, b, c, angstrom.
    """

    strain: Array
    turn: Array
    reference: Array

    @property
    def cells(self) -> PrimitiveCells:
        """The oriented cells (C, 3, 3), rows a, b, c, angstrom."""
        return as_primitive(self.reference @ (np.eye(3) + matrices(self.strain)) @ self.turn)


@dataclass(frozen=True)
class Residuals:
    """Residuals of n peaks, observed minus predicted, and their derivatives.

    Attributes
    ----------
    pairs : Pairs
        The peaks that are near a prediction.
    values : (n, 3) float64
        The residuals, two in pixels and one in 1/angstrom.
    by_crystal : (n, 3, 9) float64
        Derivatives of the predictions with respect to the rotation (radian) and strain of the crystal.
    by_panel : (n, 2, 6) float64
        Derivatives of the predicted pixels with respect to the motion of the panel.
    """

    pairs: Pairs
    values: Array
    by_crystal: Array
    by_panel: Array


def residuals(panels: PlacedPanels, crystals: CrystalState, pairs: Pairs, capture: Array) -> Residuals:
    """The residuals of peaks within `capture` (C,), 1/angstrom, of a lattice point of their crystal.

    A peak near several crystals belongs to the nearest one. Crystals with fewer than `FEWEST_SPOTS` peaks are left out.
    """
    cells = crystals.cells
    seen = panels.spots(pairs.pixels, pairs.wavelength, pairs.farther)
    hkl = np.rint(np.einsum("nij,nj->ni", cells[pairs.crystal], seen))
    q = np.einsum("ni,nij->nj", hkl, reciprocal(cells)[pairs.crystal])
    off = np.linalg.norm(seen - q, axis=1)
    near = (off < capture[pairs.crystal]) & (hkl != 0).any(axis=1)
    near &= _is_nearest(pairs.peak, np.where(near, off, np.inf))
    near &= (np.bincount(pairs.crystal[near], minlength=len(cells)) >= FEWEST_SPOTS)[pairs.crystal]
    kept, q = pairs[near], q[near]
    wave, panel = kept.wavelength[:, None], kept.panel
    ray = q * wave + (0.0, 0.0, 1.0)
    length = np.linalg.norm(ray, axis=1)
    at, by_place, far = panels.seen(ray, panel, kept.farther)
    values = np.column_stack([kept.pixels[:, :2] - at, (1 - length) / kept.wavelength])
    by_q = np.empty((len(q), 3, 3))
    by_q[:, :2] = by_place * (far * kept.wavelength)[:, None, None]
    by_q[:, 2] = ray / length[:, None]
    # q = R^-1 (I + E)^-1 q0, so that dq = -(w x q) for a rotation and -R^T dE R q for a strain.
    turn = crystals.turn[kept.crystal]
    in_axes = np.einsum("nij,nj->ni", turn, q)
    by_strain = np.empty((len(q), 3, 6))
    for number, matrix in enumerate(MATRICES):
        by_strain[:, :, number] = -np.einsum("nji,nj->ni", turn, in_axes @ matrix)
    by_crystal = by_q @ np.concatenate([-cross_matrix(q), by_strain], axis=2)
    place = far[:, None] * ray
    place[:, 2] -= kept.farther
    arm = -cross_matrix(place - panels.centre[panel]) * MRAD
    by_panel = -np.concatenate([by_place * panels.pixel, by_place @ arm], axis=2)
    return Residuals(kept, values, by_crystal, by_panel)


def _is_nearest(peak: NDArray[np.int64], off: Array) -> NDArray[np.bool_]:
    """Whether each row (n,) is the nearest one of its peak."""
    if len(peak) == 0 or np.bincount(peak).max() == 1:
        return np.ones(len(peak), dtype=np.bool_)
    order = np.lexsort((off, peak))
    first = np.ones(len(peak), dtype=np.bool_)
    first[1:] = peak[order][1:] != peak[order][:-1]
    nearest = np.zeros(len(peak), dtype=np.bool_)
    nearest[order[first]] = True
    return nearest


@dataclass(frozen=True)
class Shared:
    """The strains shared by all crystals of an input cell, given by K numbers for all input cells.

    Attributes
    ----------
    basis : (K, 6) float64
        The strain that belongs to each number.
    owner : (K,) int64
        The input cell of each number.
    kind : (C,) int64
        The input cell of each crystal.
    """

    basis: Array
    owner: NDArray[np.int64]
    kind: NDArray[np.int64]

    def strains(self, numbers: Array) -> Array:
        """The shared strains (C, 6) of the input cells of the crystals."""
        mine = self.owner[None] == self.kind[:, None]
        return np.asarray((mine * numbers) @ self.basis)


@dataclass(frozen=True)
class NormalEquations:
    """Normal equations of 6 P panel motions and K shared strains, with the terms to recover the crystals' parameters.

    Attributes
    ----------
    normal : (6 P + K, 6 P + K) float64
        The matrix of the equations.
    right : (6 P + K,) float64
        The right-hand side of the equations.
    inverse : (C, 9, 9) float64
        Inverse of the matrix of each crystal's own parameters.
    own_right : (C, 9) float64
        Right-hand side of each crystal's own parameters.
    mixed : (C, 9, 6 P + K) float64
        Matrix between the crystal's own parameters and the others.
    taken : (2,) float64
        Number of parameters of all crystals determined by positions and by distances from the sphere (traces of the hat
        matrices).
    active : (C,) bool
        Whether each crystal is used.
    """

    normal: Array
    right: Array
    inverse: Array
    own_right: Array
    mixed: Array
    taken: Array
    active: NDArray[np.bool_]


def weights(values: Array, scale: Array) -> Array:
    """The robust weights (n,) of residuals (n, 3) with scatters (3,)."""
    square = ((values / scale) ** 2).sum(axis=1) / BIWEIGHT**2
    return np.asarray(np.where(square < 1, (1 - square) ** 2, 0.0))


def normal_equations(
    found: Residuals, weight: Array, scale: Array, shared: Shared, strain: Array, scatter: float, n_panels: int
) -> NormalEquations:
    """Set up the normal equations of residuals.

    Parameters
    ----------
    weight : (n,)
        Weight of each peak.
    scale : (3,)
        Scatter of each kind of residual, in pixels, pixels and 1/angstrom.
    strain : (C, 6)
        Strains of the crystals from their references; the shared strains are also measured from the references.
    scatter
        Scatter of the strains.
    """
    n_crystals, n_shared = len(strain), len(shared.basis)
    crystal, panel = found.pairs.crystal, found.pairs.panel
    by_scale = np.sqrt(weight)[:, None] / scale
    white = found.values * by_scale
    own = found.by_crystal * by_scale[:, :, None]
    common = found.by_panel * by_scale[:, :2, None]
    own_t = own.transpose(0, 2, 1)
    place = summed(own_t[:, :, :2] @ own[:, :2], crystal, n_crystals)
    sphere = summed(own_t[:, :, 2:] @ own[:, 2:], crystal, n_crystals)
    stiff = MULTIPLICITY / scatter**2
    a = place + sphere
    b = summed(np.einsum("nip,ni->np", own, white), crystal, n_crystals)
    turns, strains = np.arange(3), np.arange(3, OWN)
    a[:, strains, strains] += stiff
    a[:, turns, turns] += 1e-6 * np.maximum(a[:, turns, turns].max(axis=1), 1)[:, None]
    b[:, 3:] -= stiff * strain
    size = 6 * n_panels + n_shared
    mixed = np.zeros((n_crystals, OWN, size))
    blocks = summed(own_t[:, :, :2] @ common, crystal * n_panels + panel, n_crystals * n_panels)
    mixed[:, :, : size - n_shared] = (
        blocks.reshape(n_crystals, n_panels, OWN, 6).transpose(0, 2, 1, 3).reshape(n_crystals, OWN, -1)
    )
    mine = shared.owner[None] == shared.kind[:, None]
    mixed[:, 3:, size - n_shared :] = -(mine[:, :, None] * (shared.basis * stiff)).transpose(0, 2, 1)
    active = np.bincount(crystal, weights=weight, minlength=n_crystals) >= FEWEST_SPOTS / 2
    takes_part = active[crystal]
    normal, right = np.zeros((size, size)), np.zeros(size)
    common, white = common[takes_part], white[takes_part, :2]
    of_panels = summed(common.transpose(0, 2, 1) @ common, panel[takes_part], n_panels)
    for i in range(n_panels):
        normal[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] = of_panels[i]
    right[: 6 * n_panels] = summed(np.einsum("nip,ni->np", common, white), panel[takes_part], n_panels).ravel()
    own_kind = shared.kind[active]
    counts = np.bincount(own_kind, minlength=int(shared.owner.max(initial=0)) + 1)
    same = shared.owner[:, None] == shared.owner
    normal[size - n_shared :, size - n_shared :] = same * (
        counts[shared.owner] * ((shared.basis * stiff) @ shared.basis.T)
    )
    pull = summed(strain[active] * stiff, own_kind, len(counts))
    right[size - n_shared :] = (pull[shared.owner] * shared.basis).sum(axis=1)
    inverse: Array = np.asarray(np.linalg.inv(a), dtype=np.float64)
    root = (np.linalg.cholesky(inverse).transpose(0, 2, 1) @ mixed)[active].reshape(-1, size)
    normal -= root.T @ root
    solved = np.einsum("cpq,cq->cp", inverse, b)
    right -= mixed[active].reshape(-1, size).T @ solved[active].ravel()
    taken = np.array([np.einsum("cpq,cqp->", inverse, part) for part in (place, sphere)])
    return NormalEquations(normal, right, inverse, b, mixed, taken, active)


def summed(values: Array, row: NDArray[np.int64], n_rows: int) -> Array:
    """The sums (n_rows, ...) of the values (n, ...) that belong to each row."""
    total = np.zeros((n_rows, *values.shape[1:]))
    if len(row):
        order = np.argsort(row, kind="stable")
        ordered = row[order]
        first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        total[ordered[first]] = np.add.reduceat(values[order], first, axis=0)
    return total
