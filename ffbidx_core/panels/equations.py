"""Residuals on the panels, and the normal equations that are left when the crystals' own parameters are eliminated.

A peak gives three residuals: two of its place on the panel, in pixels, and the distance of its lattice point from the
Ewald sphere, in 1/angstrom. Each crystal has a rotation (3) and a strain (6), drawn to the strain that all crystals of
its input cell share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array, reciprocal
from ..model.detector.placed import MRAD, PlacedPanels
from ..model.strain import MATRICES, MULTIPLICITY, matrices
from ..model.vectors import cross_matrix

OWN = 9
"""Parameters of a crystal."""
BIWEIGHT = 6.0
"""Scatters from where on a residual has no weight (Tukey's biweight)."""
FEWEST_SPOTS = 8
"""Peaks near predictions of a crystal that takes part."""


@dataclass(frozen=True)
class Pairs:
    """Each of n peaks with a crystal of its frame, sorted by crystal.

    Attributes
    ----------
    pixels : (n, 3) float64
    wavelength, farther : (n,) float64
    peak, crystal : (n,) int64
        Number of the peak, and of the crystal.
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
        """Panel of each peak, (n,)."""
        return np.asarray(self.pixels[:, 2].astype(np.int64))


@dataclass(frozen=True)
class CrystalState:
    """C crystals as strained and turned references.

    Attributes
    ----------
    strain : (C, 6) float64
    turn : (C, 3, 3) float64
    reference : (C, 3, 3) float64
    """

    strain: Array
    turn: Array
    reference: Array

    @property
    def cells(self) -> Array:
        """Oriented cells, (C, 3, 3), angstrom."""
        return np.asarray(self.reference @ (np.eye(3) + matrices(self.strain)) @ self.turn)


@dataclass(frozen=True)
class Residuals:
    """Residuals of n peaks, observed less predicted, and their derivatives.

    Attributes
    ----------
    pairs : Pairs
        The peaks that are near a prediction.
    values : (n, 3) float64
        Two in pixels, one in 1/angstrom.
    by_crystal : (n, 3, 9) float64
        Derivatives of the predictions by the crystal's rotation (radian) and strain.
    by_panel : (n, 2, 6) float64
        Derivatives of the predicted pixels by the motion of the panel.
    """

    pairs: Pairs
    values: Array
    by_crystal: Array
    by_panel: Array


def residuals(panels: PlacedPanels, crystals: CrystalState, pairs: Pairs, capture: Array) -> Residuals:
    """Residuals of the peaks that are within `capture` (C,), 1/angstrom, of a lattice point of their crystal.

    A peak near several crystals is the nearest one's. Crystals with fewer than `FEWEST_SPOTS` peaks have none.
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
    # q = R^-1 (I + E)^-1 q0, so that dq = -(w x q) for a turn and -R^T dE R q for a strain.
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
    """Of the rows (n,) of each peak the one that is least off."""
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
    """The strains that all crystals of an input cell share, K numbers for all input cells.

    Attributes
    ----------
    basis : (K, 6) float64
        The strain of each number.
    owner : (K,) int64
        The input cell of each.
    kind : (C,) int64
        The input cell of each crystal.
    """

    basis: Array
    owner: NDArray[np.int64]
    kind: NDArray[np.int64]

    def strains(self, numbers: Array) -> Array:
        """The strains (C, 6) of the crystals' input cells."""
        mine = self.owner[None] == self.kind[:, None]
        return np.asarray((mine * numbers) @ self.basis)


@dataclass(frozen=True)
class NormalEquations:
    """Normal equations of 6 P motions of panels and K shared strains, and what gives the crystals' parameters back.

    Attributes
    ----------
    normal : (6 P + K, 6 P + K) float64
    right : (6 P + K,) float64
    inverse : (C, 9, 9) float64
        Inverse of each crystal's own matrix.
    own_right : (C, 9) float64
    mixed : (C, 9, 6 P + K) float64
    taken : (2,) float64
        Parameters that the places and the distances from the sphere determine of all crystals (traces of the hat
        matrices).
    active : (C,) bool
        Crystals that take part.
    """

    normal: Array
    right: Array
    inverse: Array
    own_right: Array
    mixed: Array
    taken: Array
    active: NDArray[np.bool_]


def weights(values: Array, scale: Array) -> Array:
    """Weights (n,) of residuals (n, 3) with scatters (3,)."""
    square = ((values / scale) ** 2).sum(axis=1) / BIWEIGHT**2
    return np.asarray(np.where(square < 1, (1 - square) ** 2, 0.0))


def normal_equations(
    found: Residuals, weight: Array, scale: Array, shared: Shared, strain: Array, scatter: float, n_panels: int
) -> NormalEquations:
    """The normal equations of residuals.

    Parameters
    ----------
    weight : (n,)
    scale : (3,)
        Scatter of each residual.
    strain : (C, 6)
        Strains of the crystals from their references; the shared strains count from there, too.
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
    """Sums of values (n, ...) over those of the same row, (n_rows, ...)."""
    total = np.zeros((n_rows, *values.shape[1:]))
    if len(row):
        order = np.argsort(row, kind="stable")
        ordered = row[order]
        first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        total[ordered[first]] = np.add.reduceat(values[order], first, axis=0)
    return total
