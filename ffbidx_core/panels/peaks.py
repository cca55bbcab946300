"""Peaks on a detector of many panels, with the crystals that were found on their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array
from ..model.crystal import Crystals
from ..model.detector.placed import PlacedPanels
from ..model.records.ragged import rows_of


@dataclass(frozen=True)
class IndexedPeaks:
    """F frames with N peaks and C crystals.

    Attributes
    ----------
    pixels : (N, 3) float64
        The fs and ss in the data from panel corners, corrected for parallax, and the number of the panel.
    offsets : (F + 1,) int64
        Frame f owns peaks offsets[f]:offsets[f + 1].
    wavelength : (F,) float64
        Wavelength of each frame, angstrom.
    farther : (F,) float64
        Distance of the detector beyond the median distance, mm.
    cells : (C, 3, 3) float64
        Oriented primitive cells, rows a, b, c, angstrom.
    crystal_offsets : (F + 1,) int64
        Frame f owns the crystals crystal_offsets[f]:crystal_offsets[f + 1].
    input_cell : (C,) int64
        Row of `references` of each crystal.
    references : (M, 3, 3) float64
        Primitive input cells, rows a, b, c, angstrom.
    operators : sequence of (n, 3, 3) int64, M
        Symmetry operators of the lattice of each reference.
    """

    pixels: Array
    offsets: NDArray[np.int64]
    wavelength: Array
    farther: Array
    cells: PrimitiveCells
    crystal_offsets: NDArray[np.int64]
    input_cell: NDArray[np.int64]
    references: PrimitiveCells
    operators: Sequence[NDArray[np.int64]]

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.offsets) - 1

    @property
    def n_crystals(self) -> int:
        """The number C of crystals."""
        return len(self.cells)

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Whether each frame has a crystal, (F,)."""
        return np.asarray(np.diff(self.crystal_offsets) > 0)

    @property
    def frame_of_peak(self) -> NDArray[np.int64]:
        """The number of the frame of each peak, (N,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.offsets))

    def spots(self, panels: PlacedPanels) -> Array:
        """The spots (N, 3), 1/angstrom, with the panels at the given positions."""
        frame = self.frame_of_peak
        return panels.spots(self.pixels, self.wavelength[frame], self.farther[frame])

    def as_crystals(self, panels: PlacedPanels) -> Crystals:
        """The frames with spots instead of peaks, for the panels at the given positions."""
        return Crystals(
            self.spots(panels),
            self.offsets,
            self.wavelength,
            self.cells,
            self.crystal_offsets,
            self.input_cell,
            self.references,
            self.operators,
        )

    def take(self, frames: NDArray[np.int64]) -> IndexedPeaks:
        """The frames with these numbers."""
        rows, offsets = rows_of(self.offsets, frames)
        crystals, crystal_offsets = rows_of(self.crystal_offsets, frames)
        return replace(
            self,
            pixels=self.pixels[rows],
            offsets=offsets,
            wavelength=self.wavelength[frames],
            farther=self.farther[frames],
            cells=as_primitive(self.cells[crystals]),
            crystal_offsets=crystal_offsets,
            input_cell=self.input_cell[crystals],
        )

    def with_crystals(
        self,
        cells: PrimitiveCells,
        crystal_offsets: NDArray[np.int64],
        input_cell: NDArray[np.int64],
        references: PrimitiveCells,
    ) -> IndexedPeaks:
        """The same peaks with other crystals, whose input cells have the same symmetry."""
        return replace(self, cells=cells, crystal_offsets=crystal_offsets, input_cell=input_cell, references=references)
