"""The verdict whether a lattice is there, from indexing with it, if possible on frames without part in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import learn
from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array, reciprocal
from ..model.misfit.equations import Spread
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..model.unknown.selling import reduced_cell
from ..parameters import Parameters
from .frames import Frames

INDEXED_WITHIN = 0.0025
"""Distance from the predicted position, 1/angstrom, within which spots count for the sublattices of a cell."""


@dataclass(frozen=True)
class Verdict:
    """A lattice with its crystals on some frames.

    Attributes
    ----------
    cell : (3, 3) float64
        The cell learned from these frames, or the given cell if it was to be kept; rows a, b, c, angstrom.
    evidence : float
        Sum of -log10 of the expected numbers of false crystals over the crystals.
    frames : (F,) int64
        Numbers of the frames on which the lattice was judged.
    n_crystals : (F,) int64
        Number of crystals on each of these frames.
    crystals : (n, 3, 3) float64
        Oriented cells of the crystals, rows a, b, c, angstrom.
    fractional : (k, 3) float64
        Unrounded Miller indices of all spots on the frame of each crystal, once for each crystal.
    spread : Spread or None
        The scatter of residuals and strains with which the crystals were searched for.
    """

    cell: PrimitiveCells
    evidence: float
    frames: NDArray[np.int64]
    n_crystals: NDArray[np.int64]
    crystals: PrimitiveCells
    fractional: Array
    spread: Spread | None

    @property
    def indices(self) -> Array:
        """The Miller indices (n, 3) of the spots near their predicted positions."""
        rounded = np.rint(self.fractional)
        return np.asarray(rounded[is_near(self.fractional, self.cell) & np.any(rounded != 0, axis=1)])

    @property
    def hits(self) -> int:
        """The number of frames with a crystal."""
        return int((self.n_crystals > 0).sum())

    @property
    def share(self) -> float:
        """The share of the frames with a crystal."""
        return float((self.n_crystals > 0).mean()) if len(self.n_crystals) else 0.0


def is_near(fractional: Array, cell: Array) -> NDArray[np.bool_]:
    """Whether spots are near their predicted positions, from their unrounded indices (k, 3) on a cell (3, 3)."""
    return np.asarray(np.linalg.norm((fractional - np.rint(fractional)) @ reciprocal(cell), axis=1) < INDEXED_WITHIN)


class Judge:
    """The judge of lattices on the frames of a run.

    Parameters
    ----------
    devices
        The devices that compute the crystals.
    frames
        The frames of the run.
    eager
        Whether to learn also from few crystals with few spots.
    """

    WARY = Parameters.preset("best", retry=False)
    EAGER = WARY.replace(learn_min_spots=5, learn_min_crystals=5)

    def __init__(self, devices: Devices, frames: Frames, *, eager: bool = False) -> None:
        self._devices, self._frames = devices, frames
        self._p = self.EAGER if eager else self.WARY

    def __call__(self, cell: PrimitiveCells, chosen: NDArray[np.int64]) -> Verdict:
        """The verdict on a lattice (3, 3), whose cell and scatter are learned from the frames `chosen`."""
        some, start = self._frames.take(chosen), as_primitive(reduced_cell(cell)[None])
        lesson = learn(self._devices, some.spots, some.offsets, start, self._p)
        return self._verdict(lesson.cells, chosen, lesson.spread)

    def as_it_is(self, cell: PrimitiveCells, like: Verdict) -> Verdict:
        """The verdict on a cell (3, 3) that is not learned, with the frames and the scatter of another verdict."""
        return self._verdict(as_primitive(cell[None]), like.frames, like.spread)

    def _verdict(self, cells: PrimitiveCells, chosen: NDArray[np.int64], spread: Spread | None) -> Verdict:
        some, plan = self._frames.take(chosen), SearchPlan.make(cells, self._p, spread)
        result = self._devices.index_frames(some.spots, some.offsets, plan, self._p, given_cells=cells)
        crystals = as_primitive(result.cells[result.crystals].astype(np.float64))
        evidence = float(-np.minimum(result.log10_false, 0).sum())
        counts, fractional = np.diff(result.crystal_offsets), _fractional(some, result, crystals)
        return Verdict(as_primitive(cells[0]), evidence, chosen, counts, crystals, fractional, spread)

    def shapes(self, cell: PrimitiveCells, chosen: NDArray[np.int64]) -> PrimitiveCells:
        """The best crystal of each frame that has one, with its shape fitted with a loose prior, (n, 3, 3).

        Parameters
        ----------
        cell
            The cell (3, 3) of the crystals, rows a, b, c, angstrom; it is not learned.
        chosen
            Numbers of the frames.
        """
        some = self._frames.take(chosen)
        loose = self._p.replace(strain_prior=self._p.learn_prior, searches=1)
        plan = SearchPlan.make(as_primitive(cell[None]), loose)
        result = self._devices.index_frames(some.spots, some.offsets, plan, loose)
        first = result.crystal_offsets[:-1][np.diff(result.crystal_offsets) > 0]
        return as_primitive(np.asarray(result.cells[result.crystals[first]], dtype=np.float64))


def _fractional(frames: Frames, result: BatchResult, crystals: PrimitiveCells) -> Array:
    """The unrounded Miller indices (k, 3) of all spots on the frame of each of the crystals (n, 3, 3)."""
    frame = np.repeat(np.arange(frames.n_frames), np.diff(result.crystal_offsets))
    found = [
        frames.spots[frames.offsets[f] : frames.offsets[f + 1]].astype(np.float64) @ cell.T
        for f, cell in zip(frame, crystals, strict=True)
    ]
    return np.concatenate([np.zeros((0, 3)), *found])
