"""The lattices of frames with few spots in plain array code, one frame at a time; see `Backend.join_threes`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.cell import Array
from ...model.records.batch import SpotBatch, to_host
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
from ...model.xp import XpArray

TOGETHER = 8
"""Number of threes that are examined at once, which bounds the memory: arrays of a value for each triple and spot."""
NORMAL = (2 * np.pi) ** -0.5
"""Factor of the normal density."""


def join_threes(spots: SpotBatch, reach: float) -> tuple[XpArray, XpArray]:
    """See `Backend.join_threes`."""
    xp = spots.xp
    cells = xp.zeros((spots.n_frames, LATTICES, 3, 3), xp.float32)
    scores = xp.full((spots.n_frames, LATTICES), -xp.inf, xp.float32)
    offsets = to_host(spots.offsets)
    for f in range(spots.n_frames):
        xyz = spots.xyz[:, int(offsets[f]) : int(offsets[f + 1])].T.astype(xp.float64)
        bases, certainties = chosen_threes(to_host(xyz), reach)
        bases = reduced(bases)
        parts = [
            _lattices(xp, xyz, bases[k : k + TOGETHER], xp.asarray(certainties[k : k + TOGETHER]), reach)
            for k in range(0, len(bases), TOGETHER)
        ]
        if parts:
            found, values = (xp.concatenate(arrays) for arrays in zip(*parts, strict=True))
            kept = best_distinct(values, voronoi_lengths(found, xp), xp)
            cells[f, : len(kept)], scores[f, : len(kept)] = found[kept], values[kept]
    return cells, scores


def _lattices(xp: Any, spots: XpArray, bases: Array, certainties: XpArray, reach: float) -> tuple[XpArray, XpArray]:
    """The fitted lattices (k, 3, 3) of some threes, and their scores (k,)."""
    whole = _whole_vectors(xp, spots, bases, certainties, reach)
    fitted = _fitted_vectors(xp, spots, whole, certainties)
    width = constants.FITTED_WIDTH * width_of(xp, fitted)[..., None]
    density = _normal(xp, _phases(xp, spots, fitted), width)
    a, b, c = xp.asarray(triples(constants.VECTORS)).T
    lengths = xp.linalg.norm(fitted, axis=2)
    volumes = xp.abs((xp.cross(fitted[:, a], fitted[:, b]) * fitted[:, c]).sum(axis=2))
    flat = volumes < constants.FLATTEST * lengths[:, a] * lengths[:, b] * lengths[:, c]
    flat |= (whole[:, c] == 0).all(axis=2)
    joint = xp.log(1 - TRUE + TRUE * density[:, a] * density[:, b] * density[:, c]).sum(axis=2)
    joint = xp.where(flat, -xp.inf, joint - 3 * xp.log(xp.where(flat, 1.0, volumes)))
    best = xp.argsort(-joint, axis=1)[:, : constants.TRIED]
    found = []
    for t in range(len(bases)):
        mine = best[t][xp.isfinite(joint[t, best[t]])]
        rows = xp.stack([a[mine], b[mine], c[mine]], axis=1)
        # Triples that span one lattice do so exactly before the fit, so that one number distinguishes lattices.
        size = xp.log((voronoi_lengths(whole[t][rows], xp) ** 4).sum(axis=1))
        first = firsts(xp.rint(size * 1e7), xp)[: constants.FITTED]
        found.append(fitted[t][rows[first]])
    return joint_fit(xp, spots, reduced(xp.concatenate(found), xp))


def _whole_vectors(xp: Any, spots: XpArray, bases: Array, certainties: XpArray, reach: float) -> XpArray:
    """The best vectors (T, `VECTORS`, 3) that are whole at three spots; empty slots are zero."""
    one, two, three = (int(n) for n in box(bases, reach).max(axis=0))
    grid = xp.meshgrid(xp.arange(one + 1), xp.arange(-two, two + 1), xp.arange(-three, three + 1), indexing="ij")
    p, q, r = (axis.ravel() for axis in grid)
    upper = (p > 0) | (q > 0) | ((q == 0) & (r > 0))
    vectors = xp.stack([p, q, r], axis=1)[upper].astype(xp.float64) @ xp.asarray(bases)
    lengths = xp.linalg.norm(vectors, axis=2)
    t, k = xp.nonzero((lengths >= constants.SHORTEST * reach) & (lengths <= reach))
    inside, certainty = vectors[t, k], certainties[t]
    width = width_of(xp, inside)[:, None] / xp.where(certainty > 0, certainty, 1.0)
    density = xp.where(certainty > 0, _normal(xp, _phases(xp, spots, inside), width), 1.0)
    scores = xp.full(lengths.shape, -xp.inf)
    scores[t, k] = xp.log(1 - TRUE + TRUE * density).sum(axis=1) - 3 * xp.log(lengths[t, k])
    order = xp.argsort(-scores, axis=1)[:, : constants.VECTORS]
    every = xp.arange(len(bases))[:, None]
    best = xp.zeros((len(bases), constants.VECTORS, 3))
    best[:, : order.shape[1]] = xp.where(xp.isfinite(scores[every, order])[..., None], vectors[every, order], 0.0)
    return best


def _fitted_vectors(xp: Any, spots: XpArray, vectors: XpArray, certainties: XpArray) -> XpArray:
    """Vectors (T, m, 3) after the steps of their fit to the spots."""
    for factor in constants.FIT_WIDTHS:
        phases = _phases(xp, spots, vectors)
        true = TRUE * _normal(xp, phases, factor * width_of(xp, vectors)[..., None])
        weights = xp.where(certainties[:, None] > 0, true / (true + 1 - TRUE), 1.0)
        vectors = vectors + _steps(xp, spots, weights, phases[..., None])[..., 0]
    return vectors


def joint_fit(xp: Any, spots: XpArray, cells: XpArray) -> tuple[XpArray, XpArray]:
    """The cells (k, 3, 3) after the fit to the spots (n, 3) that they explain, and their scores (k,)."""
    errors = xp.asarray([ACROSS, ACROSS, ALONG])
    scores = xp.zeros(len(cells))
    for factor in (*constants.JOINT_WIDTHS, 0.0):
        volumes = xp.abs(xp.linalg.det(cells))
        solid = volumes > constants.SMALLEST
        cells, volumes = xp.where(solid[:, None, None], cells, 100 * xp.eye(3)), xp.where(solid, volumes, 1e6)
        phases = _phases(xp, spots, cells).transpose(0, 2, 1)
        widths = errors * (factor or 1.0)
        apart = xp.einsum("kna,kra->knr", phases, xp.linalg.inv(cells)) / widths
        density = NORMAL**3 / (widths.prod() * volumes[:, None]) * xp.exp(-0.5 * (apart**2).sum(axis=2))
        true = TRUE * density
        if factor:
            cells = cells + _steps(xp, spots, true / (true + 1 - TRUE), phases).transpose(0, 2, 1)
        else:
            scores = xp.where(solid, xp.log(1 - TRUE + true).sum(axis=1) - 3 * xp.log(volumes), -1e300)
    return cells, scores


def _steps(xp: Any, spots: XpArray, weights: XpArray, phases: XpArray) -> XpArray:
    """The least-squares steps (..., 3, m) that bring phases (..., n, m) to zero, with weights (..., n)."""
    normal = xp.einsum("...n,nr,nq->...rq", weights, spots, spots) + RIDGE * xp.eye(3)
    return xp.linalg.solve(normal, -xp.einsum("...n,nr,...nm->...rm", weights, spots, phases))


def width_of(xp: Any, vectors: XpArray) -> XpArray:
    """Standard deviation (...), in turns, of the phase of a spot that belongs to the lattice of vectors (..., 3)."""
    width = xp.linalg.norm(vectors * xp.asarray([ACROSS, ACROSS, ALONG]), axis=-1)
    return xp.where(width > 0, width, 1.0)


def _normal(xp: Any, phases: XpArray, widths: XpArray) -> XpArray:
    """Normal densities at phases for standard deviations, 1/turn."""
    return NORMAL / widths * xp.exp(-0.5 * (phases / widths) ** 2)


def _phases(xp: Any, spots: XpArray, vectors: XpArray) -> XpArray:
    """Phases (..., n) of spots (n, 3) for vectors (..., 3), in turns between -0.5 and 0.5."""
    turns = vectors @ spots.T
    return turns - xp.rint(turns)
