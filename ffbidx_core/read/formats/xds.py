"""Reading of the spots of XDS (SPOT.XDS)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.basis import ConventionalCells
from ...model.cell import Array
from ...model.detector.panels import Geometry
from ...model.records.ragged import offsets_of
from ..frames import RawFrames
from ..geometry.xds import CENTRE_OF_FIRST
from .peaks import PeakLists, PeakPlacer, needed_geometry
from .per_frame import DISTANCE, WAVELENGTH, Same

COLUMNS = (4, 5, 7, 8)
"""Possible numbers of columns in SPOT.XDS: x y z intensity, the segment if there are several, h k l if indexed."""
MOST_FRAMES = 10**7
"""Largest number of frames."""

MOST_WRONG_LINES = 0.5
"""Fraction of lines that are not spots above which the file is not one of XDS."""

_LOOKED_AT = 200
_FEWEST_WHOLE = 0.9
_USUAL_SPOT = 2.0
"""Upper limit of usual coordinates in reciprocal space, 1/angstrom; pixel coordinates are larger."""


def is_spot_xds(text: str) -> bool:
    """Whether a text is SPOT.XDS and not spots in reciprocal space with further columns."""
    rows = [line.split() for line in text[: 2**16].splitlines()[:_LOOKED_AT] if line.strip()]
    # The last line may be truncated.
    rows = rows[:-1] if len(text) > 2**16 else rows
    if not rows or len(rows[0]) not in COLUMNS:
        return False
    spots = [[_number(word) for word in row] for row in rows if len(row) == len(rows[0])]
    values = np.array([row for row in spots if np.isfinite(row).all()])
    # A few lines may be damaged.
    if len(values) < _FEWEST_WHOLE * len(rows):
        return False
    return bool((values[:, :3] >= 0).all() and np.median(values[:, :2]) > _USUAL_SPOT)


class SpotXdsFile:
    """The file SPOT.XDS, in which frame i has the spots with z between i and i + 1.

    Raises
    ------
    InputError
        If most lines are not spots, or there is no geometry.
    """

    format = "SPOT.XDS"
    units_assumed = False
    cells: ConventionalCells | None = None

    def __init__(self, path: str, text: str, geometry: Geometry | None) -> None:
        self.path = path
        geometry = needed_geometry(path, geometry)
        readings = (geometry.wavelength, geometry.distance)
        if any(reading is None or reading.value is None for reading in readings):
            raise InputError(path, "its geometry must have a wavelength and a distance that are numbers: XDS.INP has")
        self.geometry: Geometry | None = geometry
        shifted = geometry.half_pixel_shift
        # Positions count pixel centres from 1, unless the user says that they are measured from the corner.
        self.half_pixel_shift: bool | None = True if shifted is None else shifted
        values, self._notes = _numbers(path, text)
        frame = np.floor(values[:, 2]).astype(np.int64)
        if len(frame) and not (frame.min() >= 0 and frame.max() < MOST_FRAMES):
            raise InputError(path, f"has spots on image {frame.max()}; images 0 to {MOST_FRAMES} are read")
        order = np.argsort(frame, kind="stable")
        self._values = values[order]
        self.n_frames = int(frame.max(initial=-1)) + 1
        self._offsets = np.searchsorted(frame[order], np.arange(self.n_frames + 1))
        self._wavelength, self._distance = (
            Same(quantity.number(quantity.reading(path, geometry))) for quantity in (WAVELENGTH, DISTANCE)
        )
        self._placer = PeakPlacer(path, geometry)

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers."""
        parts = [self._values[self._offsets[f] : self._offsets[f + 1]] for f in frames]
        values = np.concatenate([np.zeros((0, self._values.shape[1])), *parts])
        shift = -CENTRE_OF_FIRST if self.half_pixel_shift else 0.0
        raw = self._placer.frames(
            PeakLists(
                frames,
                [""] * len(frames),
                values[:, 0] + shift,
                values[:, 1] + shift,
                offsets_of([len(part) for part in parts]),
                self._wavelength.of(frames),
                self._distance.of(frames),
                values[:, 3],
            )
        )
        raw.problems[:0], self._notes = self._notes, []
        yield raw

    def close(self) -> None:
        """Do nothing, since no file is open."""


def _numbers(path: str, text: str) -> tuple[Array, list[str]]:
    """The numbers in all lines, and notes on lines that are not spots, which add a spot of nan to their images.

    Raises
    ------
    InputError
        If most lines are not spots.
    """
    try:
        return np.loadtxt(text.splitlines(), ndmin=2), []
    except ValueError:
        pass
    lines = [line.split() for line in text.splitlines()]
    n_columns = len(next(words for words in lines if words))
    rows, notes = [], []
    for number, words in enumerate(lines, start=1):
        values = [_number(word) for word in words]
        if len(values) == n_columns and np.isfinite(values).all():
            rows.append(values)
        elif words:
            notes.append(f"{path}, line {number}: {' '.join(words)[:40]!r} is not a spot: x y z intensity")
            if len(values) > 2 and np.isfinite(values[2]):
                rows.append([np.nan, np.nan, values[2], *[0.0] * (n_columns - 3)])
    if len(notes) > MOST_WRONG_LINES * len(lines):
        raise InputError(path, notes[0].partition(": ")[2], notes[0].partition(": ")[0].rpartition(", ")[2])
    return np.array(rows), notes


def _number(word: str) -> float:
    """The number that a word represents, or nan."""
    try:
        return float(word)
    except ValueError:
        return np.nan
