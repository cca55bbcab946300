"""Constants of the factors whose product gives a score, shared by the backends that compute it in float32."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..parameters import Parameters


class Factors(NamedTuple):
    """Constants by which a distance d becomes the factor trim(d) * scale + shift.

    A factor lies between 1 / sqrt(r) and sqrt(r), where r is the ratio of the largest factor to the smallest.

    Attributes
    ----------
    low, high : float
        Limits to which the distance is trimmed.
    scale, shift : float
        Slope and offset of the factor as a function of the trimmed distance.
    half : float
        Half of log2 r.
    span : float
        Scale that maps the mean log2 of the factors, plus `half`, to [0, 1).
    every : int
        Number of factors whose product cannot exceed the range of float32.
    """

    low: float
    high: float
    scale: float
    shift: float
    half: float
    span: float
    every: int


def factors(p: Parameters) -> Factors:
    """The constants of the factors for the parameters `triml`, `trimh` and `delta`."""
    # A factor of zero has no logarithm, and float32 resolves no distance below 2^-60 of the range.
    high = p.trimh + p.delta
    low = max(p.triml + p.delta, high * 2.0**-60)
    scale, half = 1 / math.sqrt(low * high), 0.5 * math.log2(high / low)
    span = 0.999 / (2 * half) if half > 0 else 0.0
    every = min(64, int(120 / max(half, 1)))
    return Factors(low - p.delta, p.trimh, scale, p.delta * scale, half, span, every)
