"""Finding the beam from the first frames of a run, and learning the cells with the beam at this position."""

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
"""Largest number of steps in which the beam is moved."""
SCANNED_BELOW = 0.4
"""Share of frames with a crystal below which many shifts are tried."""


def settle_beam(
    learn_at: Callable[[BeamShift], Sequence[tuple[T, Lesson]]],
    scan: Callable[[BeamShift], BeamShift | None],
    p: Parameters,
    start: BeamShift = NO_SHIFT,
) -> tuple[Sequence[tuple[T, Lesson]], BeamShift, BeamShift | None]:
    """Move the beam if residuals show a significant shift and frames are indexed better with it.

    Parameters
    ----------
    learn_at
        Function that learns with the beam shifted; returns a lesson for each set of input cells, with any other data.
    scan
        Function that tries many shifts around a given one, for a beam that is far off.
    start
        Shift of the beam at the start.

    Returns
    -------
    learned
        The lessons with the beam at its final position.
    shift : BeamShift
        Shift by which the beam was moved.
    left : BeamShift or None
        Remaining offset of the beam; None if it is not significant.
    """
    shift = start
    learned = learn_at(shift)
    if p.learn_beam:
        learned, shift = _followed(learn_at, learned, shift)
        if _rate(learned) < SCANNED_BELOW and (far := scan(shift)) is not None:
            trial = learn_at(far)
            if evidence_of(trial) > evidence_of(learned):
                learned, shift = _followed(learn_at, trial, far)
    return learned, shift, _shift(learned)


def _followed(
    learn_at: Callable[[BeamShift], Sequence[tuple[T, Lesson]]], learned: Sequence[tuple[T, Lesson]], shift: BeamShift
) -> tuple[Sequence[tuple[T, Lesson]], BeamShift]:
    """Move the beam by the residuals as long as the evidence rises and no fewer unseen spots are predicted."""
    for _ in range(MOST_MOVES):
        if (left := _shift(learned)) is None:
            break
        trial = learn_at(shift + left)
        if evidence_of(trial) <= evidence_of(learned) or _predicts_less(trial, learned):
            break
        learned, shift = trial, shift + left
    return learned, shift


def _shift(learned: Sequence[tuple[T, Lesson]]) -> BeamShift | None:
    """The beam shift from the residuals of the crystals of all input cells; None if it is not significant."""
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


def evidence_of(learned: Sequence[tuple[T, Lesson]]) -> float:
    """The evidence of all frames of some lessons."""
    return sum(float(lesson.evidence.evidence.sum()) for _, lesson in learned)


def _predicts_less(trial: Sequence[tuple[T, Lesson]], learned: Sequence[tuple[T, Lesson]]) -> bool:
    """Whether the crystals of a trial predict fewer unseen spots; false if that was not judged."""
    pairs = [(a.unseen, b.unseen) for (_, a), (_, b) in zip(trial, learned, strict=True)]
    return any(a is not None and b is not None and a.over(b) < 1 for a, b in pairs)


def _rate(learned: Sequence[tuple[T, Lesson]]) -> float:
    """The share of frames with a crystal among the frames with enough spots."""
    indexed = np.concatenate([np.zeros(0, bool), *(lesson.evidence.indexed for _, lesson in learned)])
    return float(indexed.mean()) if len(indexed) else 1.0
