"""The reduction of lattices and the search for their settings in machine code; see `selling`.

Only functions import this module, since importing Numba takes a while. Arrays are float64.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...compiled import cache_folder, called_from_python, compiled

_FOLDER = cache_folder((Path(__file__),))


def _multiply(one: Any, i: int, other: Any, j: int) -> Any:
    return one[i, 0] * other[j, 0] + one[i, 1] * other[j, 1] + one[i, 2] * other[j, 2]


def _determine(m: Any) -> Any:
    x = m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]
    y = m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2]
    z = m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]
    return m[0, 0] * x + m[0, 1] * y + m[0, 2] * z


def _copy(to: Any, i: int, vectors: Any, j: int) -> None:
    for x in range(3):
        to[i, x] = vectors[j, x]


_dot = compiled(_multiply, _FOLDER)
_determinant = compiled(_determine, _FOLDER)
_put = compiled(_copy, _FOLDER)


def _reduce(bases: Any, most: int, obtuse: float) -> None:
    """Reduce bases of lattices, four vectors (n, 4, 3) of sum zero each, in at most `most` passes over their pairs."""
    for n in range(len(bases)):
        v = bases[n]
        for _ in range(most):
            changed = False
            for i in range(3):
                for j in range(i + 1, 4):
                    if _dot(v, i, v, j) <= obtuse * _dot(v, i, v, i):
                        continue
                    changed = True
                    for x in range(3):
                        for k in range(4):
                            if k not in (i, j):
                                v[k, x] += v[i, x]
                        v[i, x] *= -1
            if not changed:
                break


def _measure(bases: Any, lengths: Any) -> None:
    """Write the seven Voronoi lengths, ascending, of Selling-reduced bases (n, 4, 3) to `lengths` (n, 7)."""
    for n in range(len(bases)):
        v = bases[n]
        for i in range(7):
            square = 0.0
            for x in range(3):
                component = v[i, x] if i < 4 else v[0, x] + v[i - 3, x]
                square += component * component
            length, k = math.sqrt(square), i
            while k > 0 and lengths[n, k - 1] > length:
                lengths[n, k] = lengths[n, k - 1]
                k -= 1
            lengths[n, k] = length


def _choose_shortest(vectors: Any, flattest: float, cell: Any) -> bool:
    """Write the first three vectors of some (m, 3) that are not coplanar to `cell` (3, 3); False if all are.

    `flattest` is the smallest sine of the angle between two, and of that between the third and the plane of these.
    """
    for b in range(1, len(vectors)):
        squares = _dot(vectors, 0, vectors, 0) * _dot(vectors, b, vectors, b)
        area = math.sqrt(max(squares - _dot(vectors, 0, vectors, b) ** 2, 0.0))
        if area <= flattest * math.sqrt(squares):
            continue
        _put(cell, 0, vectors, 0)
        _put(cell, 1, vectors, b)
        for c in range(b + 1, len(vectors)):
            _put(cell, 2, vectors, c)
            volume = _determinant(cell)
            if abs(volume) > flattest * area * math.sqrt(_dot(vectors, c, vectors, c)):
                for i in range(3):
                    for x in range(3):
                        cell[i, x] *= 1 if volume > 0 else -1
                return True
    return False


def _deviate(basis: Any, metric: Any, i: int, j: int) -> Any:
    return abs(_dot(basis, i, basis, j) - metric[i, j]) / math.sqrt(metric[i, i] * metric[j, j])


def _has_length(vectors: Any, i: int, square: float, tolerance: float) -> Any:
    return abs(math.sqrt(_dot(vectors, i, vectors, i) / square) - 1) < tolerance


_deviation = compiled(_deviate, _FOLDER)
_is_long = compiled(_has_length, _FOLDER)


def _find_nearest(vectors: Any, metric: Any, tolerance: float, basis: Any, best: Any) -> float:
    """Find the three of some vectors (m, 3) whose metric tensor is nearest to one (3, 3).

    Parameters
    ----------
    basis : (3, 3)
        Scratch array.
    best : (3, 3)
        Array that receives the three vectors.

    Returns
    -------
    float
        The deviation of the metric, see `selling.nearest_setting`; -1 if no vectors come close enough.
    """
    least, volume = -1.0, math.sqrt(_determinant(metric))
    for i in range(len(vectors)):
        if not _is_long(vectors, i, metric[0, 0], tolerance):
            continue
        _put(basis, 0, vectors, i)
        for j in range(len(vectors)):
            if not _is_long(vectors, j, metric[1, 1], tolerance):
                continue
            _put(basis, 1, vectors, j)
            if _deviation(basis, metric, 0, 1) >= 1.5 * tolerance:
                continue
            for k in range(len(vectors)):
                if not _is_long(vectors, k, metric[2, 2], tolerance):
                    continue
                _put(basis, 2, vectors, k)
                if _deviation(basis, metric, 0, 2) >= 1.5 * tolerance:
                    continue
                deviation = 0.0
                for a in range(3):
                    for b in range(a, 3):
                        deviation = max(deviation, _deviation(basis, metric, a, b))
                is_whole = abs(abs(_determinant(basis)) / volume - 1) < 0.1
                if is_whole and (least < 0 or deviation < least):
                    least = deviation
                    for a in range(3):
                        _put(best, a, basis, a)
    return least


choose_shortest = called_from_python(compiled(_choose_shortest, _FOLDER))
reduce = called_from_python(compiled(_reduce, _FOLDER))
measure = called_from_python(compiled(_measure, _FOLDER))
find_nearest = called_from_python(compiled(_find_nearest, _FOLDER))
