"""What a search for cells has found, and what it has tried."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..model.cell import Array, cell_parameters
from ..model.detector.beam_shift import BeamShift
from ..model.lattice import InputCell
from .symmetry import Symmetry


@dataclass(frozen=True)
class Candidate:
    """A lattice on which frames agree, with its verdict.

    Attributes
    ----------
    reach : float
        Longest vector of the search that gave it, angstrom.
    n_searched, support : int
        Frames that were searched, and those that had the lattice among their best ones.
    cell : (3, 3) float64
        Reduced, after learning.
    evidence, share : float
        -log10 of the number of false crystals expected, summed, and the share of the frames with a crystal, on frames
        that the lattice was not made from where there are enough.
    hits : int
        Number of these frames with a crystal.
    is_claim : bool
        Whether this is enough to say that the lattice, or a lattice of which it is a part, is there.
    """

    reach: float
    n_searched: int
    support: int
    cell: Array
    evidence: float
    share: float
    hits: int
    is_claim: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """A cell that is a part or a multiple of the one found, as a rival.

    Attributes
    ----------
    index : int
        Volume over that of the cell found: 2, 3, 4, or negative for the part of that index.
    gain : float
        Evidence less that of the cell found, on the same frames, both cells as they are.
    """

    index: int
    gain: float


@dataclass(frozen=True)
class FoundCell:
    """A cell that was found.

    Attributes
    ----------
    primitive : (3, 3) float64
        The reduced cell before any symmetry was forced on it.
    symmetry : Symmetry
        The symmetry that it is given.
    table : list of Symmetry
        All symmetries that it comes near to.
    multiples : list of Multiple
    support, n_searched : int
        Frames with the lattice among their best ones, and frames that were searched.
    rival : float
        Evidence of the best candidate that is not the lattice, a part or a multiple of it; 0 where there is none.
    claimed : float
        Evidence of the cell, as a candidate had it.
    n_frames : int
        Frames with spots enough that were there for this cell.
    shift : BeamShift
        How far the beam is from where it was taken to be, as the residuals of the crystals say.
    """

    primitive: Array
    symmetry: Symmetry
    table: list[Symmetry]
    multiples: list[Multiple]
    support: int
    n_searched: int
    rival: float
    claimed: float
    n_frames: int
    shift: BeamShift

    def with_type(self, code: str) -> FoundCell:
        """The cell with another Bravais type of its table.

        Raises
        ------
        UsageError
            Where the cell does not come near to the type.
        """
        symmetry = next((each for each in self.table if each.lattice.code == code), None)
        if symmetry is None:
            near = ", ".join(each.lattice.code for each in self.table)
            raise UsageError(f"--symmetry {code}: the cell does not come near to it; it may be {near}")
        return dataclasses.replace(self, symmetry=symmetry)

    @property
    def input_cell(self) -> InputCell:
        """The conventional cell as an input cell of a run."""
        return self.symmetry.lattice.input_cell

    @property
    def lengths(self) -> Array:
        """The conventional a, b, c in angstrom, (3,)."""
        return np.asarray(np.linalg.norm(self.input_cell.cell, axis=1))

    @property
    def evidence(self) -> float:
        """-log10 of the number of false crystals expected, summed over the crystals with the symmetric cell."""
        return self.symmetry.verdict.evidence

    @property
    def share(self) -> float:
        """Share of the frames with a crystal of this cell."""
        return self.symmetry.verdict.share

    @property
    def second_share(self) -> float:
        """Share of the frames with a crystal that have a second one."""
        counts = self.symmetry.verdict.n_crystals
        return float((counts[counts > 0] > 1).mean()) if (counts > 0).any() else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """The outcome of a search.

    Attributes
    ----------
    cells : list of FoundCell
        In the order in which they were found; most evidence first, where several share the frames.
    candidates : list of Candidate
        All lattices that had a verdict, on all frames and on those left by the cells found.
    n_frames : int
        Frames with spots enough.
    median_spots : float
        Spots of the median one of these frames.
    largest_support : int
        Most frames that agreed on a lattice.
    left : (k,) int64
        Frames without a crystal of any of the cells.
    """

    cells: list[FoundCell]
    candidates: list[Candidate]
    n_frames: int
    median_spots: float
    largest_support: int
    left: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
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
