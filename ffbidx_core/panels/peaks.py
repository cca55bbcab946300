"""Peaks on a detector of many panels, with the crystals found on their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
        fs and ss in the data, from panels' corners, freed of parallax, and the panel's number.
    offsets : (F + 1,) int64
        Frame f owns peaks offsets[f]:offsets[f + 1].
    wavelength : (F,) float64
        Angstrom.
    farther : (F,) float64
        How much farther than on the median frame the detector was, mm.
    cells : (C, 3, 3) float64
        Oriented primitive cells, rows a, b, c, angstrom.
    crystal_offsets : (F + 1,) int64
        Frame f has the crystals crystal_offsets[f]:crystal_offsets[f + 1].
    input_cell : (C,) int64
        Row of `references` that each crystal is of.
    references : (M, 3, 3) float64
        Primitive input cells.
    operators : sequence of (n, 3, 3) int64, M
        Symmetry operators of each reference's lattice.
    """

    pixels: Array
    offsets: NDArray[np.int64]
    wavelength: Array
    farther: Array
    cells: Array
    crystal_offsets: NDArray[np.int64]
    input_cell: NDArray[np.int64]
    references: Array
    operators: Sequence[NDArray[np.int64]]

    @property
    def n_frames(self) -> int:
        """F."""
        return len(self.offsets) - 1

    @property
    def n_crystals(self) -> int:
        """C."""
        return len(self.cells)

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Which frames have a crystal, (F,)."""
        return np.asarray(np.diff(self.crystal_offsets) > 0)

    @property
    def frame_of_peak(self) -> NDArray[np.int64]:
        """Frame of each peak, (N,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.offsets))

    def spots(self, panels: PlacedPanels) -> Array:
        """Spots (N, 3), 1/angstrom, with the panels where these are."""
        frame = self.frame_of_peak
        return panels.spots(self.pixels, self.wavelength[frame], self.farther[frame])

    def as_crystals(self, panels: PlacedPanels) -> Crystals:
        """The same with spots in the place of peaks."""
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
        """Some of the frames."""
        rows, offsets = rows_of(self.offsets, frames)
        crystals, crystal_offsets = rows_of(self.crystal_offsets, frames)
        return replace(
            self,
            pixels=self.pixels[rows],
            offsets=offsets,
            wavelength=self.wavelength[frames],
            farther=self.farther[frames],
            cells=self.cells[crystals],
            crystal_offsets=crystal_offsets,
            input_cell=self.input_cell[crystals],
        )

    def with_crystals(
        self, cells: Array, crystal_offsets: NDArray[np.int64], input_cell: NDArray[np.int64], references: Array
    ) -> IndexedPeaks:
        """The same peaks with other crystals, of other input cells that have the same symmetry."""
        return replace(self, cells=cells, crystal_offsets=crystal_offsets, input_cell=input_cell, references=references)
