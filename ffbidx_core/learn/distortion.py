"""Finding a stretch and a tilt of the detector that all crystals of the first frames show.

A crystal's rotation and strain absorb much of a distortion, but they turn with the crystal and the distortion does not.
The joint fit therefore gives all crystals of an input cell one strain that need not keep its symmetry, besides the
distortion: the orientations distinguish what remains of the distortion from any other cell. It is corrected if
crystals predict unseen spots better: a distortion that was fitted to every second frame is judged on the other frames,
of which half of the spots are indexed, and the spots of the other half are counted that lie near a reflection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..devices import Devices
from ..model.crystal import Crystals
from ..model.detector.beam_shift import BeamShift, Radian
from ..model.detector.distortion import Distortion
from ..model.misfit.equations import DISTORTED
from ..model.misfit.misfit import SIGNIFICANT, Misfit, find_misfit
from ..model.plan import SearchPlan
from ..parameters import Parameters
from .beam import evidence_of
from .lesson import Lesson
from .unseen import predicted_by_frame

T = TypeVar("T")

PAIRS = (("stretch", "skew"), ("tilt_x", "tilt_y"))
"""Parameters of the distortion that are corrected together, or not at all."""
MOST_STEPS = 3
"""Largest number of steps in which a distortion is found."""
INFLATED = 3.0
"""Ratio of a parameter's error to its error for a known cell above which it is not distinguished from the cell."""
SURE = 3.0
"""Size of the gain in predicted unseen spots, in standard errors, from which it is significant."""
GAIN = 0.005
"""Smallest relative gain in predicted unseen spots, averaged over the radii, for which the detector is corrected.
Within no radius may as large a share be lost."""


@dataclass(frozen=True)
class FittedDistortion:
    """A distortion of the detector with its errors, and the beam shift that goes with it.

    Attributes
    ----------
    shift : BeamShift
        Remaining shift of the beam.
    distortion : Distortion
        The distortion; parameters of a pair of which neither is significant are zero.
    stretch_error, tilt_error : float
        Standard errors of the size of the stretch, and of the tilt in radian.
    """

    shift: BeamShift
    distortion: Distortion
    stretch_error: float
    tilt_error: float

    @classmethod
    def of(cls, crystals: Crystals | None, pairs: Sequence[tuple[str, str]] | None = None) -> FittedDistortion | None:
        """The distortion that crystals show; None if it is not significant or there are too few crystals.

        Parameters
        ----------
        pairs
            The pairs of parameters that are fitted, whether or not they are significant; None: the significant ones.
        """
        misfit = None if crystals is None else find_misfit(crystals, common=DISTORTED, keeps_symmetry=False)
        if misfit is None:
            return None
        if pairs is None and not (pairs := [pair for pair in PAIRS if _is_significant(misfit, pair)]):
            return None
        others = [DISTORTED.index(name) for pair in PAIRS if pair not in pairs for name in pair]
        values, covariance = misfit.knowing(np.eye(len(misfit.values))[others])
        values[others] = 0
        stretch_error, tilt_error = (_error(covariance, pair) for pair in PAIRS)
        found = Distortion(*values[2 : len(DISTORTED)].tolist())
        return cls(BeamShift.from_radian(Radian(values[:2])), found, stretch_error, tilt_error)

    def __add__(self, rest: FittedDistortion) -> FittedDistortion:
        """The distortion with the rest that was found once it had been corrected."""
        errors = max(self.stretch_error, rest.stretch_error), max(self.tilt_error, rest.tilt_error)
        return FittedDistortion(self.shift + rest.shift, self.distortion + rest.distortion, *errors)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of parameters that are not zero."""
        return [pair for pair in PAIRS if any(getattr(self.distortion, name) for name in pair)]


def _is_significant(misfit: Misfit, pair: Sequence[str]) -> bool:
    """Whether a pair of parameters is significant, and the crystals' orientations distinguish it from their cell."""
    rows, n = [DISTORTED.index(name) for name in pair], len(DISTORTED)
    free, known = (np.diag(np.linalg.inv(each))[rows] for each in (misfit.normal, misfit.normal[:n, :n]))
    sure = (np.abs(misfit.values[rows]) > SIGNIFICANT * misfit.errors[rows]).any()
    return bool(sure and (free < INFLATED**2 * known).all())


def _error(covariance: np.ndarray, pair: Sequence[str]) -> float:
    rows = [DISTORTED.index(name) for name in pair]
    return float(np.sqrt(covariance[rows, rows].mean()))


def find_distortion(
    learn_at: Callable[[FittedDistortion], Sequence[tuple[T, Lesson]]],
    learned: Sequence[tuple[T, Lesson]],
    devices: Devices,
    p: Parameters,
) -> FittedDistortion | None:
    """The distortion of the detector, if crystals show it and predict unseen spots better when it is corrected.

    Parameters
    ----------
    learn_at
        Function that learns from the frames with a distortion corrected; returns a lesson for each set of input cells.
    learned
        The lessons without the correction.
    """
    most = max(range(len(learned)), key=lambda k: learned[k][1].n_crystals.sum(), default=None)
    if most is None or (found := FittedDistortion.of(learned[most][1].crystals)) is None:
        return None
    trial = learn_at(found)
    for _ in range(MOST_STEPS - 1):
        # A large distortion moves far spots so much that the first fit does not index them.
        if (rest := FittedDistortion.of(trial[most][1].crystals)) is None:
            break
        whole = found + rest
        further = learn_at(whole)
        if evidence_of(further) <= evidence_of(trial):
            break
        found, trial = whole, further
    if evidence_of(trial) < evidence_of(learned):
        return None
    return found if _predicts_better(devices, learned[most][1], trial[most][1], found, p) else None


def _predicts_better(devices: Devices, before: Lesson, after: Lesson, found: FittedDistortion, p: Parameters) -> bool:
    """Whether clearly more unseen spots of frames are predicted with a distortion fitted to the other frames."""
    assert before.crystals is not None
    crystals = before.crystals.take(np.flatnonzero(np.diff(before.crystals.crystal_offsets)))
    counts: list[list[np.ndarray]] = [[], []]
    for half in (0, 1):
        frames = np.arange(len(crystals.offsets) - 1)
        other = FittedDistortion.of(crystals.take(frames[1 - half :: 2]), found.pairs)
        if other is None:
            return False
        judged = crystals.take(frames[half::2])
        corrected = judged.corrected(other.shift.radian, distortion=other.distortion)
        for way, (each, lesson) in enumerate(((judged, before), (corrected, after))):
            plan = SearchPlan.make(lesson.cells, p, lesson.spread)
            spots = each.spots.astype(np.float32)
            counts[way].append(predicted_by_frame(devices, spots, each.offsets, plan, p, lesson.cells)[0])
    old, new = (np.concatenate(each) for each in counts)
    gain = (new - old).mean(axis=1)
    ratios = new.sum(axis=0) / np.maximum(old.sum(axis=0), 1)
    sure = gain.sum() > SURE * np.sqrt((gain**2).sum())
    return bool(sure and ratios.mean() > 1 + GAIN and ratios.min() > 1 - GAIN)
