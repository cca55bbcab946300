"""Crystals, the spots of their frames, and the assignment of spots to crystals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .basis import ChangeOfBasis, ConventionalCells, PrimitiveCells, as_given, as_primitive
from .cell import Array, reciprocal
from .detector.beam_shift import Radian
from .detector.distortion import NO_DISTORTION, Distortion
from .detector.pixels import spots_of_moved_detector
from .records.ragged import rows_of

NO_CRYSTAL = -1


@dataclass(frozen=True)
class Crystals:
    """C crystals on F frames, with all N spots of these frames.

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
        Row of `references` that holds the input cell of each crystal.
    references : (M, 3, 3) float64
        Primitive input cells, angstrom; each crystal is a rotated and slightly strained copy of one.
    operators : sequence of (n, 3, 3) int64, M
        Symmetry operators of each reference's lattice.
    """

    spots: Array
    offsets: NDArray[np.int64]
    wavelength: Array
    cells: PrimitiveCells
    crystal_offsets: NDArray[np.int64]
    input_cell: NDArray[np.int64]
    references: PrimitiveCells
    operators: Sequence[NDArray[np.int64]]

    @property
    def frame_of_spot(self) -> NDArray[np.int64]:
        """Number of the frame of each spot, (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every pair of a crystal and a spot of its frame: row of the spot and row of the crystal, both (P,).

        The rows of the crystals ascend.
        """
        frame = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.crystal_offsets))
        n = np.diff(self.offsets)[frame]
        crystal = np.repeat(np.arange(len(frame)), n)
        shift = self.offsets[:-1][frame] - (np.cumsum(n) - n)
        return np.arange(len(crystal)) + np.repeat(shift, n), crystal

    def take(self, frames: NDArray[np.int64]) -> Crystals:
        """The frames with these numbers, with their spots and crystals."""
        spots, offsets = rows_of(self.offsets, frames)
        crystals, crystal_offsets = rows_of(self.crystal_offsets, frames)
        return replace(
            self,
            spots=self.spots[spots],
            offsets=offsets,
            wavelength=self.wavelength[frames],
            cells=as_primitive(self.cells[crystals]),
            crystal_offsets=crystal_offsets,
            input_cell=self.input_cell[crystals],
        )

    def corrected(self, shift: Radian, distance: float = 0.0, distortion: Distortion = NO_DISTORTION) -> Crystals:
        """The same crystals, with the spots where a moved detector puts them.

        Parameters
        ----------
        shift
            Beam shift, radian.
        distance
            Relative excess of the assumed detector distance over the true one.
        distortion
            Stretch and tilt of the true detector relative to the assumed one.
        """
        wave = self.wavelength[self.frame_of_spot]
        return replace(self, spots=spots_of_moved_detector(self.spots, wave, shift, distance, distortion))


def miller_indices(spots: Array, cell: ConventionalCells, centring: str = "P") -> NDArray[np.int64]:
    """Miller indices of the lattice points nearest to spots, none of them extinct by the centring.

    Parameters
    ----------
    spots : (n, 3)
        Spots in reciprocal space, 1/angstrom.
    cell : (3, 3)
        Oriented conventional cell, rows a, b, c, angstrom.
    centring
        Centring letter of the cell.

    Returns
    -------
    (n, 3) int64
    """
    # Lattice points are the points with integer indices on the primitive basis.
    change = ChangeOfBasis.of(cell, centring)
    on_primitive = np.rint(spots @ change.primitive(cell).T)
    return np.asarray(np.rint(on_primitive @ change.to_conventional.T), dtype=np.int64)


def assign_spots(
    spots: Array, cells: ConventionalCells, centrings: Sequence[str], threshold: float, *, fractional: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assign each spot to the first crystal that indexes it.

    Parameters
    ----------
    spots : (n, 3)
        Spots of one frame in reciprocal space, 1/angstrom.
    cells : (k, 3, 3)
        Oriented conventional cells of the frame's crystals, rows a, b, c, angstrom, the best crystal first.
    centrings
        Centring letter of each cell.
    threshold
        A crystal indexes a spot that is closer than this to one of its reflections: a distance in 1/angstrom, or with
        `fractional` the norm of the deviation in indices on the primitive basis.

    Returns
    -------
    crystal : (n,) int64
        Row of the crystal, or NO_CRYSTAL if none indexes the spot.
    hkl : (n, 3) int64
        Miller indices of the spot on its crystal; zeros if it has none.
    """
    crystal = np.full(len(spots), NO_CRYSTAL, dtype=np.int64)
    hkl = np.zeros((len(spots), 3), dtype=np.int64)
    for number, (cell, centring) in enumerate(zip(map(as_given, cells), centrings, strict=True)):
        indices = miller_indices(spots, cell, centring)
        if fractional:
            off = ChangeOfBasis.of(cell, centring).primitive(cell)
            distance = np.linalg.norm(spots @ off.T - np.rint(spots @ off.T), axis=1)
        else:
            distance = np.linalg.norm(spots - indices @ reciprocal(cell), axis=1)
        # The origin is a lattice point of every crystal but not a reflection.
        mine = (crystal == NO_CRYSTAL) & (distance < threshold) & (indices != 0).any(axis=1)
        crystal[mine], hkl[mine] = number, indices[mine]
    return crystal, hkl


def excitation_errors(hkl: NDArray[np.int64], cell: Array, wavelength: float) -> Array:
    """Excitation errors of reflections: their distances from the Ewald sphere, positive outside the sphere.

    Parameters
    ----------
    hkl : (n, 3)
        Miller indices.
    cell : (3, 3)
        Oriented cell, rows a, b, c, angstrom; the beam runs along +z.
    wavelength
        Wavelength of the beam, angstrom.

    Returns
    -------
    (n,) float64
        Excitation errors, 1/angstrom.
    """
    beam = np.array([0.0, 0.0, 1 / wavelength])
    return np.asarray(np.linalg.norm(hkl @ reciprocal(cell) + beam, axis=1) - 1 / wavelength)
