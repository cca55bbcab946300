"""The comparison of claimed crystals with the true ones, up to the symmetry of the lattice."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..model.basis import ChangeOfBasis, PrimitiveCells, as_given, centring_basis
from ..model.cell import Array, symmetry_operators
from ..model.orientation import equal_lattices, misorientation
from ..model.records.frame import BatchResult
from .frames import SimulatedFrames
from .scenario import Scenario

COUNTED_SPOTS = 20
"""Smallest number of spots of a lattice that must be found on a frame with several lattices."""
RIGHT = 1.0
"""Misorientation from a true lattice, in degrees, below which a crystal is correct."""
SAME_LATTICE = 0.08
"""Largest deformation of a lattice that still counts as the true one, in any setting."""


class Judge:
    """Decides which crystals are correct, for the cells of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.change = ChangeOfBasis.by(centring_basis(scenario.centring))
        self.operators = [self._symmetry(cell) for cell in scenario.true_cells]

    def _symmetry(self, cell: Array) -> NDArray[np.int64]:
        """The proper rotations of a conventional cell that also keep its centred lattice."""
        operators = symmetry_operators(cell, 1e-3)
        changes = self.change.to_primitive @ operators @ self.change.to_conventional
        keeps = (np.abs(changes - np.rint(changes)) < 1e-9).all(axis=(1, 2))
        return np.asarray(operators[keeps])

    def _is_same_lattice(self, cell: Array, truth: Array) -> bool:
        found, true = self._primitive(cell, truth)
        return bool(equal_lattices(found, true, SAME_LATTICE))

    def _primitive(self, *cells: Array) -> list[PrimitiveCells]:
        """Primitive cells of the lattices of conventional cells."""
        return [self.change.primitive(as_given(cell)) for cell in cells]

    def misorientation(self, cell: Array, truth: Array, kind: int) -> float:
        """The misorientation in degrees of a crystal, modulo symmetry; infinite for another lattice than `truth`."""
        return misorientation(cell, truth, self.operators[kind]) if self._is_same_lattice(cell, truth) else float("inf")

    def is_other_setting(self, cell: Array, truth: Array, kind: int) -> bool:
        """Whether a crystal spans the true lattice only after a change of basis that is not a symmetry operation."""
        if not self._is_same_lattice(cell, truth):
            return False
        found, true = self._primitive(cell, truth)
        change = self.change.to_conventional @ np.rint(found @ np.linalg.inv(true)) @ self.change.to_primitive
        return not (np.abs(self.operators[kind] - change).max(axis=(1, 2)) < 1e-6).any()


@dataclass
class Tally:
    """Counts of crystals and lattices over the frames of a case."""

    frames: int = 0
    frames_claimed: int = 0
    frames_right: int = 0
    lattices: int = 0
    lattices_found: int = 0
    claimed: int = 0
    false: int = 0
    other_setting: int = 0
    repeated: int = 0
    angles: list[float] = field(default_factory=list)

    @property
    def median_angle(self) -> float:
        """The median misorientation of the correct crystals, degrees."""
        return float(np.median(self.angles)) if self.angles else float("nan")

    def add(self, result: BatchResult, frames: SimulatedFrames, most: int | None = None) -> None:
        """Judge the crystals found on the frames, or if `most` is given on the first `most` frames."""
        judge = Judge(frames.scenario)
        n_spots = np.bincount(frames.lattice[frames.lattice >= 0], minlength=len(frames.cells))
        for f in range(frames.n_frames if most is None else min(most, frames.n_frames)):
            rows = result.crystals[result.crystal_offsets[f] : result.crystal_offsets[f + 1]]
            true = slice(frames.cell_offsets[f], frames.cell_offsets[f + 1])
            found = self._add_crystals(
                judge, result.cells[rows].astype(np.float64), frames.cells[true], frames.input_cell[true]
            )
            counted = n_spots[true] >= COUNTED_SPOTS
            self.frames += 1
            self.frames_claimed += len(rows) > 0
            self.frames_right += bool(found.any())
            self.lattices += int(counted.sum())
            self.lattices_found += int((found & counted).sum())

    def _add_crystals(self, judge: Judge, crystals: Array, truth: Array, kinds: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Classify the crystals of one frame, and return which of its true lattices were found."""
        found = np.zeros(len(truth), dtype=bool)
        for crystal in crystals:
            self.claimed += 1
            angles = np.array([judge.misorientation(crystal, *pair) for pair in zip(truth, kinds, strict=True)])
            if len(angles) and angles.min() < RIGHT:
                nearest = int(angles.argmin())
                self.repeated += bool(found[nearest])
                if not found[nearest]:
                    self.angles.append(float(angles[nearest]))
                found[nearest] = True
            elif any(judge.is_other_setting(crystal, *pair) for pair in zip(truth, kinds, strict=True)):
                self.other_setting += 1
            else:
                self.false += 1
        return found
