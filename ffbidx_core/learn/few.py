"""The scale of the cells of a run that has too few frames to learn its cells from their crystals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..method.last_fit import SCATTER_LIMITS, TYPICAL
from ..model.basis import PrimitiveCells, as_primitive
from ..model.chance.evidence import Evidence
from ..model.plan import SearchPlan
from ..parameters import Parameters
from .cells import ENOUGH, SCALES
from .lesson import Lesson
from .scales import FEWEST

ROUGHLY = replace(TYPICAL, scatter=SCATTER_LIMITS[1])
"""Scatter that is assumed where the scale of a cell was corrected: the loosest prior on strains.

A cell whose scale is 1 % off is seldom right in shape, and few crystals do not show how far their strains scatter.
"""
MORE_FALSE = 0.1
"""Number of false crystals of all tries at other scales, relative to `max_false_rate`."""


def learn_from_few(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> Lesson:
    """Correct the scale of the primitive input cells (M, 3, 3) of frames that are too few for `learn`.

    If fewer than `ENOUGH` of the frames are indexed, the cells are tried at the scales `SCALES`. The scale with most
    evidence is taken if it indexes `FEWEST` of the frames, and at least two, since crystals of a run must agree with
    each other; a single frame is therefore searched at no other scale. It must be neither the smallest nor the largest
    scale: the right one may then lie beyond, where the crystals of a wrong scale are coincidences.

    The run searches with the full `max_false_rate` at the scale that is taken. A frame whose false crystal makes the
    choice keeps this crystal besides, so all tries at other scales together may claim only `MORE_FALSE` of the rate.

    Returns
    -------
    Lesson
        A lesson with the cells as they are, or at another scale and with the scatter `ROUGHLY`.
    """
    given = as_primitive(np.array(cells, dtype=np.float64))
    once = p.replace(retry=False, searches=1, strain_prior=p.learn_prior)

    def at(scale: float, share: float) -> Lesson:
        strict = once.replace(max_false_rate=share * p.max_false_rate)
        plan = SearchPlan.make(as_primitive(scale * given), strict)
        result = devices.index_frames(spots, offsets, plan, strict, given_cells=given)
        n_crystals = np.bincount(result.input_cell[result.crystals], minlength=len(given))
        scaled = as_primitive(np.where((n_crystals > 0)[:, None, None], plan.cells, given))
        evidence = Evidence.of(result, p.accept)[np.diff(offsets) >= p.learn_min_spots]
        return Lesson(scaled, n_crystals, None, evidence, assumed=ROUGHLY)

    def total(lesson: Lesson) -> float:
        return float(lesson.evidence.evidence.sum())

    as_it_is = replace(
        at(1.0, 1 / (1 + len(SCALES))), cells=given, n_crystals=np.zeros(len(given), dtype=np.int64), assumed=None
    )
    if as_it_is.evidence.rate >= ENOUGH or len(as_it_is.evidence.indexed) < 2 or p.accept != "chance":
        return as_it_is
    tried = {scale: at(scale, MORE_FALSE / len(SCALES)) for scale in SCALES}
    best = max(tried, key=lambda scale: total(tried[scale]))
    lesson = tried[best]
    is_inside = min(SCALES) < best < max(SCALES)
    enough = max(2, FEWEST * len(lesson.evidence.indexed))
    is_clear = total(lesson) > total(as_it_is) and lesson.evidence.indexed.sum() >= enough
    return lesson if is_inside and is_clear else as_it_is
