"""The last fit of a crystal: rotation and small strain, in the setting of the cell that explains the spots best.

The setting is chosen by a fit in which all residuals have the same weight. The crystal is then fitted again in this
setting, with residuals weighted by the scatter that the run's first frames show.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..backends import Backend
from ..model.fits import TYPICAL_SIGMA
from ..model.misfit.equations import Spread
from ..model.orientation import rotation_between
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.strain import MATRICES, components, symmetric
from ..model.xp import XpArray
from ..parameters import Parameters

FARTHEST = 3.0
"""Length of a spot's residual, in sigma, beyond which the spot no longer distinguishes between settings."""
TYPICAL = Spread(across=TYPICAL_SIGMA, along=TYPICAL_SIGMA, scatter=0.002)
"""Scatter of residuals and strains that is assumed if none was learned."""
SCATTER_LIMITS = (1e-4, 6e-3)
"""Range to which a learned scatter is clipped when it serves as the prior of the strain."""


def last_fit(
    backend: Backend,
    spots: SpotBatch,
    cells: XpArray,
    input_cell: XpArray,
    radius: XpArray,
    plan: SearchPlan,
    p: Parameters,
) -> tuple[XpArray, XpArray]:
    """Fit one cell a frame with a prior on its strain, and try the other settings of its input cell.

    Parameters
    ----------
    backend
        Backend that computes.
    spots
        Batch of spots.
    cells : (F, 3, 3)
        Initial oriented cells, rows a, b, c, angstrom.
    input_cell : (F,)
        Number of the input cell of each, relative to which strain is measured.
    radius : (F,)
        Distance within which the initial cell explains its spots, 1/angstrom.
    plan
        Plan of the search, with the input cells.
    p
        Parameters of the method.

    Returns
    -------
    cells : (F, 3, 3)
        Fitted cells, rows a, b, c, angstrom.
    cutoff : (F,)
        Cut-off of the fit, about three sigma of the residuals, 1/angstrom.
    """
    xp = backend.xp
    reference, prior = backend.constant(plan.cells)[input_cell], strain_prior(plan, p)
    cells, cutoff = backend.fit_constrained(spots, cells, reference, radius, prior)
    if any(len(settings) for settings in plan.settings):
        cells = _best_setting(backend, spots, cells, input_cell, reference, radius, cutoff, prior, plan, p)
    if p.symmetric_strain or (p.weigh_residuals and plan.spread is not None):
        spread = plan.spread if p.weigh_residuals and plan.spread is not None else TYPICAL
        symmetry = _symmetry(plan, xp)[input_cell] if p.symmetric_strain else None
        cells = backend.fit_whitened(spots, cells, reference, cutoff, spread, prior, symmetry)
    return cells, cutoff


def strain_prior(plan: SearchPlan, p: Parameters) -> float:
    """Standard deviation of the prior on strain: the given one, else the learned scatter in its range, else typical."""
    if p.strain_prior > 0:
        return p.strain_prior
    if plan.spread is None:
        return TYPICAL.scatter
    return min(max(plan.spread.scatter, SCATTER_LIMITS[0]), SCATTER_LIMITS[1])


def _symmetry(plan: SearchPlan, xp: ModuleType) -> XpArray:
    """Matrices (M, 6, 6) that project the six components of a strain onto the symmetric strains of each input cell."""
    pairs = zip(plan.cells, plan.operators, strict=True)
    return xp.asarray(np.stack([components(symmetric(MATRICES, *pair)).T for pair in pairs]))


def _best_setting(
    backend: Backend,
    spots: SpotBatch,
    cells: XpArray,
    input_cell: XpArray,
    reference: XpArray,
    radius: XpArray,
    cutoff: XpArray,
    prior: float,
    plan: SearchPlan,
    p: Parameters,
) -> XpArray:
    """The cells (F, 3, 3), each in the setting of its input cell that leaves the least residuals and strain."""
    xp, most = backend.xp, max(len(settings) for settings in plan.settings)
    # An input cell with fewer settings has zero matrices in the remaining places.
    table = np.zeros((len(plan.settings), most, 3, 3))
    for m, settings in enumerate(plan.settings):
        table[m, : len(settings)] = settings
    bases = xp.asarray(table)[input_cell]
    lowest = _cost(backend, spots, cells, reference, cutoff, prior)
    best, rigid_p = cells.copy(), p.replace(rigid_steps=max(p.rigid_steps, 1))
    for k in range(most):
        turned = bases[:, k] @ cells
        rigid = reference @ rotation_between(turned, reference, xp)
        rigid = xp.where((turned != 0).any(axis=(1, 2), keepdims=True), rigid, 0.0)
        rigid = backend.fit_rigid(spots, rigid[:, None], rigid_p)[:, 0]
        fitted, _ = backend.fit_constrained(spots, rigid, reference, radius, prior)
        cost = _cost(backend, spots, fitted, reference, cutoff, prior)
        better = (cost < lowest) & (rigid != 0).any(axis=(1, 2))
        best, lowest = xp.where(better[:, None, None], fitted, best), xp.where(better, cost, lowest)
    return best


def _cost(
    backend: Backend, spots: SpotBatch, cells: XpArray, reference: XpArray, cutoff: XpArray, prior: float
) -> XpArray:
    """Sum (F,) of squared residuals in units of sigma, each at most FARTHEST^2, and squared strain in prior units."""
    xp = backend.xp
    distance = backend.distances(spots, cells[:, None])[0].astype(xp.float64)
    scaled = FARTHEST * distance / cutoff[spots.frame_of_spot]
    residuals = spots.sum_per_frame(xp.minimum(scaled, FARTHEST) ** 2)
    stretches = xp.linalg.svd(xp.linalg.inv(reference) @ cells, compute_uv=False)
    return residuals + ((stretches - 1) ** 2).sum(axis=-1) / prior**2
