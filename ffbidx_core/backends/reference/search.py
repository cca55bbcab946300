"""Steps 1 to 3 for one frame: candidate vectors, their refinement, and input cells laid on them.

Spots are (n, 3) float64, 1/angstrom: the n spots of lowest resolution, which the sampling uses. `Backend` states the
formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...model.cell import Array
from ...model.fits import VECTOR_THRESHOLDS
from ...model.plan import SearchPlan, half_sphere
from ...parameters import Parameters

BLOCK = 1 << 18
"""Largest number of elements in a working array, which bounds the memory."""
FLAT = 1e-9
"""Determinant of the spots' normal matrix, divided by its trace, below which no vector is fitted to the spots."""


class FrameCells(NamedTuple):
    """Oriented cells (q, 3, 3) of one frame, the best first, with their scores (q,) and input cells (q,)."""

    cells: Array
    scores: Array
    input_cell: NDArray[np.int64]


def score(distances: Array, near: float, p: Parameters) -> Array:
    """Scores (...) from the distances (..., n) of n spots: gmean - count - 1, lower is better.

    `near` is the distance below which a spot counts.
    """
    trimmed = np.clip(distances, p.triml, p.trimh)
    gmean = np.exp(np.log(trimmed + p.delta).mean(axis=-1)) - p.delta
    # A rounding error below 0 would turn the fraction of the score, from which refinement starts, into nearly 1.
    gmean = np.clip(gmean, p.triml, p.trimh)
    return np.asarray(gmean - (distances < near).sum(axis=-1) - 1)


def _blocks(n_rows: int, row_size: int) -> Iterator[slice]:
    """Slices of rows, each with at most `BLOCK` elements or one row."""
    step = max(1, BLOCK // row_size)
    return (slice(first, first + step) for first in range(0, n_rows, step))


def direction_scores(spots: Array, directions: Array, length: float, p: Parameters) -> Array:
    """Scores (m,) of directions (m, 3) for lattice vectors of a length in angstrom."""
    scores = np.empty(len(directions))
    for block in _blocks(len(directions), len(spots)):
        x = length * (directions[block] @ spots.T)
        scores[block] = score(np.abs(x - np.rint(x)), p.distance1, p)
    return scores


def candidate_vectors(spots: Array, length: float, p: Parameters, n_points: int) -> Array:
    """Candidate vectors (c, 3), angstrom: the best directions times the length, the best first."""
    if len(spots) == 0:
        return np.zeros((0, 3))
    directions = half_sphere(n_points)
    if p.race_spots > 0 and len(spots) >= 2 * p.race_spots:
        first_scores = direction_scores(spots[: p.race_spots], directions, length, p)
        directions = directions[np.sort(_best(first_scores, p.race_directions))]
    ranked = directions[_best(direction_scores(spots, directions, length, p))]
    if p.candidate_separation > 0:
        largest_cosine = np.cos(p.candidate_separation * np.sqrt(2 * np.pi / n_points))
        ranked = _separate_directions(ranked[: p.candidate_pool], float(largest_cosine))
    return np.asarray(length * ranked[: p.num_candidate_vectors])


def _best(scores: Array, n: int | None = None) -> NDArray[np.int64]:
    """Indices of the n lowest scores, the lowest first; ties go to the lower index."""
    return np.argsort(scores, kind="stable")[:n]


def _separate_directions(ranked: Array, largest_cosine: float) -> Array:
    """The directions, in order, whose |cosine| to every direction kept before is at most `largest_cosine`."""
    kept = np.zeros((0, 3))
    for direction in ranked:
        if (np.abs(kept @ direction) <= largest_cosine).all():
            kept = np.vstack([kept, direction])
    return kept


def refine_vector(spots: Array, vector: Array, length: float, p: Parameters) -> Array:
    """A candidate vector (3,), angstrom, after the fit to the spots close to its lattice planes."""
    indices = np.rint(spots @ vector)
    fitted = vector
    for threshold in VECTOR_THRESHOLDS:
        selected = np.abs(spots @ fitted - indices) < threshold
        s = spots[selected]
        normal = s.T @ s
        if len(s) < p.vr_min_spots or np.linalg.det(normal) <= FLAT * np.trace(normal) ** 3:
            break
        fitted = np.asarray(np.linalg.solve(normal, s.T @ indices[selected]), dtype=np.float64)
    if p.vector_tolerance > 0 and abs(np.linalg.norm(fitted) - length) > p.vector_tolerance * length:
        return vector
    return fitted


def separate_vectors(vectors: list[Array], nearest: float) -> Array:
    """The vectors (n, 3), in order, without those within `nearest` of a vector kept before or of its negative."""
    kept = np.zeros((0, 3))
    for vector in vectors:
        apart = np.minimum(np.linalg.norm(kept - vector, axis=1), np.linalg.norm(kept + vector, axis=1))
        if (apart >= nearest).all():
            kept = np.vstack([kept, vector])
    return kept


def oriented_cells(spots: Array, vectors: Array, plan: SearchPlan, p: Parameters) -> FrameCells:
    """The best oriented cells among all input cells, laid on all candidate vectors (G, C, 3) at all angles."""
    cells, scores, origin = [np.zeros((0, 3, 3))], [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    for seed, group in enumerate(plan.group):
        for vector in vectors[group]:
            if not vector.any():
                continue
            turned = turned_cells(plan, seed, vector)
            turned_scores = cell_scores(spots, turned, p)
            kept = _peaks(turned_scores, p.angle_peaks) if p.angle_peaks else np.arange(len(turned))
            cells.append(turned[kept])
            scores.append(turned_scores[kept])
            origin.append(np.full(len(kept), plan.input_cell[seed]))
    all_scores = np.concatenate(scores)
    best = _best(all_scores, p.n_output_cells)
    return FrameCells(np.concatenate(cells)[best], all_scores[best], np.concatenate(origin)[best])


def turned_cells(plan: SearchPlan, seed: int, vector: Array) -> Array:
    """Oriented cells (n_angles, 3, 3): a seed's input cell laid on a candidate vector (3,) and rotated about it."""
    z = vector / np.linalg.norm(vector)
    u = np.array([0.0, z[2], -z[1]]) if abs(z[0]) < 0.6 else np.array([-z[2], 0.0, z[0]])
    u /= np.linalg.norm(u)
    w = np.cross(z, u)
    angle = plan.turn[seed] * np.arange(plan.n_angles[seed]) / plan.n_angles[seed]
    turn = np.zeros((len(angle), 3, 3))
    # Vectors are rows, so that a rotated vector is (x, y, z) @ turn.
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 0, 1] = np.sin(angle)
    turn[:, 1, 0] = -np.sin(angle)
    turn[:, 2, 2] = 1
    return np.asarray(plan.base[seed] @ turn @ np.stack([u, w, z]))


def cell_scores(spots: Array, cells: Array, p: Parameters) -> Array:
    """Scores (m,) of oriented cells (m, 3, 3)."""
    scores = np.empty(len(cells))
    for block in _blocks(len(cells), 3 * len(spots)):
        x = (cells[block].reshape(-1, 3) @ spots.T).reshape(-1, 3, len(spots))
        scores[block] = score(np.linalg.norm(x - np.rint(x), axis=1), p.distance3, p)
    return scores


def _peaks(scores: Array, most: int) -> NDArray[np.int64]:
    """Ascending indices of at most `most` of the lowest local minima of scores (m,) on a circle of angles."""
    if len(scores) == 1:
        return np.zeros(1, dtype=np.int64)
    minima = np.flatnonzero((scores <= np.roll(scores, 1)) & (scores < np.roll(scores, -1)))
    return np.sort(minima[_best(scores[minima], most)])
