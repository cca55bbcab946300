"""Whether a lattice is there: this program's own indexing with it, on frames that it was not made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import learn
from ..model.cell import Array, reciprocal
from ..model.misfit.equations import Spread
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..model.unknown.selling import reduced_cell
from ..parameters import Parameters
from .frames import Frames

INDEXED_WITHIN = 0.0025
"""Spots nearer to their predicted place count for the sublattices of a cell, 1/angstrom."""


@dataclass(frozen=True)
class Verdict:
    """A lattice with the crystals of it on some frames.

    Attributes
    ----------
    cell : (3, 3) float64
        The cell as it was learned from these frames; as it was given where it was to be kept.
    evidence : float
        -log10 of the number of false crystals expected, summed over the crystals.
    frames : (F,) int64
        The frames it was judged on.
    n_crystals : (F,) int64
        Crystals on each of them.
    crystals : (n, 3, 3) float64
        Cells of the crystals.
    fractional : (k, 3) float64
        Miller indices, not rounded, of all spots of the frames of the crystals, once for each crystal.
    spread : Spread or None
        The scatter of residuals and strains that the crystals were searched with.
    """

    cell: Array
    evidence: float
    frames: NDArray[np.int64]
    n_crystals: NDArray[np.int64]
    crystals: Array
    fractional: Array
    spread: Spread | None

    @property
    def indices(self) -> Array:
        """Miller indices (n, 3) of those spots that lie near to their predicted place."""
        rounded = np.rint(self.fractional)
        return np.asarray(rounded[is_near(self.fractional, self.cell) & np.any(rounded != 0, axis=1)])

    @property
    def hits(self) -> int:
        """Number of frames with a crystal."""
        return int((self.n_crystals > 0).sum())

    @property
    def share(self) -> float:
        """Share of the frames with a crystal."""
        return float((self.n_crystals > 0).mean()) if len(self.n_crystals) else 0.0


def is_near(fractional: Array, cell: Array) -> NDArray[np.bool_]:
    """Which spots lie near to their predicted place, given their indices (k, 3), not rounded, on a cell (3, 3)."""
    return np.asarray(np.linalg.norm((fractional - np.rint(fractional)) @ reciprocal(cell), axis=1) < INDEXED_WITHIN)


class Judge:
    """Judges lattices on frames of a run.

    Parameters
    ----------
    devices
        Compute the crystals.
    frames
        The frames of the run.
    eager
        Learn from few crystals of few spots, too.
    """

    WARY = Parameters.preset("best", retry=False)
    EAGER = WARY.replace(learn_min_spots=5, learn_min_crystals=5)

    def __init__(self, devices: Devices, frames: Frames, *, eager: bool = False) -> None:
        self._devices, self._frames = devices, frames
        self._p = self.EAGER if eager else self.WARY

    def __call__(self, cell: Array, chosen: NDArray[np.int64]) -> Verdict:
        """The verdict on a lattice (3, 3), whose cell and scatter are learned from the frames of these numbers."""
        some, start = self._frames.take(chosen), reduced_cell(cell)[None]
        lesson = learn(self._devices, some.spots, some.offsets, start, self._p)
        return self._verdict(lesson.cells, chosen, lesson.spread)

    def as_it_is(self, cell: Array, like: Verdict) -> Verdict:
        """The verdict on a cell (3, 3) that is kept as it is, with the frames and the scatter of another verdict."""
        return self._verdict(cell[None], like.frames, like.spread)

    def _verdict(self, cells: Array, chosen: NDArray[np.int64], spread: Spread | None) -> Verdict:
        some, plan = self._frames.take(chosen), SearchPlan.make(cells, self._p, spread)
        result = self._devices.index_frames(some.spots, some.offsets, plan, self._p, given_cells=cells)
        crystals = result.cells[result.crystals].astype(np.float64)
        evidence = float(-np.minimum(result.log10_false, 0).sum())
        counts, fractional = np.diff(result.crystal_offsets), _fractional(some, result, crystals)
        return Verdict(cells[0], evidence, chosen, counts, crystals, fractional, spread)

    def shapes(self, cell: Array, chosen: NDArray[np.int64]) -> Array:
        """The best crystal of each frame that has one, its shape fitted with a loose prior, (n, 3, 3).

        Parameters
        ----------
        cell
            As for a verdict; it is not learned.
        chosen
            Numbers of the frames.
        """
        some = self._frames.take(chosen)
        loose = self._p.replace(strain_prior=self._p.learn_prior, searches=1)
        result = self._devices.index_frames(some.spots, some.offsets, SearchPlan.make(cell[None], loose), loose)
        first = result.crystal_offsets[:-1][np.diff(result.crystal_offsets) > 0]
        return np.asarray(result.cells[result.crystals[first]], dtype=np.float64)


def _fractional(frames: Frames, result: BatchResult, crystals: Array) -> Array:
    """Miller indices (k, 3), not rounded, of all spots of the frame of each of crystals (n, 3, 3)."""
    frame = np.repeat(np.arange(frames.n_frames), np.diff(result.crystal_offsets))
    found = [
        frames.spots[frames.offsets[f] : frames.offsets[f + 1]].astype(np.float64) @ cell.T
        for f, cell in zip(frame, crystals, strict=True)
    ]
    return np.concatenate([np.zeros((0, 3)), *found])
