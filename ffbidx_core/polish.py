"""The last fit of a crystal: rotation and small strain, in the setting that explains the spots best."""

from __future__ import annotations

from typing import Any

from .backends import Backend
from .batch import SpotBatch
from .model.orientation import rotation_between
from .model.plan import SearchPlan
from .parameters import Parameters

FARTHEST = 3.0
"""Residuals of a spot in sigma at which it no longer speaks for or against a setting."""


def polish(
    backend: Backend, spots: SpotBatch, cells: Any, input_cell: Any, radius: Any, plan: SearchPlan, p: Parameters
) -> tuple[Any, Any]:
    """Fit one cell a frame with a prior on its strain; try the input cell's other settings.

    Parameters
    ----------
    cells : (F, 3, 3);  input_cell : (F,)
        Where to start, and the input cell each comes from, which has no strain.
    radius : (F,)
        Distance within which a cell explains its spots, 1/angstrom.

    Returns
    -------
    cells : (F, 3, 3)
    cutoff : (F,)
        About three sigma of the residuals, 1/angstrom.
    """
    xp = backend.xp
    reference = xp.asarray(plan.cells)[input_cell]
    cells, cutoff = backend.fit_constrained(spots, cells, reference, radius, p.strain_prior)
    for m, settings in enumerate(plan.settings):
        mine = xp.flatnonzero(input_cell == m)
        if len(mine) == 0 or len(settings) == 0:
            continue
        cells[mine] = _best_setting(
            backend, spots.take(mine), cells[mine], xp.asarray(plan.cells[m]), xp.asarray(settings), radius[mine],
            cutoff[mine], p,
        )
    return cells, cutoff


def _best_setting(
    backend: Backend, spots: SpotBatch, cells: Any, input_cell: Any, settings: Any, radius: Any, cutoff: Any,
    p: Parameters,
) -> Any:
    """The cells, or what they become in another setting where that leaves less residual and strain."""
    xp = backend.xp
    reference = xp.broadcast_to(input_cell, cells.shape)
    lowest = _cost(backend, spots, cells, input_cell, cutoff, p)
    best = cells.copy()
    for basis in settings:
        rigid = input_cell @ rotation_between(basis @ cells, input_cell, xp)
        rigid = backend.fit_rigid(spots, rigid[:, None], p.replace(rigid_steps=max(p.rigid_steps, 1)))[:, 0]
        fitted, _ = backend.fit_constrained(spots, rigid, reference, radius, p.strain_prior)
        cost = _cost(backend, spots, fitted, input_cell, cutoff, p)
        better = cost < lowest
        best, lowest = xp.where(better[:, None, None], fitted, best), xp.where(better, cost, lowest)
    return best


def _cost(backend: Backend, spots: SpotBatch, cells: Any, input_cell: Any, cutoff: Any, p: Parameters) -> Any:
    """Squared residuals in sigma, each at most FARTHEST^2, plus the squared strain in units of its prior, (F,)."""
    xp = backend.xp
    distance = backend.distances(spots, cells[:, None])[0].astype(xp.float64)
    scaled = FARTHEST * distance / cutoff[spots.frame_of_spot]
    residuals = spots.sum_per_frame(xp.minimum(scaled, FARTHEST) ** 2)
    stretches = xp.linalg.svd(xp.linalg.inv(input_cell) @ cells, compute_uv=False)
    return residuals + ((stretches - 1) ** 2).sum(axis=-1) / p.strain_prior**2
