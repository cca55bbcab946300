"""Constants of the product of factors behind a score, shared by the backends that compute it in float32."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..parameters import Parameters


class Factors(NamedTuple):
    """A factor is trim(d) * scale + shift, from 1 / sqrt(ratio) to sqrt(ratio) of the largest to the smallest.

    Attributes
    ----------
    low, high : the trims
    scale, shift : of a factor
    half : half the log2 of the ratio
    span : scales the mean log2 of the factors, plus `half`, to [0, 1)
    every : factors whose product cannot leave float32
    """

    low: float
    high: float
    scale: float
    shift: float
    half: float
    span: float
    every: int


def factors(p: Parameters) -> Factors:
    """The constants for the trims and delta of some parameters."""
    # A factor of zero has no logarithm; distances below 2^-60 of the range do not exist in float32.
    high = p.trimh + p.delta
    low = max(p.triml + p.delta, high * 2.0**-60)
    scale, half = 1 / math.sqrt(low * high), 0.5 * math.log2(high / low)
    span = 0.999 / (2 * half) if half > 0 else 0.0
    every = min(64, int(120 / max(half, 1)))
    return Factors(low - p.delta, p.trimh, scale, p.delta * scale, half, span, every)
