"""CrystFEL streams: their peak lists, geometry and unit cell."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import CellError, InputError
from ...model.cell import Array
from ...model.detector.panels import NO_PANEL, Geometry
from ...model.detector.units import HC
from ...model.lattice import InputCell
from ...model.records.ragged import offsets_of
from ..cells.files import crystfel_cell
from ..frames import RawFrames
from ..geometry.any import parse_geometry
from ..geometry.crystfel import LARGEST_GEOMETRY_FILE
from .peaks import HALF_PIXEL, NEEDS_GEOMETRY, PeakLists, PeakPlacer
from .per_frame import DISTANCE, WAVELENGTH

SIGNATURE = "CrystFEL stream format"

_CHUNK, _CHUNK_END = b"----- Begin chunk -----", b"----- End chunk -----"
_PEAKS, _PEAKS_END = "Peaks from peak search", "End of peak list"
_GEOMETRY = ("----- Begin geometry file -----", "----- End geometry file -----")
_CELL = ("----- Begin unit cell -----", "----- End unit cell -----")
_ENERGY = re.compile(r"^photon_energy_eV = (\S+)", re.MULTILINE)
_LENGTH = re.compile(r"^average_camera_length = (\S+) m", re.MULTILINE)
_IMAGE = re.compile(r"^Image filename: (.*)$", re.MULTILINE)
_EVENT = re.compile(r"^Event: (.*)$", re.MULTILINE)


@dataclass
class _Chunk:
    name: str
    energy: float
    length: float
    fs: list[float]
    ss: list[float]
    intensity: list[float]
    panel: list[int]


def stream_cell(path: str, head: str) -> InputCell | None:
    """The unit cell in the head of a stream, or None."""
    text = _section(head, *_CELL)
    try:
        return None if text is None else crystfel_cell(path, text)
    except CellError as error:
        raise InputError(path, f"{error}", "unit cell") from None


def _section(head: str, begin: str, end: str) -> str | None:
    _, found, rest = head.partition(begin + "\n")
    text, ended, _ = rest.partition(end)
    return text if found and ended else None


class StreamFile:
    """A stream opened for reading; a frame is a chunk.

    Parameters
    ----------
    geometry
        None: the geometry in the head of the stream.

    Raises
    ------
    InputError
        When its head cannot be used.
    """

    format = "CrystFEL stream"
    units_assumed = False

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self._begins = [match.start() for match in re.finditer(rb"^" + _CHUNK, self._map, re.MULTILINE)]
        self.n_frames = len(self._begins)
        end = self._begins[0] if self._begins else len(self._map)
        head = self._map[: min(end, 2 * LARGEST_GEOMETRY_FILE)].decode("utf-8", "replace")
        cell = stream_cell(path, head)
        # A centred cell has to be given, so that its centring is known to the search.
        self.cells: Array | None = None if cell is None or cell.lattice.centring not in "PR" else cell.cell[None]
        text = _section(head, *_GEOMETRY)
        if geometry is None and text is not None:
            geometry = parse_geometry(f"{path}, geometry", text)
        if geometry is None:
            raise InputError(path, NEEDS_GEOMETRY)
        self.geometry: Geometry | None = geometry
        # Peaks of a stream are measured from corners.
        self.half_pixel_shift: bool | None = bool(geometry.half_pixel_shift)
        self._detector = geometry.detector
        self._panels = {panel.name: number for number, panel in enumerate(self._detector.panels)}
        self._given_wavelength, self._given_distance = WAVELENGTH.given(geometry), DISTANCE.given(geometry)
        self._placer = PeakPlacer(path, self._detector)

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Some of the frames, ascending.

        Raises
        ------
        InputError
            Naming the first frame that cannot be read, after those before it.
        """
        chunks: list[_Chunk] = []
        for number in frames.tolist():
            try:
                chunks.append(self._chunk(number))
            except InputError:
                if chunks:
                    yield self._frames(frames[: len(chunks)], chunks)
                raise
        if chunks:
            yield self._frames(frames, chunks)

    def _frames(self, frames: NDArray[np.int64], chunks: list[_Chunk]) -> RawFrames:
        shift = HALF_PIXEL if self.half_pixel_shift else 0.0
        fs, ss, intensity = (
            np.array([value for chunk in chunks for value in getattr(chunk, name)], dtype=np.float64)
            for name in ("fs", "ss", "intensity")
        )
        panel = np.array([value for chunk in chunks for value in chunk.panel], dtype=np.int64)
        if (panel == NO_PANEL).any():
            panel = self._detector.find_panels(fs + shift, ss + shift)
        with np.errstate(divide="ignore"):
            wavelength = HC / np.array([chunk.energy for chunk in chunks])
        peaks = PeakLists(
            frames,
            [chunk.name for chunk in chunks],
            fs + shift,
            ss + shift,
            offsets_of([len(chunk.fs) for chunk in chunks]),
            wavelength,
            np.array([chunk.length for chunk in chunks]),
            intensity,
            panel,
        )
        return self._placer.frames(peaks, self.cells)

    def _chunk(self, number: int) -> _Chunk:
        place = f"frame {number}"
        begin = self._begins[number]
        end = self._begins[number + 1] if number + 1 < self.n_frames else len(self._map)
        text = self._map[begin:end].decode("utf-8", "replace")
        head, found, rest = text.partition(_PEAKS + "\n")
        table, ended, _ = rest.partition(_PEAKS_END)
        if found and not ended:
            raise InputError(self.path, "its peak list does not end: is the stream cut off?", place)
        if not found and _CHUNK_END.decode() not in text:
            raise InputError(self.path, "its chunk does not end: is the stream cut off?", place)
        image, event = _IMAGE.search(head), _EVENT.search(head)
        if image is None:
            raise InputError(self.path, "has no line Image filename", place)
        name = f"{image[1].strip()} {event[1].strip() if event and '//' in event[1] else '//'}"
        chunk = _Chunk(name, self._energy(head, place), self._length(head, place), [], [], [], [])
        for line in table.splitlines()[1:]:
            self._peak(line, chunk, place)
        return chunk

    def _energy(self, head: str, place: str) -> float:
        """Photon energy, eV; a wavelength given by hand takes the place of the stream's."""
        if self._given_wavelength is not None:
            return HC / self._given_wavelength
        match = _ENERGY.search(head)
        if match is None:
            raise InputError(self.path, "has no photon_energy_eV", place)
        return self._number(match[1], place)

    def _length(self, head: str, place: str) -> float:
        """Distance of the detector, mm."""
        if self._given_distance is not None:
            return self._given_distance
        match = _LENGTH.search(head)
        if match is None:
            raise InputError(self.path, "has no average_camera_length, and its geometry no clen", place)
        return self._number(match[1], place) * 1e3 - self._detector.mean_offset

    def _peak(self, line: str, chunk: _Chunk, place: str) -> None:
        words = line.split()
        if len(words) not in (4, 5):
            raise InputError(self.path, f"{line.strip()[:40]!r} is no peak: fs ss 1/d intensity panel", place)
        values = [self._number(word, place) for word in words[:4]]
        chunk.fs.append(values[0])
        chunk.ss.append(values[1])
        chunk.intensity.append(values[3])
        # Streams before 2.3 name no panels.
        panel = self._panels.get(words[4]) if len(words) == 5 else NO_PANEL
        if panel is None:
            raise InputError(self.path, f"a peak is on the panel {words[4][:20]}, which the geometry has not", place)
        chunk.panel.append(panel)

    def _number(self, word: str, place: str) -> float:
        try:
            return float(word)
        except ValueError:
            raise InputError(self.path, f"{word[:40]!r} is no number", place) from None

    def close(self) -> None:
        """Close the file."""
        self._map.close()
