"""The support and the agreement of lattices in machine code; see `pool` and `few`.

Only functions import this module, since importing Numba takes a while.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..compiled import cache_folder, called_from_python, compiled

_FOLDER = cache_folder((Path(__file__),))


def _sum_weights(lengths: Any, frame: Any, weight: Any, tolerance: float, best: Any, support: Any) -> None:
    """Sum over all frames the largest weight of the lattices that agree with each of n lattices.

    Parameters
    ----------
    lengths : (n, 7) float64
        Voronoi lengths, angstrom, the lattices ascending by the shortest one.
    frame : (n,) int64;  weight : (n,) float64
        Frame and weight of each lattice.
    tolerance
        Largest relative difference of the lengths of agreeing lattices.
    best : (F,) float64
        Scratch array.
    support : (n,) float64
        Array that receives the sums.
    """
    first = last = 0
    for o in range(len(lengths)):
        while lengths[first, 0] < lengths[o, 0] * (1 - tolerance):
            first += 1
        while last < len(lengths) and lengths[last, 0] < lengths[o, 0] * (1 + tolerance):
            last += 1
        best[:] = 0.0
        for k in range(first, last):
            agrees = True
            for i in range(7):
                agrees = agrees and abs(lengths[k, i] / lengths[o, i] - 1) < tolerance
            if agrees:
                best[frame[k]] = max(best[frame[k]], weight[k])
        total = 0.0
        for f in range(len(best)):
            total += best[f]
        support[o] = total


def _find_pairs(lengths: Any, frame: Any, member: Any, key: Any, tolerance: float, codes: Any) -> int:
    """Find the pairs of lattices of different frames that agree and share a key.

    Parameters
    ----------
    lengths : (n, 7) float64
        Logarithms of the Voronoi lengths.
    frame : (n,) int64
        Frame of each lattice.
    member, key : (k,) int64
        Lattices and their keys, equal keys one after the other; a lattice may have several keys.
    tolerance
        Largest difference of the logarithms of agreeing lattices.
    codes : (m,) int64
        Array that receives a n + b for each pair a < b, once for each key that they share, as far as there is room.

    Returns
    -------
    int
        The number of pairs, of which those that have no room are counted only.
    """
    found = 0
    for i in range(len(member)):
        a = member[i]
        k = i + 1
        while k < len(member) and key[k] == key[i]:
            b = member[k]
            agrees = frame[a] != frame[b]
            x = 0
            while agrees and x < 7:
                agrees = abs(lengths[a, x] - lengths[b, x]) < tolerance
                x += 1
            if agrees:
                if found < len(codes):
                    codes[found] = min(a, b) * len(lengths) + max(a, b)
                found += 1
            k += 1
    return found


find_agreeing = called_from_python(compiled(_find_pairs, _FOLDER))
sum_weights = called_from_python(compiled(_sum_weights, _FOLDER))
