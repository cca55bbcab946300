"""Steps 1 and 2 on the CPU: candidate vectors and their refinement."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model.fits import VECTOR_THRESHOLDS
from .jit import exact, kernel
from .scores import TILE, direction_keys, padded, score_constants
from .select import BINS, best_keys
from .small import solve3

SMALLEST_DETERMINANT = 1e-9


@exact
def find_candidates(
    xyz: Any, offsets: Any, first: int, last: int, max_spots: int, lengths: Any, directions: Any, tiled: Any,
    trims: Any, limit: float, race_spots: int, race_directions: int, pool: int, largest_cosine: float, out: Any,
) -> None:
    """Fill out[first:last] (F, G, C, 3) with the best directions of each length group.

    Parameters
    ----------
    directions : (P, 3) float64;  tiled : (3, P padded to TILE) float32
    trims : triml, trimh, delta
    largest_cosine
        Candidates lie further apart than this; above 1: no matter.
    """
    n_directions = directions.shape[0]
    keys = np.empty(tiled.shape[1], np.float32)
    order, ids = np.empty(n_directions, np.float32), np.empty(n_directions, np.int64)
    racers = np.zeros((3, (race_directions + TILE - 1) // TILE * TILE), np.float32)
    racer_ids = np.empty(race_directions, np.int64)
    histogram = np.empty(BINS, np.int64)
    few = np.empty((3, padded(race_spots)), np.float32)
    triml, trimh, delta = trims
    for f in range(first, last):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, max_spots)
        if n == 0:
            continue
        spots = np.zeros((3, padded(n)), np.float32)
        constants = score_constants(triml, trimh, delta, n)
        for g in range(lengths.shape[0]):
            for r in range(3):
                for j in range(n):
                    spots[r, j] = xyz[r, begin + j] * np.float32(lengths[g])
            n_racers = 0
            if race_spots > 0 and n >= 2 * race_spots and n_directions > race_directions:
                for r in range(3):
                    for j in range(padded(race_spots)):
                        few[r, j] = spots[r, j] if j < race_spots else np.float32(0)
                direction_keys(
                    tiled, n_directions, few, race_spots, np.float32(limit),
                    score_constants(triml, trimh, delta, race_spots), keys,
                )
                n_racers = best_keys(
                    keys, n_directions, -race_spots - 1.0, race_directions, histogram, order, ids, False
                )
                for k in range(n_racers):
                    racer_ids[k] = ids[k]
                    for r in range(3):
                        racers[r, k] = tiled[r, ids[k]]
                direction_keys(racers, n_racers, spots, n, np.float32(limit), constants, keys)
            else:
                direction_keys(tiled, n_directions, spots, n, np.float32(limit), constants, keys)
            n_keys = n_racers if n_racers else n_directions
            found = best_keys(keys, n_keys, -n - 1.0, pool, histogram, order, ids, True)
            for k in range(found):
                if n_racers:
                    ids[k] = racer_ids[ids[k]]
            _separate(directions, ids, found, largest_cosine, lengths[g], out[f, g])


@exact
def _separate(directions: Any, ids: Any, found: int, largest_cosine: float, length: float, out: Any) -> None:
    kept = 0
    for k in range(found):
        if kept == out.shape[0]:
            break
        d = directions[ids[k]]
        apart = True
        for c in range(kept):
            cosine = (d[0] * out[c, 0] + d[1] * out[c, 1] + d[2] * out[c, 2]) / length
            if abs(cosine) > largest_cosine:
                apart = False
                break
        if apart:
            for r in range(3):
                out[kept, r] = length * d[r]
            kept += 1


@exact
def refine_candidates(
    xyz: Any, offsets: Any, first: int, last: int, max_spots: int, lengths: Any, min_spots: int, tolerance: float,
    vectors: Any,
) -> None:
    """Refine vectors[first:last] (F, G, C, 3) in place; merge equal ones where tolerance > 0."""
    refined = np.empty(3)
    for f in range(first, last):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, max_spots)
        for g in range(vectors.shape[1]):
            kept = 0
            length = lengths[g]
            for c in range(vectors.shape[2]):
                v = vectors[f, g, c]
                if v[0] == 0.0 and v[1] == 0.0 and v[2] == 0.0:
                    break
                _fit_vector(xyz, begin, n, v, min_spots, refined)
                norm = np.sqrt(refined[0] ** 2 + refined[1] ** 2 + refined[2] ** 2)
                if tolerance > 0.0:
                    if abs(norm - length) > tolerance * length:
                        for r in range(3):
                            refined[r] = v[r]
                    if _known(vectors[f, g], kept, refined, 0.1 * tolerance * length):
                        continue
                for r in range(3):
                    vectors[f, g, kept, r] = refined[r]
                kept += 1
            for c in range(kept, vectors.shape[2]):
                for r in range(3):
                    vectors[f, g, c, r] = 0.0


@exact
def _known(vectors: Any, n: int, v: Any, radius: float) -> bool:
    for k in range(n):
        plus, minus = 0.0, 0.0
        for r in range(3):
            plus += (v[r] - vectors[k, r]) ** 2
            minus += (v[r] + vectors[k, r]) ** 2
        if min(plus, minus) < radius * radius:
            return True
    return False


@exact
def _fit_vector(xyz: Any, begin: int, n: int, start: Any, min_spots: int, v: Any) -> None:
    """Fit v to the spots near the lattice planes of `start`, with falling thresholds."""
    for r in range(3):
        v[r] = start[r]
    normal, right, x = np.empty(6), np.empty(3), np.empty(3)
    for threshold in VECTOR_THRESHOLDS:
        count = _vector_sums(xyz, begin, n, start, v, threshold, normal, right)
        if count < min_spots or not solve3(normal, right, SMALLEST_DETERMINANT, x):
            return
        for r in range(3):
            v[r] = x[r]


@kernel
def _vector_sums(
    xyz: Any, begin: int, n: int, start: Any, v: Any, threshold: float, normal: Any, right: Any
) -> float:
    """Normal equations of v . s = round(start . s) over the spots within the threshold; their number."""
    a0, a1, a2, v0, v1, v2 = start[0], start[1], start[2], v[0], v[1], v[2]
    count = 0.0
    xx, xy, xz, yy, yz, zz, rx, ry, rz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(begin, begin + n):
        x, y, z = np.float64(xyz[0, j]), np.float64(xyz[1, j]), np.float64(xyz[2, j])
        m = np.rint(a0 * x + a1 * y + a2 * z)
        w = 1.0 if abs(v0 * x + v1 * y + v2 * z - m) < threshold else 0.0
        count += w
        wx, wy, wz = w * x, w * y, w * z
        xx += wx * x
        xy += wx * y
        xz += wx * z
        yy += wy * y
        yz += wy * z
        zz += wz * z
        rx += wx * m
        ry += wy * m
        rz += wz * m
    normal[0], normal[1], normal[2], normal[3], normal[4], normal[5] = xx, xy, xz, yy, yz, zz
    right[0], right[1], right[2] = rx, ry, rz
    return count
