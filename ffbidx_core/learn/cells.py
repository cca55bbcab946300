"""Learning the cell from the first frames of a run, which corrects a cell 2 % off, or a wrong detector distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import PrimitiveCells, as_primitive
from ..model.plan import SearchPlan
from ..model.strain import strains, symmetric
from ..parameters import Parameters

CAUTION = 4.0
"""Weight of zero strain in number of crystals: n crystals change the cell by n / (n + CAUTION) of their strain."""

ENOUGH = 0.8
"""Share of frames with a crystal below which the cells are first tried at other scales."""
SCALES = (0.99, 1.01, 0.98, 1.02, 0.97, 1.03)
"""Factors on all lengths, as caused by a wrong detector distance or another temperature."""
SETTLED = 2e-4
"""Largest strain of a cell in a round after which learning ends."""


def are_few(offsets: NDArray[np.int64], p: Parameters) -> bool:
    """Whether frames with these offsets (F + 1,) into their spots are too few for a cell to be learned from them."""
    return bool(np.count_nonzero(np.diff(offsets) >= p.learn_min_spots) < p.learn_min_crystals)


def learn_cells(
    devices: Devices, spots: NDArray[Any], offsets: NDArray[np.int64], cells: PrimitiveCells, p: Parameters
) -> tuple[PrimitiveCells, NDArray[np.int64]]:
    """Primitive input cells (M, 3, 3) corrected by the strain of the crystals found on some frames.

    Returns
    -------
    cells : (M, 3, 3) float64
        The learned cells, angstrom; a cell with fewer than `p.learn_min_crystals` crystals is unchanged.
    n_crystals : (M,) int64
        Number of crystals from which each cell was learned; 0 if the cell is unchanged.
    """
    learned = as_primitive(np.array(cells, dtype=np.float64))
    taught_by = np.zeros(len(learned), dtype=np.int64)
    if are_few(offsets, p):
        return learned, taught_by
    loose = p.replace(retry=False, searches=1, strain_prior=p.learn_prior, max_false_rate=p.learn_max_false_rate)
    frames = _Frames(devices, spots, offsets, as_primitive(np.array(cells, dtype=np.float64)), loose)
    found = frames.index(learned)
    if len(found.input_cell) < ENOUGH * frames.n_searched:
        tries = [found, *(frames.index(as_primitive(scale * learned)) for scale in SCALES)]
        found = max(tries, key=lambda each: each.evidence)
    for _ in range(p.learn_rounds):
        largest, learned = 0.0, as_primitive(found.start.copy())
        for m in range(len(learned)):
            mine = found.cells[found.input_cell == m]
            if len(mine) < p.learn_min_crystals:
                learned[m], taught_by[m] = cells[m], 0
                continue
            strain = np.median(strains(mine, learned[m]), axis=0)
            strain = symmetric(strain, learned[m], found.operators[m]) * len(mine) / (len(mine) + CAUTION)
            learned[m] = learned[m] @ (np.eye(3) + strain)
            taught_by[m], largest = len(mine), max(largest, float(np.abs(strain).max()))
        if largest < SETTLED:
            break
        found = frames.index(learned)
    return learned, taught_by


@dataclass
class _BestCrystals:
    """The best crystal of each frame that has a crystal, found with the cells `start` (M, 3, 3)."""

    start: PrimitiveCells
    cells: PrimitiveCells
    input_cell: NDArray[np.int32]
    operators: tuple[NDArray[np.int64], ...]
    evidence: float


@dataclass
class _Frames:
    """The frames from which cells are learned."""

    devices: Devices
    spots: NDArray[Any]
    offsets: NDArray[np.int64]
    given: PrimitiveCells
    p: Parameters

    @property
    def n_searched(self) -> int:
        return int(np.count_nonzero(np.diff(self.offsets) >= self.p.learn_min_spots))

    def index(self, start: PrimitiveCells) -> _BestCrystals:
        """Index the frames with some cells; the evidence of the result is the sum of -log10 of the chance levels."""
        plan = SearchPlan.make(start, self.p)
        result = self.devices.index_frames(self.spots, self.offsets, plan, self.p, given_cells=self.given)
        first = result.crystal_offsets[:-1][np.diff(result.crystal_offsets) > 0]
        first = first[result.n_indexed[first] >= self.p.learn_min_spots]
        rows = result.crystals[first]
        return _BestCrystals(
            start,
            as_primitive(result.cells[rows].astype(np.float64)),
            result.input_cell[rows],
            plan.operators,
            -float(result.log10_chance[first].sum()),
        )
