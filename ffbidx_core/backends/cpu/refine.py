"""Step 4 on the CPU: the published refinement methods, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import exact
from .small import pseudo_inverse3, reciprocal3

IFSS, IFSE, IFSSR = 1, 2, 3
CODES = {"ifss": IFSS, "ifse": IFSE, "ifssr": IFSSR}


@exact
def refine_cells(
    xyz: Any, offsets: Any, first: int, last: int, method: int, contraction: float, max_dist: float, min_spots: int,
    n_iter: int, cells: Any, scores: Any,
) -> None:
    """Refine cells[first:last] (F, Q, 3, 3) in place and replace their raw scores (F, Q)."""
    for f in range(first, last):
        begin = offsets[f]
        n = offsets[f + 1] - begin
        fixed, delta, distance = np.empty((n, 3)), np.empty((n, 3)), np.empty(n)
        for q in range(cells.shape[1]):
            if not np.isfinite(scores[f, q]):
                continue
            if n < min_spots:
                scores[f, q] = 1.0
                continue
            cell = cells[f, q]
            threshold = scores[f, q] - np.floor(scores[f, q])
            if method == IFSSR:
                threshold /= np.sqrt(min(_square(cell[0]), _square(cell[1]), _square(cell[2])))
            _indices(xyz, begin, n, cell, fixed)
            _measure(xyz, begin, n, cell, method, fixed, delta, distance)
            for _ in range(n_iter):
                if not threshold > max_dist:
                    break
                if not _fit(xyz, begin, n, delta, distance, threshold, min_spots, cell):
                    break
                threshold *= contraction
                _measure(xyz, begin, n, cell, method, fixed, delta, distance)
            scores[f, q] = _smallest(distance, n, min_spots)


@exact
def _square(v: Any) -> Any:
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2]


@exact
def _indices(xyz: Any, begin: int, n: int, cell: Any, out: Any) -> None:
    """Miller indices of the nearest lattice points, (n, 3)."""
    for j in range(n):
        for r in range(3):
            out[j, r] = np.rint(
                cell[r, 0] * xyz[0, begin + j] + cell[r, 1] * xyz[1, begin + j] + cell[r, 2] * xyz[2, begin + j]
            )


@exact
def _measure(
    xyz: Any, begin: int, n: int, cell: Any, method: int, fixed: Any, delta: Any, distance: Any
) -> None:
    """Differences of the fractional to the integer indices (n, 3), and distances in the method's own measure (n,)."""
    recip = np.zeros((3, 3))
    reciprocal3(cell, recip)
    for j in range(n):
        for r in range(3):
            h = cell[r, 0] * xyz[0, begin + j] + cell[r, 1] * xyz[1, begin + j] + cell[r, 2] * xyz[2, begin + j]
            delta[j, r] = h - (fixed[j, r] if method == IFSS else np.rint(h))
        d0, d1, d2 = delta[j, 0], delta[j, 1], delta[j, 2]
        if method == IFSSR:
            x = recip[0, 0] * d0 + recip[1, 0] * d1 + recip[2, 0] * d2
            y = recip[0, 1] * d0 + recip[1, 1] * d1 + recip[2, 1] * d2
            z = recip[0, 2] * d0 + recip[1, 2] * d1 + recip[2, 2] * d2
            d0, d1, d2 = x, y, z
        distance[j] = np.sqrt(d0 * d0 + d1 * d1 + d2 * d2)


@exact
def _fit(
    xyz: Any, begin: int, n: int, delta: Any, distance: Any, threshold: float, min_spots: int, cell: Any
) -> bool:
    """Correct the cell by the least-squares fit to the differences of the selected spots; False with too few."""
    normal, right, inverse = np.zeros(6), np.zeros((3, 3)), np.empty((3, 3))
    count = 0
    for j in range(n):
        if not distance[j] < threshold:
            continue
        count += 1
        s0, s1, s2 = np.float64(xyz[0, begin + j]), np.float64(xyz[1, begin + j]), np.float64(xyz[2, begin + j])
        normal[0] += s0 * s0
        normal[1] += s0 * s1
        normal[2] += s0 * s2
        normal[3] += s1 * s1
        normal[4] += s1 * s2
        normal[5] += s2 * s2
        for r in range(3):
            right[r, 0] += delta[j, r] * s0
            right[r, 1] += delta[j, r] * s1
            right[r, 2] += delta[j, r] * s2
    if count < min_spots:
        return False
    pseudo_inverse3(normal, inverse)
    for r in range(3):
        for k in range(3):
            for i in range(3):
                cell[r, k] -= inverse[k, i] * right[r, i]
    return True


@exact
def _smallest(values: Any, n: int, rank: int) -> Any:
    """The rank-th smallest of n >= rank values."""
    kept = np.empty(rank)
    found = 0
    for j in range(n):
        v = values[j]
        if found == rank and not v < kept[rank - 1]:
            continue
        p = found if found < rank else rank - 1
        while p > 0 and kept[p - 1] > v:
            kept[p] = kept[p - 1]
            p -= 1
        kept[p] = v
        found = min(found + 1, rank)
    return kept[rank - 1]
