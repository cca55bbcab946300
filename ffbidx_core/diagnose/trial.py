"""Indexing frames of a sample again with the settings of the run and one change."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import learned_plan
from ..learn.found_scale import Scale
from ..learn.scales import find_scale
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
    """The result of indexing F frames again.

    Attributes
    ----------
    crystals : Crystals
        The crystals that were found, with the changed spots.
    measure : str
        Name of the quantity that is used as evidence.
    """

    crystals: Crystals
    measure: str


class Trials:
    """Indexes frames of a sample again, with changes that are tested.

    Parameters
    ----------
    settings
        Settings of the run, as returned by `read_run`.
    """

    def __init__(self, sample: Sample, found: RunColumns, settings: dict[str, Any], devices: Devices) -> None:
        self._sample, self._devices = sample, devices
        self._learned = None if found.learned_cells is None else sample.change.primitive(found.learned_cells)
        self._p = Parameters.of_json(found.header.parameters)
        self._limits = ResolutionLimits(settings.get("d_min"), settings.get("d_max"))

    def on(self, sample: Sample) -> Trials:
        """Trials with the same settings on the frames of another sample."""
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
            Motion of the detector, in the form of `spots_of_moved_detector`.
        cell : (3, 3)
            A primitive cell instead of that of the run, rows a, b, c, angstrom.
        learn
            Whether to learn the cell as the run does; otherwise the learned cells of the run are used.
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

    def scale(self) -> Scale | None:
        """The scale at which the frames fit the cells that were given; None if none is clearly better than 1."""
        crystals = self._sample.crystals
        return find_scale(self._devices, *self._within_limits(crystals), crystals.references, self._p)

    def _within_limits(self, crystals: Crystals) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The spots within the resolution limits of the run, and their offsets."""
        inside = self._limits.within((crystals.spots**2).sum(axis=1))
        running = offsets_of(inside)
        return crystals.spots[inside].astype(np.float32), running[crystals.offsets].astype(np.int64)
