"""Reading of spot files as blocks of frames, in the order of the input and with bounded memory."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError, ParameterError
from ..model.detector.panels import GivenGeometry
from ..model.records.frame import FrameBlock, Place
from .ahead import in_order
from .files.content import is_growing
from .files.inputs import Source
from .files.probe import Prober
from .formats.open import open_spots
from .formats.spot_file import SpotFile
from .frames import MOST_SPOTS, Pause, RawFrames, frame_block
from .selection import Selection, readable_frames, unreadable_row
from .sift import ResolutionLimits, Sieve

if TYPE_CHECKING:
    from .arrays import SpotArrays
    from .growing.follow import Follower

FRAMES_PER_BLOCK = 1024
"""Default of the largest number of frames in a block."""
START = Place()
"""The place before the first frame of the input."""
MOST_FILES_COUNTED = 1000
"""Number of files above which their frames are not counted in advance."""
GROWS = "is open for writing, or was when its writer died: frames that are not whole yet are left out"
UNITS_ASSUMED = "no attribute units, 1/angstrom assumed (noted once)"


def read_blocks(
    sources: Sequence[Source],
    *,
    frames_per_block: int = FRAMES_PER_BLOCK,
    d_min: float | None = None,
    d_max: float | None = None,
    every: int = 1,
    max_frames: int | None = None,
    geometry: GivenGeometry | None = None,
    start: Place = START,
    end: int | None = None,
    by_intensity: bool = False,
    follow: Follower | None = None,
    arrays: SpotArrays | None = None,
    threads: int = 1,
    prober: Prober | None = None,
) -> Iterator[FrameBlock]:
    """Read the frames of the sources in their order, as blocks.

    Consecutive frames with the same input cells of their own share a block, even if they come from several files. A
    file that cannot be used becomes one row with the status UNREADABLE and a line in `problems`; a frame that cannot be
    read becomes such a row with its index.

    Parameters
    ----------
    sources
        Input files, or single frames of them.
    frames_per_block
        Largest number of frames in a block.
    d_min, d_max
        Limits of resolution, angstrom; spots outside are dropped. None for no limit.
    every
        Step of the selection: the frames 0, every, 2 every, ... of the whole input are taken.
    max_frames
        Largest number of frames that are taken; None for no limit.
    geometry
        Geometry for files that hold peaks in detector pixels; None for each file's own.
    start
        Place where reading begins: the start of the input, or the place after a frame of earlier blocks.
    end
        Position in the whole input before which reading stops; None for the end of the input.
    by_intensity
        Whether to sort the spots of each frame by falling intensity, if its file has intensities.
    follow
        Follower of files that grow or appear, whose files the sources are then. It yields blocks without frames while
        there is no new frame, see `FrameBlock.pause`.
    arrays
        Frames in memory, which are read instead of the sources.
    threads
        Number of threads that sift the spots of blocks, while the caller's thread reads the files; with 1 the caller's
        thread does both.
    prober
        Opens each file first, so that one that hangs does not delay the others.

    Yields
    ------
    FrameBlock

    Raises
    ------
    InputError
        While blocks are taken, if the only source cannot be used.
    ParameterError
        At once, if a limit or number is out of its range.
    """
    _check("frames_per_block", frames_per_block, 1)
    _check("every", every, 1)
    _check("max_frames", max_frames, 1)
    for name, value in (("d_min", d_min), ("d_max", d_max)):
        if value is not None and not 0 < value < float("inf"):
            raise ParameterError(name, value, "above 0 and finite, in angstrom")
    if d_min is not None and d_max is not None and d_min >= d_max:
        raise ParameterError("d_min", d_min, f"below d_max = {d_max:g}")
    selection = Selection(every, max_frames, start, end)
    frames: Iterator[RawFrames | Pause]
    if arrays is not None:
        frames = arrays.frames(selection, start, frames_per_block, geometry)
    elif follow is None:
        frames = _all_frames(sources, selection, start, frames_per_block, geometry, prober)
    else:
        frames = follow.frames(selection, start, frames_per_block, geometry)
    limits, sieve = ResolutionLimits(d_min, d_max), Sieve()

    def made(parts: list[RawFrames] | Pause) -> FrameBlock:
        if isinstance(parts, Pause):
            return FrameBlock.pause(parts.problems)
        return frame_block(parts, limits, by_intensity, sieve)

    # A run that follows its input sifts in one thread, so that a frame does not wait for later ones.
    return in_order(_gathered(frames, frames_per_block), made, threads if follow is None else 1)


def read_frames(
    sources: Sequence[Source],
    *,
    geometry: GivenGeometry | None = None,
    every: int = 1,
    max_frames: int | None = None,
    frames_at_once: int = FRAMES_PER_BLOCK,
) -> Iterator[RawFrames]:
    """Read the frames of the sources as they are in their files; see `read_blocks` for the parameters."""
    _check("every", every, 1)
    _check("max_frames", max_frames, 1)
    return _all_frames(sources, Selection(every, max_frames, START, None), START, frames_at_once, geometry)


def _check(name: str, value: int | None, low: int) -> None:
    """Check that a number, if it is given, is at least `low`."""
    if value is not None and value < low:
        raise ParameterError(name, value, f"at least {low}")


def _all_frames(
    sources: Sequence[Source],
    selection: Selection,
    start: Place,
    at_once: int,
    geometry: GivenGeometry | None,
    prober: Prober | None = None,
) -> Iterator[RawFrames]:
    """The frames of all sources, with one row for each file, or rest of a file, that cannot be read."""
    only = len(sources) == 1
    units_noted = False
    begin = start.frame
    numbered = itertools.islice(enumerate(sources), start.source, None)
    for path, group in itertools.groupby(numbered, lambda item: item[1].path):
        if selection.finished:
            return
        try:
            file = open_spots(path, geometry, prober)
        except InputError as error:
            if only:
                raise
            # One row stands for the file, however many of its frames were selected.
            number = max(number for number, _ in group)
            yield unreadable_row(path, str(error), Place(number + 1, 0, selection.position, selection.taken))
            begin = 0
            continue
        with contextlib.closing(file):
            grows = is_growing(path)
            for number, source in group:
                place = Place(number, begin, selection.position, selection.taken)
                begin = 0
                for raw in _frames(file, source, place, selection, at_once, only):
                    if file.units_assumed and not units_noted:
                        # The words are the same wherever in the input a run is resumed.
                        where = f"{path}, /spots" if only else "an input's /spots"
                        raw.problems.append(f"{where}: {UNITS_ASSUMED}")
                        units_noted = True
                    if grows:
                        raw.problems.append(f"{path}: {GROWS}")
                        grows = False
                    yield raw


def _frames(
    file: SpotFile, source: Source, place: Place, selection: Selection, at_once: int, only: bool
) -> Iterator[RawFrames]:
    """The selected frames of a source from a place on; an error becomes one row, unless the source is the only one."""
    first = place.frame if source.index is None else source.index
    any_read, taken = place.frame > 0, place.taken
    try:
        for raw in readable_frames(file, source, place, selection, at_once):
            any_read, taken = True, int(raw.places[-1, 3])
            yield raw
    except InputError as error:
        if only and not any_read:
            raise
        # The frames that are left out count as passed but not taken, wherever the slices begin.
        selection.position = place.position + (1 if source.index is not None else file.n_frames - first)
        selection.taken = taken
        rest = "; the rest of the file is left out" if any_read else ""
        behind = Place(place.source + 1, 0, selection.position, taken)
        yield unreadable_row(source.path, f"{error}{rest}", behind)


def _gathered(frames: Iterable[RawFrames | Pause], at_once: int) -> Iterator[list[RawFrames] | Pause]:
    """Groups of consecutive frames with the same input cells of their own, each of which becomes a block."""
    parts: list[RawFrames] = []
    n_frames = n_spots = 0
    cells: bytes | None = None
    for raw in frames:
        if isinstance(raw, Pause):
            if parts:
                yield parts
            parts, n_frames, n_spots, cells = [], 0, 0, None
            yield raw
            continue
        own = _cells_key(raw)
        full = n_frames + len(raw.indices) > at_once or n_spots + len(raw.spots) > MOST_SPOTS
        if parts and (full or (own is not None and cells is not None and own != cells)):
            yield parts
            parts, n_frames, n_spots, cells = [], 0, 0, None
        parts.append(raw)
        n_frames, n_spots = n_frames + len(raw.indices), n_spots + len(raw.spots)
        cells = cells if own is None else own
    if parts:
        yield parts


def _cells_key(raw: RawFrames) -> bytes | None:
    """A key that is equal for equal input cells of the file; None for rows that go with any cells."""
    if not raw.readable:
        return None
    return b"" if raw.cells is None else raw.cells.tobytes()


def count_frames(
    sources: Sequence[Source], geometry: GivenGeometry | None = None, prober: Prober | None = None
) -> int | None:
    """Number of frames in the sources; None for more than `MOST_FILES_COUNTED` files, which would take too long.

    A file that cannot be used counts as empty; the run reports the fault of the file.
    """
    whole = [source.path for source in sources if source.index is None]
    if len(whole) > MOST_FILES_COUNTED:
        return None
    n_frames = len(sources) - len(whole)
    for path in whole:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            n_frames += file.n_frames
    return n_frames
