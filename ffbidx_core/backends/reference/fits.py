"""Step 4, the rigid fit, and the distances of spots, for one cell and the spots of one frame.

A cell is (3, 3) with rows a, b, c, angstrom; spots are (n, 3), 1/angstrom.
"""

from __future__ import annotations

import numpy as np

from ...model.cell import Array
from ...model.fits import UNDETERMINED, rigid_cutoffs
from ...model.vectors import cross_matrix
from ...parameters import Parameters


def predicted(spots: Array, cell: Array, indices: Array | None = None) -> Array:
    """Predicted spots (n, 3), 1/angstrom: the lattice points with given Miller indices; nan for a singular cell.

    By default the indices are those closest to the spots in index space.
    """
    if indices is None:
        indices = np.rint(spots @ cell.T)
    try:
        return np.asarray(indices @ np.linalg.inv(cell).T)
    except np.linalg.LinAlgError:
        return np.full_like(spots, np.nan)


def distances(spots: Array, cell: Array, *, fractional: bool = False) -> Array:
    """Distance (n,) of each spot from its predicted spot, 1/angstrom or in fractional indices; +inf for a zero cell."""
    if not cell.any():
        return np.full(len(spots), np.inf)
    indices = np.rint(spots @ cell.T)
    return _distances(spots, cell, indices, fractional)


def _distances(spots: Array, cell: Array, indices: Array, fractional: bool) -> Array:
    """Distance (n,) of each spot from the lattice point with given Miller indices (n, 3); +inf in place of nan."""
    difference = spots @ cell.T - indices if fractional else spots - predicted(spots, cell, indices)
    return np.asarray(np.nan_to_num(np.linalg.norm(difference, axis=1), nan=np.inf))


def refine_cell(spots: Array, cell: Array, score: float, p: Parameters) -> tuple[Array, float]:
    """The cell and its score after refinement by `p.method`; see `Backend.refine_cells`."""
    if p.method == "raw" or not np.isfinite(score):
        return cell, score
    if len(spots) < p.min_spots:
        return cell, 1.0
    fractional = p.method != "ifssr"
    threshold = score - np.floor(score)
    if not fractional:
        threshold /= np.linalg.norm(cell, axis=1).min()
    indices = np.rint(spots @ cell.T)
    d = _distances(spots, cell, indices, fractional)
    for _ in range(p.n_iter):
        selected = d < threshold
        if threshold <= p.max_dist or selected.sum() < p.min_spots:
            break
        threshold *= p.contraction
        s = spots[selected]
        cell = cell - _least_squares(s, s @ cell.T - indices[selected]).T
        if p.method != "ifss":
            indices = np.rint(spots @ cell.T)
        d = _distances(spots, cell, indices, fractional)
    return cell, float(np.sort(d)[p.min_spots - 1])


def _least_squares(s: Array, r: Array) -> Array:
    """The matrix Y (3, 3) of smallest norm that minimises |s Y - r| for s and r (n, 3)."""
    normal = s.T @ s
    trace = np.trace(normal)
    if trace == 0:
        return np.zeros((3, 3))
    return np.asarray(_pseudo_inverse(normal / trace) @ (s.T @ r) / trace)


def _pseudo_inverse(d: Array) -> Array:
    """Pseudo-inverse of a symmetric, positive semidefinite matrix (3, 3) of trace 1."""
    adjugate = np.stack([np.cross(d[1], d[2]), np.cross(d[2], d[0]), np.cross(d[0], d[1])])
    determinant, minors = d[0] @ adjugate[0], np.trace(adjugate)
    if determinant > UNDETERMINED:
        return np.asarray(adjugate / determinant)
    if minors > UNDETERMINED:
        # At rank 2, adjugate / minors projects on the null direction, and d^2 - d + minors = 0 holds on the others.
        return np.asarray((np.eye(3) - adjugate / minors - d) / minors)
    return d


def fit_rigid(spots: Array, cell: Array, steps: int) -> Array:
    """The cell after rotation, as a rigid body, onto the spots; see `Backend.fit_rigid`."""
    if not cell.any():
        return cell
    for cutoff in rigid_cutoffs(float(np.linalg.norm(cell, axis=1).max()), steps):
        q = predicted(spots, cell)
        e = spots - q
        weights = biweight(e, cutoff)
        normal = np.sum(weights * np.sum(q * q, axis=1)) * np.eye(3) - (q * weights[:, None]).T @ q
        if weights.sum() < 1.5 or not normal.any():
            break
        damped = normal + 1e-4 * np.trace(normal) * np.eye(3)
        x = np.linalg.solve(damped, weights @ np.cross(q, e))
        length = float(np.linalg.norm(x))
        if length > 0.03:
            x *= 0.03 / length
        cell = cell @ _rotation(x).T
    return cell


def biweight(e: Array, cutoff: float) -> Array:
    """Tukey's biweights (n,) of residuals (n, 3): (1 - |e|^2 / cutoff^2)^2 inside the cut-off, else 0."""
    return np.asarray(np.maximum(0, 1 - np.sum(e * e, axis=1) / cutoff**2) ** 2)


def _rotation(x: Array) -> Array:
    """Rotation matrix (3, 3) of a rotation vector (3,) in radian."""
    angle = np.linalg.norm(x)
    if angle == 0:
        return np.eye(3)
    axis = cross_matrix(x / angle)
    return np.asarray(np.eye(3) + np.sin(angle) * axis + (1 - np.cos(angle)) * axis @ axis)
