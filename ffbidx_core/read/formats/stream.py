"""Reading of CrystFEL streams: their peak lists, geometry and unit cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...errors import CellError, InputError
from ...model.basis import ConventionalCells, as_given
from ...model.detector.panels import NO_PANEL, Geometry, Reading
from ...model.lattice import InputCell
from ...model.records.ragged import offsets_of
from ...ranges import HC
from ..cells.files import crystfel_cell
from ..files.compressed import mapped
from ..files.faults import Faults
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
_N_PEAKS = re.compile(r"^num_peaks = (\d+)", re.MULTILINE)
_EVENT = re.compile(r"^Event: (.*)$", re.MULTILINE)


@dataclass
class _Chunk:
    """A chunk of a stream: photon energy in eV, detector distance and shift in mm, and the peaks of its image."""

    name: str
    head: _Head
    energy: float = np.nan
    length: float = np.nan
    shift: tuple[float, float] = (0.0, 0.0)
    fs: list[float] = field(default_factory=list)
    ss: list[float] = field(default_factory=list)
    intensity: list[float] = field(default_factory=list)
    panel: list[int] = field(default_factory=list)


def stream_cell(path: str, head: str) -> InputCell | None:
    """The unit cell in the head of a stream, or None if it has none.

    Raises
    ------
    InputError
        If the cell cannot be used.
    """
    text = _section(head, *_CELL)
    try:
        return None if text is None else crystfel_cell(path, text)
    except CellError as error:
        raise InputError(path, f"{error}", "unit cell") from None


def _section(head: str, begin: str, end: str) -> str | None:
    """The text between two lines of a head, or None if they are missing."""
    _, found, rest = head.replace("\r\n", "\n").partition(begin + "\n")
    text, ended, _ = rest.partition(end)
    return text if found and ended else None


class _Head:
    """The head of a stream, or of one of several concatenated streams: geometry and cell of the chunks after it.

    Parameters
    ----------
    given
        Geometry that replaces the one in the head; None for that in the head.

    Raises
    ------
    InputError
        If there is no geometry, or the geometry or the cell cannot be used.
    """

    def __init__(self, path: str, text: str, given: Geometry | None) -> None:
        cell = stream_cell(path, text)
        # Cells of inputs are taken to be primitive; a centred one must be given to the run with its centring.
        self.cells: ConventionalCells | None = (
            None if cell is None or cell.lattice.centring not in "PR" else as_given(cell.cell[None])
        )
        lines = _section(text, *_GEOMETRY)
        if given is None and lines is not None:
            given = parse_geometry(f"{path}, geometry", lines)
        if given is None:
            raise InputError(path, NEEDS_GEOMETRY)
        self.geometry: Geometry = given
        self.panels = {panel.name: number for number, panel in enumerate(given.detector.panels)}
        self.wavelength, self.distance = WAVELENGTH.given(given), DISTANCE.given(given)
        self.placer = PeakPlacer(path, given)


class StreamFile:
    """A stream that is open for reading; a frame is a chunk. Each of several concatenated streams has its geometry.

    Parameters
    ----------
    path
        The stream.
    geometry
        Geometry of all chunks; None for the geometries in the heads of the stream.

    Raises
    ------
    InputError
        If the first head cannot be used.
    """

    format = "CrystFEL stream"
    units_assumed = False

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self.path, self._given = path, geometry
        self._map = mapped(path)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        begins = [match.start() for match in re.finditer(rb"^" + _CHUNK, self._map, re.MULTILINE)]
        self.n_frames, self._begins = len(begins), [*begins, len(self._map)]
        # The head of a stream that follows a truncated one may begin in the middle of a line.
        self._head_begins = [match.start() for match in re.finditer(SIGNATURE.encode(), self._map)]
        self._head_of = np.maximum(np.searchsorted(self._head_begins, begins, side="right") - 1, 0)
        # The first frame after each head that has frames.
        self.first_frames: list[int] = np.unique(self._head_of, return_index=True)[1].tolist()
        self._heads: dict[int, _Head] = {}
        self._same: dict[str, _Head] = {}
        first = self._head(0)
        self.cells: ConventionalCells | None = first.cells
        self.geometry: Geometry | None = first.geometry
        # Peaks in a stream are measured from the outer corner of the first pixel.
        self.half_pixel_shift: bool | None = bool(first.geometry.half_pixel_shift)

    def geometry_of(self, frame: int) -> Geometry:
        """The geometry of a frame, which the last head before it has."""
        return self._head(int(self._head_of[frame])).geometry

    def _head(self, number: int) -> _Head:
        """The head with a number in the file."""
        if number not in self._heads:
            begin = self._head_begins[number]
            end = self._begins[int(np.searchsorted(self._begins, begin))]
            text = self._map[begin : min(end, begin + 2 * LARGEST_GEOMETRY_FILE)].decode("utf-8", "replace")
            known = f"{_section(text, *_GEOMETRY)}{_section(text, *_CELL)}"
            if known not in self._same:
                self._same[known] = _Head(self.path, text, self._given)
            self._heads[number] = self._same[known]
        return self._heads[number]

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers.

        Raises
        ------
        InputError
            If a frame cannot be read; it is raised after the frames before it.
        """
        begin, chunks = 0, list[_Chunk]()
        for number in frames.tolist():
            try:
                chunk = self._chunk(number)
            except InputError:
                if chunks:
                    yield self._frames(frames[begin : begin + len(chunks)], chunks)
                raise
            if chunks and chunk.head is not chunks[-1].head:
                yield self._frames(frames[begin : begin + len(chunks)], chunks)
                begin, chunks = begin + len(chunks), []
            chunks.append(chunk)
        if chunks:
            yield self._frames(frames[begin:], chunks)

    def _frames(self, frames: NDArray[np.int64], chunks: list[_Chunk]) -> RawFrames:
        """Frames of chunks that share a head."""
        head = chunks[0].head
        shift = HALF_PIXEL if self.half_pixel_shift else 0.0
        fs, ss, intensity = (
            np.array([value for chunk in chunks for value in getattr(chunk, name)], dtype=np.float64)
            for name in ("fs", "ss", "intensity")
        )
        panel = np.array([value for chunk in chunks for value in chunk.panel], dtype=np.int64)
        if (panel == NO_PANEL).any():
            panel = head.geometry.detector.find_panels(fs + shift, ss + shift)
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
            None if head.geometry.shift == (None, None) else np.array([chunk.shift for chunk in chunks]),
        )
        return head.placer.frames(peaks, head.cells)

    def _chunk(self, number: int) -> _Chunk:
        place = f"frame {number}"
        text = self._map[slice(*self._begins[number : number + 2])].decode("utf-8", "replace").replace("\r\n", "\n")
        head, found, rest = text.partition(_PEAKS + "\n")
        table, ended, _ = rest.partition(_PEAKS_END)
        wrong = []
        if found and not ended:
            wrong.append("its peak list does not end: is the stream cut off?")
        elif not found and _CHUNK_END.decode() not in text:
            wrong.append("its chunk does not end: is the stream cut off?")
        elif not found and (claimed := _N_PEAKS.search(head)) is not None and int(claimed[1]) > 0:
            why = f"num_peaks = {claimed[1]}: run indexamajig without --no-peaks-in-stream"
            wrong.append(f"has no peak list, though {why}")
        image, event = _IMAGE.search(head), _EVENT.search(head)
        if image is None:
            wrong.append("has no line Image filename")
        faults = Faults([InputError(self.path, problem, place) for problem in wrong])
        name = f"{image[1].strip() if image else ''} {event[1].strip() if event and '//' in event[1] else '//'}"
        chunk = _Chunk(name, self._head(int(self._head_of[number])))
        for quantity, read in (("energy", self._energy), ("length", self._length), ("shift", self._shift)):
            with faults.collected():
                setattr(chunk, quantity, read(chunk.head, head, place))
        # What follows a peak list without an end is no peak.
        for line in table.splitlines()[1:] if ended else ():
            with faults.collected():
                self._peak(line, chunk, place)
        faults.raise_all()
        return chunk

    def _energy(self, own: _Head, head: str, place: str) -> float:
        """The photon energy in eV, or that of a wavelength given by hand."""
        if own.wavelength is not None:
            return HC / own.wavelength
        if (match := _ENERGY.search(head)) is None:
            raise InputError(self.path, "has no photon_energy_eV", place)
        return self._number(match[1], place)

    def _length(self, own: _Head, head: str, place: str) -> float:
        """The detector distance, mm."""
        if own.distance is not None:
            return own.distance
        if (match := _LENGTH.search(head)) is None:
            raise InputError(self.path, "has no average_camera_length, and its geometry no clen", place)
        return self._number(match[1], place) * 1e3 - own.geometry.detector.mean_offset

    def _shift(self, own: _Head, head: str, place: str) -> tuple[float, float]:
        """The displacement of the detector, mm, from numbers in the image's headers that the stream copies."""
        found = [0.0, 0.0]
        for axis, reading in enumerate(own.geometry.shift):
            if reading is not None:
                name = re.escape(reading.path.lstrip("/"))
                line = rf"^(?:header/(?:float|int)/|hdf5)/?{name} = (\S+)$"
                if (match := re.search(line, head, re.MULTILINE)) is None:
                    how = f"run indexamajig with --copy-header={reading.path}"
                    raise InputError(self.path, f"has no copy of the detector's shift {reading.path}: {how}", place)
                found[axis] = Reading(self._number(match[1], place), unit=reading.unit).millimetres
        return found[0], found[1]

    def _peak(self, line: str, chunk: _Chunk, place: str) -> None:
        """Add the peak in a line of the peak list to a chunk."""
        words = line.split()
        if len(words) not in (4, 5):
            raise InputError(self.path, f"{line.strip()[:40]!r} is not a peak: fs ss 1/d intensity panel", place)
        values = [self._number(word, place) for word in words[:4]]
        chunk.fs.append(values[0])
        chunk.ss.append(values[1])
        chunk.intensity.append(values[3])
        # Streams before version 2.3 name no panels.
        panel = chunk.head.panels.get(words[4]) if len(words) == 5 else NO_PANEL
        if panel is None:
            raise InputError(self.path, f"a peak is on the panel {words[4][:20]}, which the geometry lacks", place)
        chunk.panel.append(panel)

    def _number(self, word: str, place: str) -> float:
        """The number that a word represents."""
        try:
            return float(word)
        except ValueError:
            raise InputError(self.path, f"{word[:40]!r} is not a number", place) from None

    def close(self) -> None:
        """Close the file."""
        self._map.close()
