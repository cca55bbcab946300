"""Step 3 on the CPU: input cells laid on candidate vectors at all angles.

The spots are rotated once onto each candidate's own axes (u, w, z), after which an angle costs four products and two
roundings per spot. Spots far from the lattice planes of the axis are skipped, since they neither count nor change the
product of factors at any angle. As in step 1, the counts of spots show which angles need no score.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .algebra import cross, dot, matrix, multiplied, off_indices, scaled, spot
from .formula import clipped, cosine_and_sine, double, formula, nearest, root, single, where, whole
from .jit import exact_part, kernel, part_of_kernel
from .scores import UNROLLED, angle_counts, angle_keys
from .select import best_keys, put, put_if_at_most

LARGEST_KEY = np.float32(2)


@kernel
def find_cells(
    xyz: Any,
    offsets: Any,
    first: int,
    last: int,
    max_spots: int,
    vectors: Any,
    group: Any,
    input_cell: Any,
    n_angles: Any,
    turn: Any,
    base: Any,
    along: Any,
    tables: Any,
    trims: Any,
    every: int,
    limits: Any,
    peaks: int,
    rows: Any,
    work: Any,
    keys: Any,
    listed: Any,
    listed_ids: Any,
    listed_keys: Any,
    tally: Any,
    peak_keys: Any,
    places: Any,
    order: Any,
    ids: Any,
    histogram: Any,
    out_cells: Any,
    out_scores: Any,
    out_input: Any,
) -> None:
    """Fill the slots of frames `first` to `last` with the best cells, selected by their float32 keys.

    Parameters
    ----------
    group, input_cell, n_angles, turn, base, tables
        Attributes of the `SearchPlan`, and its angle tables.
    along : (S, 3) float32
        Components along the axis of the cell vector on the axis and of the two vectors after it, angstrom.
    limits : (4,) float64
        triml, trimh, delta, and the distance below which a spot counts.
    rows, work, keys, listed, listed_ids, listed_keys, tally, peak_keys, places, order, ids, histogram
        Scratch arrays; see `CpuSearch.find_oriented_cells`.
    """
    triml, trimh, delta, near = limits
    farthest = max(trimh, near)
    n_vectors, n_work, wanted = vectors.shape[2], tables.shape[2], out_scores.shape[1]
    for f in range(first, last):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, max_spots)
        if n == 0:
            continue
        for k in range(n + 1):
            tally[k] = 0
        n_peaks, enough, n_above = 0, 0, 0
        for s in range(group.shape[0]):
            for c in range(n_vectors):
                present, frame = frame_of(vectors, f, group[s], c)
                if not present:
                    break
                n_near = put_rows(rows, xyz, begin, begin + n, frame, along, s, near)
                angle_counts(tables, s, n_angles[s], rows, n_near, trims, keys)
                # `wanted` peaks count at least `enough` spots, so that an angle with fewer is not among the best.
                n_listed = 0
                for k in range(n_angles[s]):
                    n_listed = put_if_at_most(listed_ids, n_listed, keys, k, -enough)
                if n_listed == 0:
                    continue
                for k in range(n_listed):
                    copy_angle(tables, s, listed_ids[k], listed, k)
                n_near = put_rows(rows, xyz, begin, begin + n, frame, along, s, farthest)
                angle_keys(listed, 0, n_listed, rows, n_near, n, trims, every, work, listed_keys)
                for k in range(n_listed):
                    keys[listed_ids[k]] = listed_keys[k]
                first, place = n_peaks, (s * n_vectors + c) * n_work
                n_peaks = add_peaks(keys, n_angles[s], peaks, place, peak_keys, places, n_peaks)
                for q in range(first, n_peaks):
                    k = -int(np.floor(peak_keys[q]))
                    tally[k] += 1
                    n_above += k > enough
                while n_above >= wanted:
                    enough += 1
                    n_above -= tally[enough]
        found = best_keys(peak_keys, n_peaks, -n - 1.0, wanted, histogram, order, ids, True)
        for k in range(found):
            place = places[ids[k]]
            s, c, angle = place // n_work // n_vectors, place // n_work % n_vectors, place % n_work
            present, frame = frame_of(vectors, f, group[s], c)
            cell = put_turned(base, s, turn[s] * angle / n_angles[s], frame, out_cells, f, k)
            count, logarithm, product = 0.0, 0.0, 1.0
            for j in range(begin, begin + n):
                factor, one = factor_of(xyz, j, cell, triml, trimh, delta, near)
                product *= factor
                count += one
                if product < 1e-200 or product > 1e200:
                    logarithm += np.log(product)
                    product = 1.0
            out_scores[f, k] = np.exp((logarithm + np.log(product)) / n) - delta - count - 1.0
            out_input[f, k] = input_cell[s]


@part_of_kernel
def put_rows(rows: Any, xyz: Any, begin: int, end: int, frame: Any, along: Any, s: int, farthest: float) -> int:
    """Store the rows of the spots closer than `farthest` to a lattice plane of the axis, and return their number."""
    n = 0
    for j in range(begin, end):
        n = put_row(rows, n, xyz, j, frame, along, s, farthest)
    for j in range(n, n + UNROLLED):
        clear_row(rows, j)
    return n


@formula
def frame_of(vectors: Any, f: int, g: int, c: int) -> Any:
    """Whether a slot holds a candidate vector, and the vector's axes as rows u, w, z, with z along the vector."""
    v = tuple(vectors[f, g, c, r] for r in range(3))
    square = dot(v, v)
    present = square > 0
    z = scaled(1 / root(where(present, square, 1.0)), v)
    u = where(abs(z[0]) < 0.6, (0.0, z[2], -z[1]), (-z[2], 0.0, z[0]))
    square = dot(u, u)
    u = scaled(1 / root(where(present, square, 1.0)), u)
    return present, (u, cross(z, u), z)


@formula
def put_row(rows: Any, k: int, xyz: Any, j: int, frame: Any, along: Any, s: int, farthest: float) -> Any:
    """Store a spot's row k as `angle_keys` needs it; return k + 1 if the spot is close to a lattice plane, else k."""
    u, w, z = (dot(single(row), spot(xyz, j)) for row in frame)
    off = along[s, 0] * z
    off = off - nearest(off)
    rows[0, k], rows[1, k], rows[2, k], rows[3, k], rows[4, k] = u, w, along[s, 1] * z, along[s, 2] * z, off * off
    return k + whole(abs(off) < farthest)


@formula
def clear_row(rows: Any, k: int) -> None:
    """Store a spot at the origin as row k."""
    for r in range(5):
        rows[r, k] = 0.0


@formula
def copy_angle(tables: Any, s: int, angle: int, out: Any, k: int) -> None:
    """Copy column `angle` of table s to column k."""
    for i in range(4):
        out[0, i, k] = tables[s, i, angle]


@formula
def put_turned(base: Any, s: int, angle: float, frame: Any, cells: Any, f: int, k: int) -> Any:
    """Store and return the seed's cell at an angle in the laboratory frame, base Rz(angle) frame."""
    cosine, sine = cosine_and_sine(angle)
    cell = multiplied([(x * cosine - y * sine, x * sine + y * cosine, z) for x, y, z in matrix(base, s)], frame)
    for r in range(3):
        for q in range(3):
            cells[f, k, r, q] = cell[r][q]
    return cell


@formula
def factor_of(xyz: Any, j: int, cell: Any, triml: float, trimh: float, delta: float, near: float) -> Any:
    """The factor of a spot in float64, and 1 if the spot counts, else 0."""
    off = off_indices(double(spot(xyz, j)), cell)
    distance = root(dot(off, off))
    return clipped(distance, triml, trimh) + delta, double(distance < near)


@exact_part
def add_peaks(keys: Any, n: int, peaks: int, place: int, peak_keys: Any, places: Any, first: int) -> int:
    """Append the lowest `peaks` local minima of keys over the circle, or all keys for 0; return the new end."""
    last, full, worst, before = first, first + peaks, LARGEST_KEY, keys[n - 1]
    for k in range(n):
        key, after = keys[k], keys[k + 1 if k < n - 1 else 0]
        if peaks == 0:
            put(peak_keys, places, last, key, place + k)
            last += 1
        elif key < worst and is_peak(before, key, after, n):
            p = last - 1 if last == full else last
            last = p + 1
            while p > first and peak_keys[p - 1] > key:
                put(peak_keys, places, p, peak_keys[p - 1], places[p - 1])
                p -= 1
            put(peak_keys, places, p, key, place + k)
            if last == full:
                worst = peak_keys[last - 1]
        before = key
    return last


@formula
def is_peak(before: Any, key: Any, after: Any, n: int) -> Any:
    """Whether a key is a local minimum on a circle of n keys."""
    return ((before >= key) & (after > key)) | (n < 2)
