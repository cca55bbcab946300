"""Steps 1 and 2 on the CPU: candidate vectors and their refinement."""

from __future__ import annotations

from typing import Any

from ...model.fits import VECTOR_THRESHOLDS
from .algebra import added, dot, products, scaled, solution, spot, symmetric
from .formula import double, formula, nearest, root, where
from .jit import exact, exact_part, kernel
from .scores import UNROLLED, direction_counts, direction_keys
from .select import best_keys, count_limit, put_if_at_most

SMALLEST_DETERMINANT = 1e-9
"""Determinant of a normal matrix, divided by its trace, below which no vector is fitted."""
NO_SUMS = (0.0,) * 10


@exact
def find_candidates(
    xyz: Any,
    offsets: Any,
    first: int,
    last: int,
    max_spots: int,
    lengths: Any,
    directions: Any,
    tiled: Any,
    trims: Any,
    every: int,
    race_spots: int,
    race_directions: int,
    pool: int,
    largest_cosine: float,
    scaled_spots: Any,
    work: Any,
    keys: Any,
    order: Any,
    ids: Any,
    listed: Any,
    listed_ids: Any,
    racers: Any,
    racer_ids: Any,
    histogram: Any,
    out: Any,
) -> None:
    """Fill out[first:last] (F, G, C, 3) with the best directions of each length group.

    Parameters
    ----------
    directions : (P, 3) float64;  tiled : (3, P padded to TILE) float32
    trims, every
        See `scores.Trims`.
    largest_cosine
        Upper limit of the |cosine| between two candidates; above 1 there is no limit.
    scaled_spots, work, keys, order, ids, listed, listed_ids, racers, racer_ids, histogram
        Scratch arrays; see `CpuSearch.find_candidate_vectors`.
    """
    for f in range(first, last):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, max_spots)
        if n == 0:
            continue
        racing = race_spots > 0 and n >= 2 * race_spots and directions.shape[0] > race_directions
        for g in range(lengths.shape[0]):
            runners, n_runners, found = tiled, directions.shape[0], 0
            for stage in range(0 if racing else 1, 2):
                n_used = n if stage == 1 else race_spots
                for j in range(n_used):
                    scale_spot(xyz, begin + j, lengths[g], scaled_spots, j)
                for j in range(n_used, n_used + UNROLLED):
                    clear_spot(scaled_spots, j)
                found = best_directions(
                    runners,
                    n_runners,
                    scaled_spots,
                    n_used,
                    trims,
                    every,
                    pool if stage == 1 else race_directions,
                    stage == 1,
                    work,
                    keys,
                    order,
                    listed,
                    listed_ids,
                    histogram,
                    ids,
                )
                if stage == 0:
                    for k in range(found):
                        copy_direction(tiled, ids[k], racers, k)
                        racer_ids[k] = ids[k]
                    runners, n_runners = racers, found
            kept = 0
            for k in range(found):
                direction = racer_ids[ids[k]] if racing else ids[k]
                apart = True
                for c in range(kept):
                    if alignment(directions, direction, out, f, g, c) > largest_cosine * lengths[g]:
                        apart = False
                        break
                if apart:
                    put_scaled(directions, direction, lengths[g], out, f, g, kept)
                    kept += 1
                    if kept == out.shape[2]:
                        break


@exact_part
def best_directions(
    directions: Any,
    n_directions: int,
    spots: Any,
    n: int,
    trims: Any,
    every: int,
    wanted: int,
    ordered: bool,
    work: Any,
    keys: Any,
    order: Any,
    listed: Any,
    listed_ids: Any,
    histogram: Any,
    ids: Any,
) -> int:
    """Select the directions with the `wanted` best scores, and return their number.

    The count of spots decides between most directions. Only those whose count suffices are scored.

    Parameters
    ----------
    directions, spots, trims, every, work
        See `scores.direction_keys`.
    ordered
        Whether to sort the directions by their scores.
    keys, order, listed, listed_ids, histogram
        Scratch arrays.
    ids : (P,) int64
        Array that receives the numbers of the directions.
    """
    direction_counts(directions, n_directions, spots, n, trims, keys)
    limit, n_listed = count_limit(keys, n_directions, -n, wanted), 0
    for k in range(n_directions):
        n_listed = put_if_at_most(listed_ids, n_listed, keys, k, limit)
    for k in range(n_listed):
        copy_direction(directions, listed_ids[k], listed, k)
    direction_keys(listed, n_listed, spots, n, trims, every, work, keys)
    found = best_keys(keys, n_listed, -n - 1.0, wanted, histogram, order, ids, ordered)
    for k in range(found):
        ids[k] = listed_ids[ids[k]]
    return found


@formula
def scale_spot(xyz: Any, i: int, length: float, out: Any, j: int) -> None:
    """Store spot i times a length as column j."""
    for r in range(3):
        out[r, j] = xyz[r, i] * length


@formula
def clear_spot(out: Any, j: int) -> None:
    """Store a spot at the origin as column j."""
    for r in range(3):
        out[r, j] = 0.0


@formula
def copy_direction(directions: Any, i: int, out: Any, k: int) -> None:
    """Copy column i of the directions to column k."""
    for r in range(3):
        out[r, k] = directions[r, i]


@formula
def alignment(directions: Any, i: int, vectors: Any, f: int, g: int, c: int) -> Any:
    """The |cosine| of the angle between a direction and a vector, times the length of the vector."""
    return abs(dot(tuple(directions[i, r] for r in range(3)), _vector(vectors, f, g, c)))


@formula
def put_scaled(directions: Any, i: int, length: float, vectors: Any, f: int, g: int, c: int) -> None:
    """Store direction i times a length as a vector."""
    for r in range(3):
        vectors[f, g, c, r] = length * directions[i, r]


def _vector(vectors: Any, f: Any, g: Any, c: Any) -> Any:
    """Vector c of group g on frame f."""
    return tuple(vectors[f, g, c, r] for r in range(3))


@kernel
def refine_candidates(
    xyz: Any,
    offsets: Any,
    first: int,
    last: int,
    max_spots: int,
    lengths: Any,
    min_spots: int,
    tolerance: float,
    vectors: Any,
) -> None:
    """Refine vectors[first:last] (F, G, C, 3) in place, and merge equal ones if `tolerance` is above 0."""
    for f in range(first, last):
        begin = offsets[f]
        end = min(offsets[f + 1], begin + max_spots)
        for g in range(vectors.shape[1]):
            kept, n_vectors, length = 0, vectors.shape[2], lengths[g]
            for c in range(n_vectors):
                present, start = vector_of(vectors, f, g, c)
                if not present:
                    break
                v = start
                for threshold in VECTOR_THRESHOLDS:
                    sums = NO_SUMS
                    for j in range(begin, end):
                        sums = add_plane(sums, xyz, j, start, v, threshold)
                    solved, fitted = fitted_vector(sums)
                    if sums[0] < min_spots or not solved:
                        break
                    v = fitted
                known = False
                if tolerance > 0.0:
                    v = kept_in_length(v, start, length, tolerance)
                    for k in range(kept):
                        if distance_to(vectors, f, g, k, v) < 0.1 * tolerance * length:
                            known = True
                            break
                if not known:
                    put_vector(vectors, f, g, kept, v)
                    kept += 1
            for c in range(kept, n_vectors):
                put_vector(vectors, f, g, c, (0.0, 0.0, 0.0))


@formula
def vector_of(vectors: Any, f: int, g: int, c: int) -> Any:
    """Whether a slot holds a vector, and the vector."""
    v = _vector(vectors, f, g, c)
    return dot(v, v) > 0, v


@formula
def put_vector(vectors: Any, f: int, g: int, c: int, v: Any) -> None:
    """Store a vector as vector c of group g on frame f."""
    for r in range(3):
        vectors[f, g, c, r] = v[r]


@formula
def add_plane(sums: Any, xyz: Any, j: int, start: Any, v: Any, threshold: float) -> Any:
    """Add a spot close to its lattice plane to the sums for v . s = m, with m = round(start . s).

    The sums are the count, the normal matrix (6) and the right side (3).
    """
    s = double(spot(xyz, j))
    m = nearest(dot(start, s))
    w = double(abs(dot(v, s) - m) < threshold)
    return added(sums, (w, *scaled(w, products(s)), *scaled(w * m, s)))


@formula
def fitted_vector(sums: Any) -> Any:
    """Whether the sums determine a vector, and the vector."""
    return solution(symmetric(sums[1:7]), sums[7:], SMALLEST_DETERMINANT)


@formula
def kept_in_length(v: Any, start: Any, length: float, tolerance: float) -> Any:
    """The vector v, or the vector `start` if the length of v differs from `length` by more than the tolerance."""
    return where(abs(root(dot(v, v)) - length) > tolerance * length, start, v)


@formula
def distance_to(vectors: Any, f: int, g: int, k: int, v: Any) -> Any:
    """Distance of a vector from vector k or from the negative of vector k, whichever is smaller."""
    other = _vector(vectors, f, g, k)
    minus, plus = (tuple(a + sign * b for a, b in zip(v, other, strict=True)) for sign in (-1.0, 1.0))
    a, b = dot(minus, minus), dot(plus, plus)
    return root(where(a < b, a, b))
