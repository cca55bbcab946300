"""The beam is put where a run's first frames have it, and cells are learned with the beam there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ..model.detector.beam_shift import NO_SHIFT, BeamShift, Radian
from ..model.misfit.misfit import is_shift
from ..parameters import Parameters
from .lesson import Lesson

T = TypeVar("T")

MOST_MOVES = 3
"""Steps in which a shift that hides crystals is followed at most."""
SCANNED_BELOW = 0.4
"""Share of the frames with a crystal below which many shifts are tried."""


def settle_beam(
    learn_at: Callable[[BeamShift], Sequence[tuple[T, Lesson]]],
    scan: Callable[[BeamShift], BeamShift | None],
    p: Parameters,
    start: BeamShift = NO_SHIFT,
) -> tuple[Sequence[tuple[T, Lesson]], BeamShift, BeamShift | None]:
    """Move the beam where residuals show a significant shift and frames are indexed better with it.

    Parameters
    ----------
    learn_at
        Learns with the beam shifted: a lesson for each set of input cells, and whatever goes with it.
    scan
        Tries many shifts about one, for a beam that is far off.
    start
        Where the beam is at first.

    Returns
    -------
    learned
        With the beam where it is.
    shift : BeamShift
        By how much the beam was moved.
    left : BeamShift or None
        By how much the beam is still off, where that is significant.
    """
    shift = start
    learned = learn_at(shift)
    if p.learn_beam:
        learned, shift = _followed(learn_at, learned, shift)
        if _rate(learned) < SCANNED_BELOW and (far := scan(shift)) is not None:
            trial = learn_at(far)
            if _evidence(trial) > _evidence(learned):
                learned, shift = _followed(learn_at, trial, far)
    return learned, shift, _shift(learned)


def _followed(
    learn_at: Callable[[BeamShift], Sequence[tuple[T, Lesson]]], learned: Sequence[tuple[T, Lesson]], shift: BeamShift
) -> tuple[Sequence[tuple[T, Lesson]], BeamShift]:
    """Move the beam as the residuals say, while they do, the evidence rises and no fewer unseen spots are predicted."""
    for _ in range(MOST_MOVES):
        if (left := _shift(learned)) is None:
            break
        trial = learn_at(shift + left)
        if _evidence(trial) <= _evidence(learned) or _predicts_less(trial, learned):
            break
        learned, shift = trial, shift + left
    return learned, shift


def _shift(learned: Sequence[tuple[T, Lesson]]) -> BeamShift | None:
    """The beam shift that the residuals of all input cells' crystals show; None where none is significant."""
    misfits = [lesson.misfit for _, lesson in learned if lesson.misfit is not None]
    if not misfits:
        return None
    weights = np.array([misfit.shift_errors**-2 for misfit in misfits])
    shift = Radian((weights * [misfit.shift for misfit in misfits]).sum(axis=0) / weights.sum(axis=0))
    errors = Radian(weights.sum(axis=0) ** -0.5)
    most = max(misfits, key=lambda misfit: misfit.n_crystals)
    if not is_shift(shift, errors, most.spread, most.wavelength):
        return None
    return BeamShift.from_radian(shift)


def _evidence(learned: Sequence[tuple[T, Lesson]]) -> float:
    return sum(float(lesson.evidence.evidence.sum()) for _, lesson in learned)


def _predicts_less(trial: Sequence[tuple[T, Lesson]], learned: Sequence[tuple[T, Lesson]]) -> bool:
    """Whether the crystals of a trial predict fewer spots that their fit has not seen, where that was judged."""
    pairs = [(a.unseen, b.unseen) for (_, a), (_, b) in zip(trial, learned, strict=True)]
    return any(a is not None and b is not None and a.over(b) < 1 for a, b in pairs)


def _rate(learned: Sequence[tuple[T, Lesson]]) -> float:
    """The share of the frames with spots enough that has a crystal."""
    indexed = np.concatenate([np.zeros(0, bool), *(lesson.evidence.indexed for _, lesson in learned)])
    return float(indexed.mean()) if len(indexed) else 1.0
