"""Step 3 on the CPU: input cells turned about candidate vectors.

The spots are turned once into each candidate's own frame (u, w, z); what an angle then costs is four products and two
roundings a spot. A spot too far from the lattice planes of the axis can neither count nor change the factor, whatever
the angle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import exact, kernel
from .scores import UNROLLED, angle_keys, cell_score, padded, score_constants


@exact
def find_cells(
    xyz: Any, offsets: Any, first: int, last: int, max_spots: int, vectors: Any, group: Any, input_cell: Any,
    n_angles: Any, turn: Any, base: Any, tables: Any, axes: Any, trims: Any, limit: float, peaks: int,
    out_cells: Any, out_scores: Any, out_input: Any,
) -> None:
    """Fill the slots of frames first to last with the best cells, sorted by score."""
    triml, trimh, delta = trims
    wanted = out_scores.shape[1]
    n_work = tables.shape[2]
    work, keys = np.empty((3, n_work), np.float32), np.empty(n_work, np.float32)
    n_peaks = min(peaks, n_work) if peaks > 0 else n_work
    peak_keys, peak_angles = np.empty(n_peaks, np.float32), np.empty(n_peaks, np.int64)
    best, best_seed = np.empty(wanted, np.float32), np.empty(wanted, np.int64)
    best_vector, best_angle = np.empty(wanted, np.int64), np.empty(wanted, np.int64)
    frame = np.empty((3, 3))
    near = np.float32(max(trimh, limit))
    for f in range(first, last):
        begin = offsets[f]
        n = min(offsets[f + 1] - begin, max_spots)
        if n == 0:
            continue
        rows = np.zeros((5, padded(n) + UNROLLED), np.float32)
        found = 0
        for s in range(group.shape[0]):
            for c in range(vectors.shape[2]):
                v = vectors[f, group[s], c]
                if v[0] == 0.0 and v[1] == 0.0 and v[2] == 0.0:
                    break
                candidate_frame(v, frame)
                n_near = _near_spots(xyz, begin, n, frame, base[s], axes[s], near, rows)
                angle_keys(
                    tables[s], n_angles[s], rows, n_near, n, np.float32(limit),
                    score_constants(triml, trimh, delta, n_near), work, keys,
                )
                worst = best[wanted - 1] if found == wanted else np.float32(3e38)
                n_found = _peaks(keys, n_angles[s], peaks, worst, peak_keys, peak_angles)
                for t in range(n_found):
                    found = _insert(
                        best, best_seed, best_vector, best_angle, found, wanted, peak_keys[t], s, c, peak_angles[t]
                    )
        for k in range(found):
            s = best_seed[k]
            candidate_frame(vectors[f, group[s], best_vector[k]], frame)
            turned_cell(base[s], turn[s] * best_angle[k] / n_angles[s], frame, out_cells[f, k])
            out_scores[f, k] = cell_score(xyz, begin, n, out_cells[f, k], triml, trimh, delta, limit)
            out_input[f, k] = input_cell[s]
        _sort_cells(out_cells[f], out_scores[f], out_input[f], found)


@exact
def candidate_frame(v: Any, frame: Any) -> None:
    """Rows u, w, z: z along v, u and w across it."""
    norm = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    z0, z1, z2 = v[0] / norm, v[1] / norm, v[2] / norm
    u0, u1, u2 = (0.0, z2, -z1) if abs(z0) < 0.6 else (-z2, 0.0, z0)
    norm = np.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
    u0, u1, u2 = u0 / norm, u1 / norm, u2 / norm
    frame[0, 0], frame[0, 1], frame[0, 2] = u0, u1, u2
    frame[1, 0], frame[1, 1], frame[1, 2] = z1 * u2 - z2 * u1, z2 * u0 - z0 * u2, z0 * u1 - z1 * u0
    frame[2, 0], frame[2, 1], frame[2, 2] = z0, z1, z2


@exact
def turned_cell(base: Any, angle: float, frame: Any, out: Any) -> None:
    """base Rz(angle) frame: the seed's cell at an angle, in the laboratory."""
    cosine, sine = np.cos(angle), np.sin(angle)
    for r in range(3):
        x = base[r, 0] * cosine - base[r, 1] * sine
        y = base[r, 0] * sine + base[r, 1] * cosine
        for q in range(3):
            out[r, q] = x * frame[0, q] + y * frame[1, q] + base[r, 2] * frame[2, q]


@kernel
def _near_spots(xyz: Any, begin: int, n: int, frame: Any, base: Any, axis: int, near: Any, rows: Any) -> int:
    """Gather the spots near a lattice plane of the axis, in the candidate's frame; how many."""
    f4 = np.float32
    u0, u1, u2 = f4(frame[0, 0]), f4(frame[0, 1]), f4(frame[0, 2])
    w0, w1, w2 = f4(frame[1, 0]), f4(frame[1, 1]), f4(frame[1, 2])
    z0, z1, z2 = f4(frame[2, 0]), f4(frame[2, 1]), f4(frame[2, 2])
    length, a, b = f4(base[axis, 2]), f4(base[(axis + 1) % 3, 2]), f4(base[(axis + 2) % 3, 2])
    m = 0
    for j in range(begin, begin + n):
        x, y, z = xyz[0, j], xyz[1, j], xyz[2, j]
        along = z0 * x + z1 * y + z2 * z
        d = length * along
        d -= np.rint(d)
        if abs(d) < near:
            rows[0, m] = u0 * x + u1 * y + u2 * z
            rows[1, m] = w0 * x + w1 * y + w2 * z
            rows[2, m] = a * along
            rows[3, m] = b * along
            rows[4, m] = d * d
            m += 1
    for j in range(m, padded(m)):
        for r in range(5):
            rows[r, j] = f4(0)
    return m


@exact
def _peaks(keys: Any, n: int, peaks: int, worst: Any, peak_keys: Any, peak_angles: Any) -> int:
    """Angles that beat `worst`: the best `peaks` local minima over the circle, best first; all where peaks is 0."""
    found = 0
    if peaks == 0:
        for k in range(n):
            if keys[k] < worst:
                peak_keys[found], peak_angles[found] = keys[k], k
                found += 1
        return found
    for k in range(n):
        x = keys[k]
        if x >= worst:
            continue
        before, after = keys[k - 1 if k > 0 else n - 1], keys[k + 1 if k < n - 1 else 0]
        if n > 1 and (x > before or x >= after):
            continue
        if found == peaks and x >= peak_keys[peaks - 1]:
            continue
        p = found if found < peaks else peaks - 1
        while p > 0 and peak_keys[p - 1] > x:
            peak_keys[p], peak_angles[p] = peak_keys[p - 1], peak_angles[p - 1]
            p -= 1
        peak_keys[p], peak_angles[p] = x, k
        found = min(found + 1, peaks)
    return found


@exact
def _insert(
    best: Any, seeds: Any, vectors: Any, angles: Any, found: int, wanted: int, key: Any, seed: int, vector: int,
    angle: int,
) -> int:
    """Insert into the sorted list of the best; earlier entries stay before equal ones."""
    if found == wanted and key >= best[wanted - 1]:
        return found
    p = found if found < wanted else wanted - 1
    while p > 0 and best[p - 1] > key:
        best[p], seeds[p], vectors[p], angles[p] = best[p - 1], seeds[p - 1], vectors[p - 1], angles[p - 1]
        p -= 1
    best[p], seeds[p], vectors[p], angles[p] = key, seed, vector, angle
    return min(found + 1, wanted)


@exact
def _sort_cells(cells: Any, scores: Any, inputs: Any, n: int) -> None:
    """Sort cells by score in place; they are nearly sorted."""
    for i in range(1, n):
        j = i
        while j > 0 and scores[j - 1] > scores[j]:
            scores[j - 1], scores[j] = scores[j], scores[j - 1]
            inputs[j - 1], inputs[j] = inputs[j], inputs[j - 1]
            for r in range(3):
                for q in range(3):
                    cells[j - 1, r, q], cells[j, r, q] = cells[j, r, q], cells[j - 1, r, q]
            j -= 1
