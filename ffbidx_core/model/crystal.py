"""Crystals and the spots that are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .cell import Array, reciprocal
from .detector.beam_shift import Radian
from .detector.pixels import spots_of_moved_detector
from .lattice import primitive_basis

NO_CRYSTAL = -1


@dataclass(frozen=True)
class Crystals:
    """C crystals on F frames, with all N spots of these.

    Attributes
    ----------
    spots : (N, 3) float64
        Spots in reciprocal space, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns spots offsets[f]:offsets[f + 1].
    wavelength : (F,) float64
        Wavelength of each frame, angstrom.
    cells : (C, 3, 3) float64
        Oriented primitive cells, rows a, b, c, angstrom.
    crystal_offsets : (F + 1,) int64
        Frame f has the crystals crystal_offsets[f]:crystal_offsets[f + 1].
    input_cell : (C,) int64
        Row of `references` of the cell that each crystal was searched for with.
    references : (M, 3, 3) float64
        Primitive input cells, which crystals are strained copies of, angstrom.
    operators : sequence of (n, 3, 3) int64, M
        Symmetry operators of each reference's lattice.
    """

    spots: Array
    offsets: NDArray[np.int64]
    wavelength: Array
    cells: Array
    crystal_offsets: NDArray[np.int64]
    input_cell: NDArray[np.int64]
    references: Array
    operators: Sequence[NDArray[np.int64]]

    @property
    def frame_of_spot(self) -> NDArray[np.int64]:
        """Frame of each spot, (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Each crystal with each spot of its frame: rows of the spots, and of the crystals, which ascend."""
        frame = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.crystal_offsets))
        n = np.diff(self.offsets)[frame]
        crystal = np.repeat(np.arange(len(frame)), n)
        shift = self.offsets[:-1][frame] - (np.cumsum(n) - n)
        return np.arange(len(crystal)) + np.repeat(shift, n), crystal

    def corrected(self, shift: Radian, distance: float = 0.0) -> Crystals:
        """The same crystals with the spots that a moved detector gives."""
        wave = self.wavelength[self.frame_of_spot]
        return replace(self, spots=spots_of_moved_detector(self.spots, wave, shift, distance))


def miller_indices(spots: Array, cell: Array, centring: str = "P") -> NDArray[np.int64]:
    """Indices (n, 3) of the lattice points nearest to spots (n, 3), none that the centring forbids.

    Parameters
    ----------
    cell : (3, 3)
        Conventional cell, rows a, b, c.
    """
    # The lattice points are those with whole indices on the primitive basis.
    basis = primitive_basis(cell, centring)
    on_primitive = np.rint(spots @ (basis @ cell).T)
    return np.asarray(np.rint(on_primitive @ np.linalg.inv(basis).T), dtype=np.int64)


def assign_spots(
    spots: Array, cells: Array, centrings: Sequence[str], threshold: float, *, fractional: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which crystal each spot is of: the first that covers it.

    Parameters
    ----------
    spots : (n, 3)
        1/angstrom.
    cells : (k, 3, 3)
        Conventional cells, rows a, b, c, best first.
    threshold
        A crystal covers the spots nearer to its reflections than this, in 1/angstrom, or in indices where `fractional`.

    Returns
    -------
    crystal : (n,) int64
        NO_CRYSTAL where none covers the spot.
    hkl : (n, 3) int64
        Miller indices, zeros where there is no crystal.
    """
    crystal = np.full(len(spots), NO_CRYSTAL, dtype=np.int64)
    hkl = np.zeros((len(spots), 3), dtype=np.int64)
    for number, (cell, centring) in enumerate(zip(cells, centrings, strict=True)):
        indices = miller_indices(spots, cell, centring)
        if fractional:
            off = primitive_basis(cell, centring) @ cell
            distance = np.linalg.norm(spots @ off.T - np.rint(spots @ off.T), axis=1)
        else:
            distance = np.linalg.norm(spots - indices @ reciprocal(cell), axis=1)
        # The origin is a lattice point of every crystal, and no reflection.
        mine = (crystal == NO_CRYSTAL) & (distance < threshold) & (indices != 0).any(axis=1)
        crystal[mine], hkl[mine] = number, indices[mine]
    return crystal, hkl


def excitation_errors(hkl: NDArray[np.int64], cell: Array, wavelength: float) -> Array:
    """Distances (n,) of reflections from the Ewald sphere, 1/angstrom, positive outside; the beam runs along +z."""
    beam = np.array([0.0, 0.0, 1 / wavelength])
    return np.asarray(np.linalg.norm(hkl @ reciprocal(cell) + beam, axis=1) - 1 / wavelength)
