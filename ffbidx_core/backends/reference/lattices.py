"""Search for the lattice of an unknown cell on one frame: the scan, the refinement of vectors, triples of vectors.

Spots are (n, 3) float64, 1/angstrom, ascending in |s|; vectors are in angstrom. `Backend` states the formulas.
"""

from __future__ import annotations

import itertools

import numpy as np

from ...model.cell import Array
from ...model.unknown import scan as constants
from ...model.unknown.scan import TRUE, Octave, VectorScan
from ...model.unknown.selling import selling_bases, voronoi_lengths


def octave_maxima(spots: Array, octave: Octave) -> tuple[Array, Array]:
    """All local maxima of C in length that exceed the floor: vectors (m, 3) and values of C (m,), highest first."""
    lengths = octave.first + octave.step * np.arange(octave.n_lengths)
    directions = octave.directions.astype(np.float64)
    sums = np.stack([np.cos(2 * np.pi * length * (directions @ spots.T)).sum(axis=1) for length in lengths], axis=1)
    inner = sums[:, 1:-1]
    high = (inner >= sums[:, :-2]) & (inner > sums[:, 2:]) & (inner > constants.FLOOR * len(spots))
    direction, k = np.nonzero(high)
    values = inner[high]
    order = np.argsort(-values, kind="stable")
    return (directions[direction] * lengths[k + 1, None])[order], values[order]


def width_of(v: Array, factor: float = 1.0) -> float:
    """Standard deviation of the phase of a spot that belongs to the lattice, times a factor, turns."""
    squared = constants.WIDTH_FLOOR**2 + constants.WIDTH_ACROSS**2 * (v @ v) + (constants.WIDTH_ALONG * v[2]) ** 2
    return float(factor * np.sqrt(squared))


def normal(phases: Array, width: float) -> Array:
    """Normal density (n,) at phases (n,) for a standard deviation `width`, 1/turn."""
    return np.asarray(np.exp(-0.5 * (phases / width) ** 2) / (np.sqrt(2 * np.pi) * width))


def densities(spots: Array, v: Array, factor: float = 1.0) -> Array:
    """Density (n,) of each spot's phase for the width at the vector's scale times a factor; 1 on average by chance."""
    width, phases = width_of(v, factor * best_scale(spots, v)[0]), _phases(spots, v)
    return _wrapped(phases, width)


def best_scale(spots: Array, v: Array) -> tuple[float, float]:
    """The factor of `SCALES` on the width with which a vector is most likely, and the log-likelihood with it."""
    phases = _phases(spots, v)
    values = [np.log(1 - TRUE + TRUE * _wrapped(phases, width_of(v, scale))).sum() for scale in constants.SCALES]
    best = int(np.argmax(values))
    return constants.SCALES[best], float(values[best])


def _wrapped(phases: Array, width: float) -> Array:
    """Normal density (n,) at phases (n,), in turns, summed over the neighbouring integers."""
    return np.asarray(normal(phases, width) + normal(phases - 1, width) + normal(phases + 1, width))


def vector_score(spots: Array, v: Array) -> float:
    """Log-likelihood of a vector at its best scale relative to chance, minus 3 ln |v|."""
    return float(best_scale(spots, v)[1] - 3 * np.log(np.linalg.norm(v)))


def refine(spots: Array, v: Array, factors: tuple[float, ...] = constants.WIDTHS) -> Array:
    """The vector after a robust refinement step for each factor on the width."""
    for factor in factors:
        width = min(constants.WIDEST, width_of(v, factor))
        true = TRUE * normal(_phases(spots, v), width)
        v = _stepped(spots, v, true / (true + 1 - TRUE), constants.RIDGE * width**2)
    return v


def best_vectors(spots: Array, n_low: int, hits: Array, plan: VectorScan) -> Array:
    """The best distinct vectors (k, 3) among the refined hits, the best first."""
    fitted = []
    for hit in hits:
        v = refine(spots[:n_low], hit) if n_low < len(spots) else hit
        v = refine(spots, v)
        scale, _ = best_scale(spots, v)
        fitted.append(refine(spots, v, tuple(scale * factor for factor in constants.SCALED_WIDTHS)))
    scored = [(vector_score(spots, v), v) for v in fitted if plan.shortest <= np.linalg.norm(v) <= plan.reach]
    kept: list[Array] = []
    for _, v in sorted(scored, key=lambda each: -each[0]):
        if not any(_is_multiple(v, u, constants.DISTINCT / plan.resolution) for u in kept):
            kept.append(v)
    return np.array(kept[: constants.VECTORS]).reshape(-1, 3)


def best_lattices(spots: Array, vectors: Array) -> tuple[Array, Array]:
    """The best distinct lattices (t, 3, 3) that three of the vectors (k, 3) span, and scores (t,), the best first."""
    density = np.array([densities(spots, v) for v in vectors])
    lengths = np.linalg.norm(vectors, axis=1)
    pairs = []
    for i, j in itertools.combinations(range(min(len(vectors), constants.PAIRED)), 2):
        product = lengths[i] * lengths[j]
        if np.linalg.norm(np.cross(vectors[i], vectors[j])) >= constants.FLATTEST * product:
            joint = np.log(1 - TRUE + TRUE * density[i] * density[j]).sum()
            pairs.append((joint - 3 * np.log(product), i, j))
    pairs.sort(key=lambda each: -each[0])
    scored, known = [], set()
    for _, i, j in pairs[: constants.PAIRS]:
        for k in set(range(len(vectors))) - {i, j}:
            some, product = [i, j, k], lengths[[i, j, k]].prod()
            flat = abs(np.linalg.det(vectors[some])) < constants.FLATTEST * product
            if flat or frozenset(some) in known:
                continue
            known.add(frozenset(some))
            joint = np.log(1 - TRUE + TRUE * density[some].prod(axis=0)).sum()
            scored.append((joint - 3 * np.log(product), some))
    scored.sort(key=lambda each: -each[0])
    seen: list[Array] = []
    kept: list[tuple[float, Array, Array]] = []
    for _, some in scored[: constants.TRIED]:
        before = voronoi_lengths(vectors[some][None])[0]
        if any(np.max(np.abs(before - other) / before) < constants.SAME_TRIPLE for other in seen):
            continue
        seen.append(before)
        cell, score = joint_fit(spots, vectors[some])
        after = voronoi_lengths(cell[None])[0]
        alike = [k for k, each in enumerate(kept) if np.max(np.abs(after - each[1]) / after) < constants.SAME_LATTICE]
        found = (score, after, selling_bases(cell[None])[0, :3])
        if not alike:
            kept.append(found)
        elif score > kept[alike[0]][0]:
            kept[alike[0]] = found
        if len(kept) == constants.LATTICES:
            break
    kept.sort(key=lambda each: -each[0])
    return np.array([each[2] for each in kept]).reshape(-1, 3, 3), np.array([each[0] for each in kept])


def joint_fit(spots: Array, cell: Array) -> tuple[Array, float]:
    """Three vectors (3, 3) after the fit to the spots that all three explain, and their joint score."""
    cell = cell.copy()
    for factor in constants.JOINT_WIDTHS:
        true = TRUE * np.prod([densities(spots, v, factor) for v in cell], axis=0)
        cell = np.array([_stepped(spots, v, true / (true + 1 - TRUE), constants.JOINT_RIDGE) for v in cell])
    joint = np.log(1 - TRUE + TRUE * np.prod([densities(spots, v) for v in cell], axis=0)).sum()
    return cell, float(joint - 3 * np.log(np.linalg.norm(cell, axis=1)).sum())


def _phases(spots: Array, v: Array) -> Array:
    """Phases (n,) of spots for a vector, in turns between -0.5 and 0.5."""
    turns = spots @ v
    return np.asarray(turns - np.rint(turns))


def _stepped(spots: Array, v: Array, weights: Array, ridge: float) -> Array:
    """The vector after one weighted least-squares step, which is cut to `LONGEST_STEP`."""
    normal_matrix = (spots * weights[:, None]).T @ spots + ridge * np.eye(3)
    step = np.linalg.solve(normal_matrix, -(weights * _phases(spots, v)) @ spots)
    return np.asarray(v + step * (constants.LONGEST_STEP / max(float(np.linalg.norm(step)), constants.LONGEST_STEP)))


def _is_multiple(v: Array, u: Array, apart: float) -> bool:
    """Whether v is within |m| times a distance of m u, for an integer m other than 0."""
    m = np.rint((v @ u) / (u @ u))
    return bool(m != 0 and np.linalg.norm(v - m * u) < apart * abs(m))
