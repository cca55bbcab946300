"""The selection of frames of the input, and the selected frames of one file with the places after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.records.frame import Place
from .files.inputs import Source
from .formats.spot_file import SpotFile
from .frames import RawFrames


class Selection:
    """A selection of frames of the whole input: every n-th frame, up to a number of frames or a position.

    Parameters
    ----------
    every
        Step of the selection.
    max_frames
        Largest number of selected frames; None for no limit.
    start
        Place where reading begins.
    end
        Position in the whole input before which the selection stops; None for the end of the input.
    """

    def __init__(self, every: int, max_frames: int | None, start: Place, end: int | None) -> None:
        self._every, self._most, self._end = every, max_frames, end
        self.position, self.taken = start.position, start.taken

    @property
    def finished(self) -> bool:
        """Whether no further frames are selected."""
        return self.taken == self._most or (self._end is not None and self.position >= self._end)

    def take(self, n: int) -> NDArray[np.int64]:
        """Numbers (k,) of the selected frames among the next n frames of the input, counted from the first of them."""
        inside = n if self._end is None else min(n, max(0, self._end - self.position))
        chosen = np.arange(-self.position % self._every, inside, self._every)
        if self._most is not None:
            chosen = chosen[: self._most - self.taken]
        self.position += n
        self.taken += len(chosen)
        return chosen


def readable_frames(
    file: SpotFile, source: Source, place: Place, selection: Selection, at_once: int, *, whole: bool = True
) -> Iterator[RawFrames]:
    """Read the selected frames of a source from a place on; a frame that cannot be read becomes a row of its own.

    Parameters
    ----------
    file
        The open spot file of the source.
    source
        The source: all frames of the file, or one of them.
    place
        Place where reading begins.
    selection
        Selection of frames.
    at_once
        Number of frames that are read at once.
    whole
        Whether the file is complete; a frame of a growing file that cannot be read now may be readable later.

    Raises
    ------
    InputError
        If a frame cannot be read in a file of one frame or in one that is not whole, after the frames before it.
    """
    first, taken = place.frame if source.index is None else source.index, place.taken
    read = _with_bad_frames if whole and file.n_frames > 1 else type(file).read
    for begin, n in _slices(file, source, place.frame, at_once):
        chosen = begin + selection.take(n)
        for raw in read(file, chosen) if len(chosen) else ():
            raw.places = _places(raw.indices, place, place.position - first, taken)
            taken += len(raw.indices)
            yield raw


def _with_bad_frames(file: SpotFile, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
    """The frames of a file with ascending numbers, in which a row stands for each frame that cannot be read."""
    at_once = len(frames)
    while len(frames):
        n_read = 0
        try:
            for raw in file.read(frames[:at_once]):
                n_read += len(raw.indices)
                yield raw
        except InputError as error:
            yield RawFrames.unreadable(file.path, str(error), int(frames[n_read]))
            # Bad frames often come together, so that the frames after one are read one by one at first.
            n_read, at_once = n_read + 1, 1
        else:
            at_once *= 2
        frames = frames[n_read:]


def _places(indices: NDArray[np.int64], place: Place, offset: int, taken: int) -> NDArray[np.int64]:
    """The places (F, 4) after the frames of a file whose frame 0 has the position `offset` in the whole input."""
    places = np.empty((len(indices), 4), np.int64)
    places[:, 0] = place.source
    places[:, 1] = indices + 1
    places[:, 2] = indices + 1 + offset
    places[:, 3] = np.arange(taken + 1, taken + 1 + len(indices))
    return places


def unreadable_row(path: str, problem: str, place: Place) -> RawFrames:
    """The row that stands for a file, or the rest of a file, that cannot be read; `place` is the place after it."""
    raw = RawFrames.unreadable(path, problem)
    raw.places = np.array([astuple(place)])
    return raw


def _slices(file: SpotFile, source: Source, first: int, at_once: int) -> Iterator[tuple[int, int]]:
    """The first frame and the number of frames of each slice of a source, from its frame `first` on."""
    if source.index is None:
        yield from ((begin, min(at_once, file.n_frames - begin)) for begin in range(first, file.n_frames, at_once))
    elif source.index < file.n_frames:
        if source.index >= first:
            yield source.index, 1
    elif source.event:
        raise InputError(source.path, f"has no event {source.event}: names are those of list_events")
    else:
        raise InputError(source.path, f"has no frame {source.index}: it holds {file.n_frames}, counted from 0")
