"""Frames of a sample indexed again as the run did it, with one thing changed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import learned_plan
from ..model.basis import PrimitiveCells, as_primitive
from ..model.chance.evidence import MEASURES, Evidence
from ..model.crystal import Crystals
from ..model.detector.beam_shift import NO_SHIFT, Radian
from ..model.plan import SearchPlan
from ..model.records.ragged import evenly, offsets_of, rows_of
from ..parameters import Parameters
from ..read.sift import ResolutionLimits
from .columns import RunColumns
from .sample import Sample


@dataclass(frozen=True)
class Trial(Evidence):
    """F frames indexed again.

    Attributes
    ----------
    crystals : Crystals
        The crystals that were found, with the spots as they were changed.
    measure : str
        The quantity that serves as evidence, in words.
    """

    crystals: Crystals
    measure: str


class Trials:
    """Indexes frames of a sample again, with changes to try out.

    Parameters
    ----------
    settings
        Settings of the run, as `read_run` gives them.
    """

    def __init__(self, sample: Sample, found: RunColumns, settings: dict[str, Any], devices: Devices) -> None:
        self._sample, self._devices = sample, devices
        self._learned = None if found.learned_cells is None else sample.change.primitive(found.learned_cells)
        self._p = Parameters.of_json(found.header.parameters)
        self._limits = ResolutionLimits(settings.get("d_min"), settings.get("d_max"))

    def on(self, sample: Sample) -> Trials:
        """Trials on the frames of another sample, with the same settings."""
        other = copy.copy(self)
        other._sample = sample
        return other

    def index(
        self,
        shift: Radian = NO_SHIFT.radian,
        distance: float = 0.0,
        cell: PrimitiveCells | None = None,
        *,
        learn: bool = True,
    ) -> Trial:
        """Index the frames of the sample.

        Parameters
        ----------
        shift, distance
            How the detector is moved, as `spots_of_moved_detector` takes it.
        cell : (3, 3)
            A primitive cell in the place of the run's.
        learn
            Learn the cell as the run does; else the cells that the run learned serve.
        """
        crystals = self._sample.crystals.corrected(shift, distance)
        references = crystals.references if cell is None else as_primitive(cell[None])
        spots, offsets = self._within_limits(crystals)
        first = evenly(np.arange(len(offsets) - 1), self._p.learn_cell)
        p = self._p
        if learn and len(first):
            rows, some = rows_of(offsets, first)
            plan = learned_plan(self._devices, spots[rows], some, references, p)
        else:
            plan = SearchPlan.make(references if cell is not None or self._learned is None else self._learned, p)
        result = self._devices.index_frames(spots, offsets, plan, p, given_cells=references)
        rows = result.crystals
        shown = Evidence.of(result, self._p.accept)
        return Trial(
            shown.indexed,
            shown.evidence,
            replace(
                crystals,
                cells=as_primitive(result.cells[rows].astype(np.float64)),
                crystal_offsets=result.crystal_offsets,
                input_cell=result.input_cell[rows].astype(np.int64),
                references=references,
            ),
            MEASURES[self._p.accept],
        )

    def _within_limits(self, crystals: Crystals) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The spots within the run's resolution limits."""
        inside = self._limits.within((crystals.spots**2).sum(axis=1))
        running = offsets_of(inside)
        return crystals.spots[inside].astype(np.float32), running[crystals.offsets].astype(np.int64)
