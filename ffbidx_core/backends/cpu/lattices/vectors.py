"""Refinement and scoring of scanned vectors, and the selection of the best distinct ones."""

from __future__ import annotations

import math
from typing import Any

from ....model.unknown.scan import RIDGE, SCALED_WIDTHS, TRUE, WIDEST, WIDTHS
from ..formula import formula, nearest, root, where
from ..jit import exact, kernel, part_of_kernel
from .likelihood import (
    NO_SUMS,
    NORMAL,
    add_equation,
    best_scale,
    length_of,
    moved,
    phase_of,
    put_vector,
    vector_at,
    width_of,
)


@part_of_kernel
def refined(spots: Any, n: int, v: Any) -> Any:
    """The vector after one robust step for each factor of `WIDTHS`."""
    for factor in WIDTHS:
        v = stepped(spots, n, v, factor * width_of(v))
    return v


@part_of_kernel
def refined_at_scale(spots: Any, n: int, v: Any) -> Any:
    """The vector after one robust step for each factor of `SCALED_WIDTHS`, times its own scale."""
    scale, _ = best_scale(spots, n, v)
    for factor in SCALED_WIDTHS:
        v = stepped(spots, n, v, factor * scale * width_of(v))
    return v


@part_of_kernel
def stepped(spots: Any, n: int, v: Any, width: float) -> Any:
    """The vector after one robust step with a width of the phases, of at most `WIDEST`."""
    width, sums = min(WIDEST, width), NO_SUMS
    for j in range(n):
        phase = phase_of(spots, j, v)
        true = TRUE * NORMAL / width * math.exp(-0.5 * (phase / width) ** 2)
        sums = add_equation(sums, spots, j, phase, true / (true + 1 - TRUE))
    return moved(v, sums, RIDGE * width * width)


@kernel
def refine_hits(
    spots: Any, n_low: int, n: int, hits: Any, n_hits: int, shortest: float, longest: float, vectors: Any, scores: Any
) -> None:
    """Refine hits (H, 3) to vectors (H, 3) and score them; a vector outside the range of lengths scores -1e300."""
    for h in range(n_hits):
        v = vector_at(hits, h)
        if n_low < n:
            v = refined(spots, n_low, v)
        v = refined_at_scale(spots, n, refined(spots, n, v))
        length = length_of(v)
        scores[h] = -1e300
        if shortest <= length <= longest:
            _, likelihood = best_scale(spots, n, v)
            scores[h] = likelihood - 3 * math.log(length)
        put_vector(vectors, h, v)


@exact
def keep_distinct(vectors: Any, order: Any, apart: float, out: Any) -> Any:
    """Keep the first distinct vectors (K, 3) in an order, and return their number.

    A vector is distinct if it is not close to a multiple of a kept vector, where the multiple may be 1 or -1.
    """
    kept = 0
    for o in range(order.shape[0]):
        v, new = vector_at(vectors, order[o]), True
        for k in range(kept):
            if is_multiple(v, out, k, apart):
                new = False
                break
        if new:
            put_vector(out, kept, v)
            kept += 1
            if kept == out.shape[0]:
                break
    return kept


@formula
def is_multiple(v: Any, out: Any, k: int, apart: float) -> Any:
    """Whether a vector is within |m| times `apart` of m times vector k, for an integer m other than 0."""
    u = tuple(out[k, r] for r in range(3))
    m = nearest((v[0] * u[0] + v[1] * u[1] + v[2] * u[2]) / (u[0] * u[0] + u[1] * u[1] + u[2] * u[2]))
    rest = tuple(a - m * b for a, b in zip(v, u, strict=True))
    size = root(rest[0] * rest[0] + rest[1] * rest[1] + rest[2] * rest[2])
    return (abs(m) > 0.5) & (size < where(abs(m) > 0.5, apart * abs(m), 0.0))
