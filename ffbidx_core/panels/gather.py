"""Gathering peaks and crystals for a fit, from results or from the first frames of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array, symmetry_operators
from ..model.detector.panels import Geometry, GivenGeometry
from ..model.detector.peaks import DetectorPeaks
from ..model.detector.placed import PlacedPanels
from ..model.plan import SYMMETRY_TOLERANCE
from ..model.records.frame import FrameBlock, FrameStatus
from ..model.records.ragged import evenly_within, offsets_of
from ..read.files.probe import Prober
from ..read.formats.open import open_spots
from ..read.formats.spot_file import SpotFile
from ..read.indexed_frames import IndexedFrame, file_geometry, indexed_frames
from ..read.results import read_column, some_frames
from ..read.run_inputs import RunInputs, open_again
from .peaks import IndexedPeaks

MOST_FRAMES = 2000
MOST_PEAKS = 120_000
"""Largest number of peaks of a sample; if frames have many peaks, the sample has fewer frames."""
USABLE = (FrameStatus.INDEXED, FrameStatus.NOT_INDEXED)
NO_PIXELS = "its spots have no pixels on a detector, so their panels are not known"


@dataclass
class Gatherer:
    """Gathers frames one after another, all on one detector.

    Attributes
    ----------
    geometry : Geometry or None
        The geometry of the first file.
    source : str
        Name of the first file.
    """

    geometry: Geometry | None = None
    source: str = ""
    _pixels: list[Array] = field(default_factory=lambda: [np.zeros((0, 3))])
    _frames: list[tuple[float, float]] = field(default_factory=list)
    _cells: list[PrimitiveCells] = field(default_factory=lambda: [as_primitive(np.zeros((0, 3, 3)))])
    _kinds: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, np.int64)])

    def look_at(self, file: SpotFile) -> None:
        """Set the geometry of the file whose frames come next.

        Raises
        ------
        InputError
            If its spots have no pixels, or its detector differs from that of earlier files.
        """
        try:
            geometry = file_geometry(file)
        except UsageError:
            raise InputError(file.path, NO_PIXELS) from None
        if self.geometry is None:
            self.geometry, self.source = geometry, file.path
        elif geometry.detector != self.geometry.detector:
            raise InputError(
                file.path, "has another detector than the earlier inputs: refine their geometries one by one"
            )

    def add(self, peaks: DetectorPeaks, cells: PrimitiveCells, kinds: NDArray[np.int64]) -> None:
        """Append a frame with its primitive cells (k, 3, 3) and the numbers (k,) of their input cells."""
        pixels = peaks.pixels[np.isfinite(peaks.pixels).all(axis=1)]
        wavelength, distance = float(peaks.wavelength[0]), float(peaks.distance[0])
        if not (wavelength > 0 and np.isfinite(distance)):
            pixels, wavelength, distance = pixels[:0], np.nan, np.nan
        self._pixels.append(pixels)
        self._frames.append((wavelength, distance))
        self._cells.append(cells)
        self._kinds.append(kinds)

    def done(self, references: PrimitiveCells) -> Gathered:
        """All gathered frames; `references` (M, 3, 3) are the primitive input cells."""
        assert self.geometry is not None
        wavelength, distances = np.array(self._frames, dtype=np.float64).reshape(-1, 2).T
        known = np.isfinite(distances)
        distance = float(np.median(distances[known])) if known.any() else np.nan
        wavelength = np.where(known, wavelength, np.median(wavelength[known]) if known.any() else 1.0)
        peaks = IndexedPeaks(
            without_parallax(self.geometry, np.concatenate(self._pixels), distance),
            offsets_of([len(pixels) for pixels in self._pixels[1:]]),
            wavelength,
            np.where(known, distances - distance, 0.0),
            as_primitive(np.concatenate(self._cells)),
            offsets_of([len(cells) for cells in self._cells[1:]]),
            np.concatenate(self._kinds),
            references,
            [symmetry_operators(cell, SYMMETRY_TOLERANCE) for cell in references],
        )
        return Gathered(self.geometry, distance, peaks, self.source)


@dataclass(frozen=True)
class Gathered:
    """A sample of the frames of a run with their peaks on the detector.

    Attributes
    ----------
    geometry : Geometry
        The geometry of the frames.
    distance : float
        Median detector distance as defined in its file, mm.
    peaks : IndexedPeaks
        The peaks and crystals of the frames.
    source : str
        Name of the first input.
    """

    geometry: Geometry
    distance: float
    peaks: IndexedPeaks
    source: str = ""

    @property
    def panels(self) -> PlacedPanels:
        """The panels at the positions in the geometry."""
        return PlacedPanels.of(self.geometry.detector, self.distance)


def without_parallax(geometry: Geometry, pixels: Array, distance: float) -> Array:
    """The pixels (n, 3) at which the rays enter the sensors."""
    panels = geometry.detector.panels
    if len(pixels) == 0 or not any(all(panel.sensor) for panel in panels):
        return pixels
    sizes = np.array([[np.linalg.norm(panel.fast), np.linalg.norm(panel.slow)] for panel in panels])
    first = np.array([panel.first for panel in panels])
    panel = pixels[:, 2].astype(np.int64)
    entered = geometry.detector.on_panels(pixels, distance) / sizes[panel] + first[panel]
    return np.column_stack([entered, pixels[:, 2]])


def of_results(path: str, inputs: RunInputs, most: int = MOST_FRAMES) -> Gathered:
    """Gather a sample of the frames of a results file, spread evenly over the run, with its crystals.

    Parameters
    ----------
    most
        Largest number of frames.

    Raises
    ------
    InputError
        If spots cannot be read or have no pixels.
    """
    status, n_spots = read_column(path, "status"), read_column(path, "n_spots")
    usable = np.flatnonzero(np.isin(status, USABLE))
    if len(usable) == 0:
        raise InputError(path, "has no frame that was searched for crystals")
    chosen = evenly_within(usable, n_spots[usable], most, MOST_PEAKS)
    gatherer = Gatherer()
    references = as_primitive(np.zeros((0, 3, 3)))
    for results in some_frames(path, chosen):
        change = inputs.change_of_basis(results.input_cells)
        references = change.primitive(results.input_cells)
        with contextlib.closing(open_again(results.source[0], inputs)) as file:
            gatherer.look_at(file)
        for frame in indexed_frames([results], inputs):
            cells = change.primitive(frame.cells, frame.input_cell)
            gatherer.add(_peaks_of(frame), cells, frame.input_cell)
    return gatherer.done(references)


def _peaks_of(frame: IndexedFrame) -> DetectorPeaks:
    if frame.peaks is None:
        raise InputError(frame.source, NO_PIXELS)
    return frame.peaks


def of_blocks(
    blocks: Sequence[FrameBlock],
    geometry: GivenGeometry | None,
    references: PrimitiveCells,
    prober: Prober | None = None,
) -> Gathered:
    """Gather frames that a run has read, without crystals; their peaks are read again.

    Raises
    ------
    InputError
        If the frames have no pixels.
    """
    gatherer = Gatherer()
    for source, indices in _by_source(blocks):
        with contextlib.closing(open_spots(source, geometry, prober)) as file:
            gatherer.look_at(file)
            for raw in file.read(np.unique(indices)):
                if raw.peaks is None:
                    raise InputError(source, NO_PIXELS)
                for i, (begin, end) in enumerate(zip(raw.offsets[:-1], raw.offsets[1:], strict=True)):
                    peaks = raw.peaks[slice(int(begin), int(end)), slice(i, i + 1)]
                    gatherer.add(peaks, as_primitive(np.zeros((0, 3, 3))), np.zeros(0, np.int64))
    if gatherer.geometry is None:
        raise InputError("the first frames", "there are none that can be read")
    return gatherer.done(references)


def _by_source(blocks: Sequence[FrameBlock]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each input with its usable frames."""
    found: dict[str, list[int]] = {}
    for block in blocks:
        for f in np.flatnonzero(block.status == FrameStatus.NOT_INDEXED).tolist():
            found.setdefault(block.sources[f], []).append(int(block.indices[f]))
    yield from ((source, np.array(indices)) for source, indices in found.items())
