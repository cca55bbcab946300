"""Where the beam is, as a run's first frames say, and what they teach with it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ..model.cell import Array
from ..model.misfit.misfit import is_shift
from ..parameters import Parameters
from .lesson import Lesson

T = TypeVar("T")

MOST_MOVES = 3
"""A shift that hides crystals is found in steps."""
SCANNED_BELOW = 0.4
"""With crystals on fewer of the frames than this many shifts are tried."""


def settle_beam(
    learn_at: Callable[[Array], Sequence[tuple[T, Lesson]]], scan: Callable[[Array], Array | None], p: Parameters
) -> tuple[Sequence[tuple[T, Lesson]], Array, Array | None]:
    """Move the beam where it is off beyond doubt and frames are indexed better so.

    Parameters
    ----------
    learn_at
        Learns with the beam shifted by (2,) mrad: a lesson for each set of input cells, and whatever goes with it.
    scan
        Tries many shifts, mrad, about one, for a beam that is far off.

    Returns
    -------
    learned
        With the beam where it is.
    shift : (2,) float64
        By how much it was moved, mrad.
    left : (2,) float64 or None
        By how much it is still off beyond doubt.
    """
    shift = np.zeros(2)
    learned = learn_at(shift)
    if p.learn_beam:
        learned, shift = _followed(learn_at, learned, shift)
        if _rate(learned) < SCANNED_BELOW and (far := scan(shift)) is not None:
            again = learn_at(far)
            if _evidence(again) > _evidence(learned):
                learned, shift = _followed(learn_at, again, far)
    return learned, shift, _shift(learned)


def _followed(
    learn_at: Callable[[Array], Sequence[tuple[T, Lesson]]], learned: Sequence[tuple[T, Lesson]], shift: Array
) -> tuple[Sequence[tuple[T, Lesson]], Array]:
    """Move the beam as the residuals say, as long as they do and the evidence rises."""
    for _ in range(MOST_MOVES):
        if (left := _shift(learned)) is None:
            break
        again = learn_at(shift + left)
        if _evidence(again) <= _evidence(learned):
            break
        learned, shift = again, shift + left
    return learned, shift


def _shift(learned: Sequence[tuple[T, Lesson]]) -> Array | None:
    """The beam shift (2,), mrad, that the crystals of all input cells tell; None where there is none beyond doubt."""
    misfits = [lesson.misfit for _, lesson in learned if lesson.misfit is not None]
    if not misfits:
        return None
    weights = np.array([misfit.errors[:2] ** -2 for misfit in misfits])
    shift = (weights * [misfit.values[:2] for misfit in misfits]).sum(axis=0) / weights.sum(axis=0)
    most = max(misfits, key=lambda misfit: misfit.n_crystals)
    if not is_shift(shift, weights.sum(axis=0) ** -0.5, most.spread, most.wavelength):
        return None
    return np.asarray(1e3 * shift)


def _evidence(learned: Sequence[tuple[T, Lesson]]) -> float:
    return sum(float(lesson.evidence.evidence.sum()) for _, lesson in learned)


def _rate(learned: Sequence[tuple[T, Lesson]]) -> float:
    """The share of the frames with spots enough that has a crystal."""
    indexed = np.concatenate([np.zeros(0, bool), *(lesson.evidence.indexed for _, lesson in learned)])
    return float(indexed.mean()) if len(indexed) else 1.0
