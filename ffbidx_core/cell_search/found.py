"""The records of a search for cells: the cells that were found, and the lattices that were tried."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..model.basis import PrimitiveCells
from ..model.cell import Array, cell_parameters
from ..model.detector.beam_shift import BeamShift
from ..model.lattice import InputCell
from .symmetry import Symmetry


@dataclass(frozen=True)
class Candidate:
    """A lattice on which several frames agree, with its verdict.

    Attributes
    ----------
    reach : float
        Longest vector, in angstrom, of the search that found the lattice.
    n_searched, support : int
        Number of frames searched, and of frames with the lattice among their best ones.
    cell : (3, 3) float64
        The reduced cell after learning, rows a, b, c, angstrom.
    evidence, share : float
        Sum of -log10 of the expected numbers of false crystals, and share of frames with a crystal; if possible on
        frames from which the lattice was not made.
    hits : int
        Number of judged frames with a crystal.
    is_claim : bool
        Whether the evidence suffices to claim the lattice, or a lattice of which it is a part.
    """

    reach: float
    n_searched: int
    support: int
    cell: PrimitiveCells
    evidence: float
    share: float
    hits: int
    is_claim: bool

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that can be written as JSON."""
        return {
            "primitive": _rounded(cell_parameters(self.cell)),
            "reach": self.reach,
            "frames": self.n_searched,
            "support": self.support,
            "evidence": round(self.evidence, 2),
            "share": round(self.share, 4),
            "claim": self.is_claim,
        }


@dataclass(frozen=True)
class Multiple:
    """A rival cell that is a part or a multiple of the found cell.

    Attributes
    ----------
    index : int
        Volume relative to the found cell: 2, 3, 4, or negative for the part of this index.
    gain : float
        Evidence minus that of the found cell on the same frames, both cells unchanged.
    """

    index: int
    gain: float


@dataclass(frozen=True)
class FoundCell:
    """A unit cell that was found.

    Attributes
    ----------
    primitive : (3, 3) float64
        The reduced cell before a symmetry was imposed on it, rows a, b, c, angstrom.
    symmetry : Symmetry
        The symmetry that was chosen.
    table : list of Symmetry
        All symmetries that the cell nearly fulfils.
    multiples : list of Multiple
        The best parts and multiples of the cell.
    support, n_searched : int
        Number of frames with the lattice among their best ones, and of frames searched.
    rival : float
        Evidence of the best candidate that is not this lattice, or a part or a multiple of it; 0 if there is none.
    claimed : float
        Evidence of the cell when it was a candidate.
    n_frames : int
        Number of frames with enough spots that were searched for this cell.
    shift : BeamShift
        Offset of the beam from its assumed position, from the residuals of the crystals.
    stretch : float
        Relative excess of the assumed detector distance over the true one, from the stretch of the crystals along the
        beam; 0 if it is not significant. The lengths of the cell are those at the assumed distance.
    """

    primitive: PrimitiveCells
    symmetry: Symmetry
    table: list[Symmetry]
    multiples: list[Multiple]
    support: int
    n_searched: int
    rival: float
    claimed: float
    n_frames: int
    shift: BeamShift
    stretch: float = 0.0

    def with_type(self, code: str) -> FoundCell:
        """The cell with another Bravais type from its table.

        Raises
        ------
        UsageError
            If the cell does not nearly fulfil the symmetry.
        """
        symmetry = next((each for each in self.table if each.lattice.code == code), None)
        if symmetry is None:
            near = ", ".join(each.lattice.code for each in self.table)
            raise UsageError(f"--symmetry {code}: the cell is not close to this symmetry; it may be {near}")
        return dataclasses.replace(self, symmetry=symmetry)

    @property
    def input_cell(self) -> InputCell:
        """The conventional cell as an input cell of a run."""
        return self.symmetry.lattice.input_cell

    @property
    def lengths(self) -> Array:
        """The conventional lengths a, b, c in angstrom, (3,)."""
        return np.asarray(np.linalg.norm(self.input_cell.cell, axis=1))

    @property
    def evidence(self) -> float:
        """Sum of -log10 of the expected numbers of false crystals over the crystals of the symmetric cell."""
        return self.symmetry.verdict.evidence

    @property
    def share(self) -> float:
        """The share of the frames with a crystal of this cell."""
        return self.symmetry.verdict.share

    @property
    def second_share(self) -> float:
        """The share of the frames with a crystal that have a second one."""
        counts = self.symmetry.verdict.n_crystals
        return float((counts[counts > 0] > 1).mean()) if (counts > 0).any() else 0.0

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that can be written as JSON."""
        parameters = cell_parameters(self.input_cell.cell)
        return {
            "parameters": _rounded(parameters),
            "primitive": _rounded(cell_parameters(self.primitive)),
            "bravais": self.symmetry.lattice.code,
            "errors": _rounded(self.symmetry.errors),
            "evidence": round(self.evidence, 2),
            "share": round(self.share, 4),
            "second_lattice": round(self.second_share, 4),
            "support": self.support,
            "searched": self.n_searched,
            "frames": self.n_frames,
            "beam_shift": list(self.shift.mrad),
            "distance_excess": round(self.stretch, 5),
            "claimed": round(self.claimed, 2),
            "rival": round(self.rival / self.claimed, 4) if self.claimed > 0 else None,
            "symmetries": [
                {
                    "bravais": each.lattice.code,
                    "parameters": _rounded(each.lattice.parameters),
                    "deviation": round(each.lattice.deviation, 6),
                    "gain": round(each.gain, 2),
                    "errors": _rounded(each.errors),
                }
                for each in self.table
            ],
            "multiples": [{"index": each.index, "gain": round(each.gain, 2)} for each in self.multiples],
        }


@dataclass(frozen=True)
class CellSearch:
    """The outcome of a search for cells.

    Attributes
    ----------
    cells : list of FoundCell
        The cells in the order in which they were found; if several share the frames, those with most evidence first.
    candidates : list of Candidate
        All lattices that had a verdict, on all frames or on those left by the found cells.
    n_frames : int
        Number of frames with enough spots.
    median_spots : float
        Median number of spots of these frames.
    largest_support : int
        Largest number of frames that agreed on a lattice.
    left : (k,) int64
        Numbers of the frames without a crystal of any of the cells.
    """

    cells: list[FoundCell]
    candidates: list[Candidate]
    n_frames: int
    median_spots: float
    largest_support: int
    left: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that can be written as JSON."""
        return {
            "cells": [cell.as_dict() for cell in self.cells],
            "frames": self.n_frames,
            "median_spots": self.median_spots,
            "largest_support": self.largest_support,
            "left": len(self.left),
            "candidates": [candidate.as_dict() for candidate in self.candidates],
        }


def _rounded(numbers: Array) -> list[float | None]:
    return [round(float(x), 4) if np.isfinite(x) else None for x in numbers]
