"""The sample of a diagnosis: frames spread evenly over a run, with their spots."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..model.basis import ChangeOfBasis, ConventionalCells, PrimitiveCells, as_primitive
from ..model.cell import Array, shortest_reciprocal, symmetry_operators
from ..model.crystal import Crystals
from ..model.detector.panels import Geometry
from ..model.detector.pixels import is_real, wavelength_of_spots
from ..model.plan import SYMMETRY_TOLERANCE
from ..model.records.frame import FrameStatus
from ..model.records.ragged import evenly, evenly_within, fuller_half, offsets_of
from ..read.indexed_frames import IndexedFrame, geometry_of, indexed_frames
from ..read.results import some_frames
from ..read.run_inputs import RunInputs
from .columns import USABLE, RunColumns

MOST_FRAMES = 2000
FEWEST_ON_SPHERE = 8
"""Smallest number of spots of a frame from which it is judged whether they lie on an Ewald sphere."""
MOST_SPOTS = 120_000
"""Largest number of spots of a sample; if frames have many spots, the sample has fewer frames."""


@dataclass
class Sample:
    """F frames of a run with their spots.

    Attributes
    ----------
    crystals : Crystals
        The crystals of all frames, with all spots except padding.
    status : (F,) uint8
        The `FrameStatus` of each frame.
    change : ChangeOfBasis
        The changes of basis between the M conventional input cells and their primitive cells.
    geometry : Geometry or None
        The geometry of the frames; None if they have none.
    distance : (F,) float64
        Detector distance of each frame, mm; nan if the input does not give it.
    on_sphere : float
        Share of the frames with `FEWEST_ON_SPHERE` spots whose wavelength is known, from the input or from the Ewald
        sphere of the spots; 1 if no frame has as many.
    missing : list of str
        Reasons why frames are missing, a line for each input file.
    """

    crystals: Crystals
    status: NDArray[np.uint8]
    change: ChangeOfBasis
    geometry: Geometry | None
    distance: Array
    on_sphere: float = 1.0
    missing: list[str] = field(default_factory=list)

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.status)

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Whether each frame has a crystal, (F,)."""
        return np.asarray(self.status == FrameStatus.INDEXED)

    @property
    def share_at_origin(self) -> float:
        """The share of the spots that lie nearer to the beam than any reflection of the input cells."""
        nearest = min(map(shortest_reciprocal, self.crystals.references))
        inside = np.linalg.norm(self.crystals.spots, axis=1) < nearest
        return float(inside.mean()) if len(inside) else 0.0

    def conventional_cell(self, reference: int) -> ConventionalCells:
        """The conventional input cell (3, 3) with the number `reference`, rows a, b, c, angstrom."""
        return self.change[reference].conventional(as_primitive(self.crystals.references[reference]))

    def some(self, most: int) -> Sample:
        """At most `most` of the frames, spread evenly."""
        return self._take(evenly(np.arange(self.n_frames), most))

    def with_most_spots(self, n: int) -> Sample:
        """`n` frames, spread evenly over the half of the frames that has more spots."""
        return self._take(np.sort(evenly(fuller_half(self.crystals.offsets), n)))

    def _take(self, chosen: NDArray[np.int64]) -> Sample:
        return Sample(
            self.crystals.take(chosen),
            self.status[chosen],
            self.change,
            self.geometry,
            self.distance[chosen],
            self.on_sphere,
            self.missing,
        )


def read_sample(path: str, found: RunColumns, inputs: RunInputs) -> Sample:
    """Read a sample of the usable frames, spread evenly over the run.

    Parameters
    ----------
    path
        Name of the results file.
    found
        The columns of this file, for all frames.
    inputs
        The inputs of the run, from which its spots are read again.
    """
    usable = np.flatnonzero(np.isin(found.status, USABLE))
    chosen = evenly_within(usable, found.n_spots[usable], MOST_FRAMES, MOST_SPOTS)
    change = inputs.change_of_basis(found.input_cells)
    gathered = _Gathered(change)
    missing, geometry = [], None
    for results in some_frames(path, chosen):
        try:
            for frame in indexed_frames([results], inputs):
                gathered.add(frame)
            if geometry is None:
                with contextlib.suppress(UsageError):
                    geometry = geometry_of(results, inputs)
        except InputError as error:
            if str(error) not in missing:
                missing.append(str(error))
    return gathered.sample(found, geometry, missing)


class _Gathered:
    """Gathers frames one after another."""

    def __init__(self, change: ChangeOfBasis) -> None:
        self._change = change
        self._spots: list[Array] = []
        self._frames: list[tuple[float, float, int, int]] = []
        self._cells: list[PrimitiveCells] = [as_primitive(np.zeros((0, 3, 3)))]
        self._rows: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]

    def add(self, frame: IndexedFrame) -> None:
        """Append a frame."""
        spots = frame.spots[is_real(frame.spots)]
        peaks = frame.peaks
        wavelength = float(peaks.wavelength[0]) if peaks is not None and peaks.wavelength[0] > 0 else None
        wavelength = wavelength or wavelength_of_spots(spots) or np.nan
        distance = np.nan if peaks is None else float(peaks.distance[0])
        self._spots.append(spots)
        self._frames.append((wavelength, distance, int(frame.status), len(frame.cells)))
        self._cells.append(self._change.primitive(frame.cells, frame.input_cell))
        self._rows.append(frame.input_cell)

    def sample(self, found: RunColumns, geometry: Geometry | None, missing: list[str]) -> Sample:
        """The sample of all gathered frames; a frame with unknown wavelength gets that of the others."""
        wavelength, distance, status, n_crystals = np.array(self._frames, dtype=np.float64).reshape(-1, 4).T
        known = np.isfinite(wavelength)
        wavelength = np.where(known, wavelength, np.median(wavelength[known]) if known.any() else 1.0)
        references = self._change.primitive(found.input_cells)
        counts = [0, *map(len, self._spots)]
        crystals = Crystals(
            np.concatenate([np.zeros((0, 3)), *self._spots]),
            np.cumsum(counts).astype(np.int64),
            wavelength,
            as_primitive(np.concatenate(self._cells)),
            offsets_of(n_crystals),
            np.concatenate(self._rows),
            references,
            [symmetry_operators(cell, SYMMETRY_TOLERANCE) for cell in references],
        )
        judged = known[np.diff(crystals.offsets) >= FEWEST_ON_SPHERE]
        share = float(judged.mean()) if len(judged) else 1.0
        return Sample(crystals, status.astype(np.uint8), self._change, geometry, distance, share, missing)
