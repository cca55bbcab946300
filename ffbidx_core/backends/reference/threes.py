"""The lattices of frames with few spots in NumPy, one frame at a time; see `Backend.join_threes`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...model.cell import Array
from ...model.records.batch import SpotBatch
from ...model.unknown import threes as constants
from ...model.unknown.scan import TRUE
from ...model.unknown.selling import voronoi_lengths
from ...model.unknown.threes import (
    ACROSS,
    ALONG,
    LATTICES,
    RIDGE,
    best_distinct,
    box,
    chosen_threes,
    firsts,
    reduced,
    triples,
)

TOGETHER = 8
"""Number of threes that are examined at once, which bounds the memory: arrays of a value for each triple and spot."""
NORMAL = (2 * np.pi) ** -0.5
"""Factor of the normal density."""


def join_threes(spots: SpotBatch, reach: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """See `Backend.join_threes`."""
    cells = np.zeros((spots.n_frames, LATTICES, 3, 3), np.float32)
    scores = np.full((spots.n_frames, LATTICES), -np.inf, np.float32)
    for f in range(spots.n_frames):
        xyz = spots.xyz[:, spots.offsets[f] : spots.offsets[f + 1]].T.astype(np.float64)
        bases, certainties = chosen_threes(xyz, reach)
        bases = reduced(bases)
        parts = [
            _lattices(xyz, bases[k : k + TOGETHER], certainties[k : k + TOGETHER], reach)
            for k in range(0, len(bases), TOGETHER)
        ]
        if parts:
            found, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            kept = best_distinct(values, voronoi_lengths(found))
            cells[f, : len(kept)], scores[f, : len(kept)] = found[kept], values[kept]
    return cells, scores


def _lattices(spots: Array, bases: Array, certainties: Array, reach: float) -> tuple[Array, Array]:
    """The fitted lattices (k, 3, 3) of some threes, and their scores (k,)."""
    whole = _whole_vectors(spots, bases, certainties, reach)
    fitted = _fitted_vectors(spots, whole, certainties)
    width = constants.FITTED_WIDTH * width_of(fitted)[..., None]
    density = _normal(_phases(spots, fitted), width)
    a, b, c = triples(constants.VECTORS).T
    lengths = np.linalg.norm(fitted, axis=2)
    volumes = np.abs((np.cross(fitted[:, a], fitted[:, b]) * fitted[:, c]).sum(axis=2))
    flat = volumes < constants.FLATTEST * lengths[:, a] * lengths[:, b] * lengths[:, c]
    flat |= (whole[:, c] == 0).all(axis=2)
    joint = np.log(1 - TRUE + TRUE * density[:, a] * density[:, b] * density[:, c]).sum(axis=2)
    joint = np.where(flat, -np.inf, joint - 3 * np.log(np.where(flat, 1.0, volumes)))
    best = np.argsort(-joint, axis=1)[:, : constants.TRIED]
    found = []
    for t in range(len(bases)):
        mine = best[t][np.isfinite(joint[t, best[t]])]
        rows = np.stack([a[mine], b[mine], c[mine]], axis=1)
        # Triples that span one lattice do so exactly before the fit, so that one number distinguishes lattices.
        size = np.log((voronoi_lengths(whole[t][rows]) ** 4).sum(axis=1))
        first = firsts(np.rint(size * 1e7))[: constants.FITTED]
        found.append(fitted[t][rows[first]])
    return joint_fit(spots, reduced(np.concatenate(found)))


def _whole_vectors(spots: Array, bases: Array, certainties: Array, reach: float) -> Array:
    """The best vectors (T, `VECTORS`, 3) that are whole at three spots; empty slots are zero."""
    one, two, three = (int(n) for n in box(bases, reach).max(axis=0))
    grid = np.meshgrid(np.arange(one + 1), np.arange(-two, two + 1), np.arange(-three, three + 1), indexing="ij")
    p, q, r = (axis.ravel() for axis in grid)
    upper = (p > 0) | (q > 0) | ((q == 0) & (r > 0))
    vectors = np.stack([p, q, r], axis=1)[upper].astype(np.float64) @ bases
    lengths = np.linalg.norm(vectors, axis=2)
    t, k = np.nonzero((lengths >= constants.SHORTEST * reach) & (lengths <= reach))
    inside, certainty = vectors[t, k], certainties[t]
    width = width_of(inside)[:, None] / np.where(certainty > 0, certainty, 1.0)
    density = np.where(certainty > 0, _normal(_phases(spots, inside), width), 1.0)
    scores = np.full(lengths.shape, -np.inf)
    scores[t, k] = np.log(1 - TRUE + TRUE * density).sum(axis=1) - 3 * np.log(lengths[t, k])
    order = np.argsort(-scores, axis=1)[:, : constants.VECTORS]
    every = np.arange(len(bases))[:, None]
    best = np.zeros((len(bases), constants.VECTORS, 3))
    best[:, : order.shape[1]] = np.where(np.isfinite(scores[every, order])[..., None], vectors[every, order], 0.0)
    return best


def _fitted_vectors(spots: Array, vectors: Array, certainties: Array) -> Array:
    """Vectors (T, m, 3) after the steps of their fit to the spots."""
    for factor in constants.FIT_WIDTHS:
        phases = _phases(spots, vectors)
        true = TRUE * _normal(phases, factor * width_of(vectors)[..., None])
        weights = np.where(certainties[:, None] > 0, true / (true + 1 - TRUE), 1.0)
        vectors = vectors + _steps(spots, weights, phases[..., None])[..., 0]
    return vectors


def joint_fit(spots: Array, cells: Array) -> tuple[Array, Array]:
    """The cells (k, 3, 3) after the fit to the spots (n, 3) that they explain, and their scores (k,)."""
    errors = np.asarray([ACROSS, ACROSS, ALONG])
    scores = np.zeros(len(cells))
    for factor in (*constants.JOINT_WIDTHS, 0.0):
        volumes = np.abs(np.linalg.det(cells))
        solid = volumes > constants.SMALLEST
        cells, volumes = np.where(solid[:, None, None], cells, 100 * np.eye(3)), np.where(solid, volumes, 1e6)
        phases = _phases(spots, cells).transpose(0, 2, 1)
        widths = errors * (factor or 1.0)
        apart = np.einsum("kna,kra->knr", phases, np.linalg.inv(cells)) / widths
        density = NORMAL**3 / (widths.prod() * volumes[:, None]) * np.exp(-0.5 * (apart**2).sum(axis=2))
        true = TRUE * density
        if factor:
            cells = cells + _steps(spots, true / (true + 1 - TRUE), phases).transpose(0, 2, 1)
        else:
            scores = np.where(solid, np.log(1 - TRUE + true).sum(axis=1) - 3 * np.log(volumes), -1e300)
    return cells, scores


def _steps(spots: Array, weights: Array, phases: Array) -> Array:
    """The least-squares steps (..., 3, m) that bring phases (..., n, m) to zero, with weights (..., n)."""
    normal = np.einsum("...n,nr,nq->...rq", weights, spots, spots) + RIDGE * np.eye(3)
    return np.linalg.solve(normal, -np.einsum("...n,nr,...nm->...rm", weights, spots, phases))


def width_of(vectors: Array) -> Array:
    """Standard deviation (...), in turns, of the phase of a spot that belongs to the lattice of vectors (..., 3)."""
    width = np.linalg.norm(vectors * np.asarray([ACROSS, ACROSS, ALONG]), axis=-1)
    return np.where(width > 0, width, 1.0)


def _normal(phases: Array, widths: Array) -> Array:
    """Normal densities at phases for standard deviations, 1/turn."""
    return np.asarray(NORMAL / widths * np.exp(-0.5 * (phases / widths) ** 2))


def _phases(spots: Array, vectors: Array) -> Array:
    """Phases (..., n) of spots (n, 3) for vectors (..., 3), in turns between -0.5 and 0.5."""
    turns = vectors @ spots.T
    return turns - np.rint(turns)
