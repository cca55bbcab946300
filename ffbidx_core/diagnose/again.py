"""Frames of a sample indexed again as the run did it, with one thing changed."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..distribute import Devices
from ..learn import learned_plan
from ..model.cell import Array
from ..model.misfit import Crystals
from ..model.plan import SearchPlan
from ..model.ragged import offsets_of
from ..parameters import Parameters
from ..read.frames import ResolutionLimits
from .found import Found
from .sample import Sample, evenly

MEASURES = {"chance": "-log10 of the chance level", "count": "number of indexed spots"}
CLEARLY = 3.0
"""Standard errors by which the evidence must rise to be better."""


@dataclass(frozen=True)
class Trial:
    """F frames indexed again.

    Attributes
    ----------
    indexed : (F,) bool
    evidence : (F,) float64
        -log10 of the chance level of a frame's best crystal, or its indexed spots where chance was not asked for; 0
        where there is none.
    crystals : Crystals
        What was found, in the spots as they were changed.
    measure : str
        What the evidence is.
    """

    indexed: NDArray[np.bool_]
    evidence: Array
    crystals: Crystals
    measure: str

    @property
    def rate(self) -> float:
        """The share of frames that is indexed."""
        return float(self.indexed.mean())

    @property
    def rate_error(self) -> float:
        """Its standard error; one frame is added to either side, so that none and all have one too."""
        n = len(self.indexed)
        p = (self.indexed.sum() + 1) / (n + 2)
        return float(np.sqrt(p * (1 - p) / (n + 2)))

    def gain_over(self, other: Trial) -> float:
        """The mean rise of the evidence in standard errors, frame by frame."""
        rise = self.evidence - other.evidence
        return float(rise.mean() / max(rise.std(ddof=1) / np.sqrt(len(rise)), 1e-12)) if len(rise) > 1 else 0.0

    def is_better_than(self, other: Trial) -> bool:
        """Whether the evidence rises clearly and no fewer frames are indexed, within what one frame more or less is."""
        gained, lost = (self.indexed & ~other.indexed).sum(), (other.indexed & ~self.indexed).sum()
        return self.gain_over(other) > CLEARLY and bool(lost - gained <= np.sqrt(gained + lost))


class Again:
    """Indexes frames of a sample.

    Parameters
    ----------
    settings
        Of the run, as `read_run` gives them.
    """

    def __init__(self, sample: Sample, found: Found, settings: dict[str, Any], devices: Devices) -> None:
        self._sample, self._devices = sample, devices
        self._learned = None if found.learned_cells is None else sample.bases @ found.learned_cells
        values: dict[str, Any] = json.loads(found.header.parameters)
        known = {field.name for field in fields(Parameters)}
        self._p = Parameters().replace(**{name: value for name, value in values.items() if name in known})
        self._limits = ResolutionLimits(settings.get("d_min"), settings.get("d_max"))

    def on(self, sample: Sample) -> Again:
        """The same for other frames."""
        other = copy.copy(self)
        other._sample = sample
        return other

    def index(
        self, shift: Array | tuple[float, float] = (0.0, 0.0), distance: float = 0.0, cell: Array | None = None,
        *, learn: bool = True,
    ) -> Trial:
        """Index the frames of the sample.

        Parameters
        ----------
        shift, distance
            Of the detector, as `spots_of_moved_detector` takes them.
        cell : (3, 3)
            A primitive cell in the place of the run's.
        learn
            Learn the cell as the run does; else the cells that the run learned serve.
        """
        crystals = self._sample.crystals.corrected(np.asarray(shift), distance)
        references = crystals.references if cell is None else cell[None]
        spots, offsets = self._within_limits(crystals)
        first = evenly(np.arange(len(offsets) - 1), self._p.learn_cell)
        p = self._p
        if learn and len(first):
            plan = learned_plan(self._devices, *_frames(spots, offsets, first), references, p)
        else:
            plan = SearchPlan.make(references if cell is not None or self._learned is None else self._learned, p)
        result = self._devices.index_frames(spots, offsets, plan, p, given_cells=references)
        rows = result.crystals
        found = np.diff(result.crystal_offsets) > 0
        best = result.crystal_offsets[:-1][found]
        evidence = np.zeros(len(found))
        chance = -result.log10_chance[best].astype(np.float64)
        evidence[found] = chance if self._p.accept == "chance" else result.n_indexed[best]
        return Trial(found, evidence, replace(
            crystals, cells=result.cells[rows].astype(np.float64), crystal_offsets=result.crystal_offsets,
            input_cell=result.input_cell[rows].astype(np.int64), references=references,
        ), MEASURES[self._p.accept])

    def _within_limits(self, crystals: Crystals) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The spots within the run's resolution limits."""
        inside = self._limits.within((crystals.spots**2).sum(axis=1))
        running = offsets_of(inside)
        return crystals.spots[inside].astype(np.float32), running[crystals.offsets].astype(np.int64)


def _frames(
    spots: NDArray[np.float32], offsets: NDArray[np.int64], frames: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The spots of some frames."""
    parts = [spots[offsets[f] : offsets[f + 1]] for f in frames]
    return np.concatenate(parts), offsets_of([len(part) for part in parts])
