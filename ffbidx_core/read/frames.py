"""Frames as files have them, and what is left out before they are indexed."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.detector.peaks import DetectorPeaks
from ..model.records.batch import LARGEST_SPOT
from ..model.records.frame import FrameBlock, FrameStatus
from ..model.records.names import Names
from ..model.records.ragged import offsets_of
from .sift import ResolutionLimits, Sifted, sift_by_numpy

Sift = Callable[[NDArray[Any], NDArray[np.int64], NDArray[Any] | None, ResolutionLimits], Sifted]
"""As `sift.Sieve`: spots (N, 3), offsets (F + 1,), intensities (N,) or None, limits."""
MOST_SPOTS = 1_000_000
"""Most spots of one frame, and of several frames that are held in memory at once."""


@dataclass
class RawFrames:
    """Consecutive frames of one file, as they are in it.

    Attributes
    ----------
    source
        The file as the user named it.
    indices : (F,) int64
    ids : list of str, F
    spots : (N, 3) floating
        1/angstrom; may hold nan and inf.
    offsets : (F + 1,) int64
    cells : (M, 3, 3) float64 or None
        The file's own input cells.
    problems : list of str
    readable : bool
        False for the row that stands for a frame, a file, or the rest of a file, that cannot be read.
    peaks : DetectorPeaks or None
        Positions of the spots on the detector, in files that have them.
    places : (F, 4) int64
        The `Place` behind each frame.
    intensity : (N,) floating or None
        Intensity of each spot, in files that have intensities and no `peaks`.
    n_off_panels : int
        Number of peaks that lie on no panel, or on several, and are no spots.
    """

    source: str
    indices: NDArray[np.int64]
    ids: list[str]
    spots: NDArray[Any]
    offsets: NDArray[np.int64]
    cells: NDArray[np.float64] | None = None
    problems: list[str] = field(default_factory=list)
    readable: bool = True
    peaks: DetectorPeaks | None = None
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    intensity: NDArray[Any] | None = None
    n_off_panels: int = 0

    @property
    def last_checksum(self) -> int:
        """CRC-32 of the last frame's spots."""
        return zlib.crc32(self.spots[self.offsets[-2] : self.offsets[-1]].tobytes())

    @classmethod
    def unreadable(cls, source: str, problem: str, index: int = -1) -> RawFrames:
        """The row of a frame with this index that cannot be read; -1 for a file or the rest of one."""
        return cls(
            source, np.array([index]), [""], np.zeros((0, 3)), np.zeros(2, np.int64), problems=[problem], readable=False
        )


@dataclass
class Pause:
    """Stands between frames that are followed as they come: no further frame is there yet.

    Attributes
    ----------
    problems : list of str
        Notes on the files that are followed.
    """

    problems: list[str] = field(default_factory=list)


def read_parts(
    parts: Iterable[NDArray[np.int64]], read: Callable[[NDArray[np.int64]], RawFrames]
) -> Iterator[RawFrames]:
    """Read frames part by part; a part that cannot be read is read frame by frame, up to the bad one.

    The frames that are read do not depend on how they are cut to parts.

    Raises
    ------
    InputError
        Naming the first frame that cannot be read.
    """
    for part in parts:
        try:
            raw = read(part)
        except InputError:
            if len(part) == 1:
                raise
            yield from (read(part[i : i + 1]) for i in range(len(part)))
        else:
            yield raw


def frame_block(
    parts: Sequence[RawFrames], limits: ResolutionLimits, by_intensity: bool = False, sift: Sift = sift_by_numpy
) -> FrameBlock:
    """Frames of one or more files as one block, without padding, exact duplicates and spots outside the limits.

    A frame with a spot that is not finite or too far out is BAD_SPOTS and gets a line in `problems`.
    With `by_intensity` the spots of a frame are sorted by falling intensity, where their file has it.
    """
    spots = parts[0].spots if len(parts) == 1 else np.concatenate([part.spots for part in parts])
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = offsets_of(counts)
    readable = np.repeat([part.readable for part in parts], [len(part.indices) for part in parts])
    ranked, intensity = _intensities(parts) if by_intensity else (None, None)
    sifted = sift(spots, offsets, intensity, limits)
    problems = list(itertools.chain.from_iterable(part.problems for part in parts))
    problems += _bad_spots(parts, spots, offsets, sifted.usable)
    return FrameBlock(
        sources=Names.joined([Names.repeated(part.source, len(part.indices)) for part in parts]),
        indices=np.concatenate([part.indices for part in parts]),
        ids=Names.joined([part.ids for part in parts]),
        spots=sifted.spots,
        offsets=offsets_of(sifted.kept),
        status=np.select(
            [~readable, ~sifted.usable], [FrameStatus.UNREADABLE, FrameStatus.BAD_SPOTS], FrameStatus.NOT_INDEXED
        ).astype(np.uint8),
        n_spots=np.where(sifted.usable, sifted.kept, counts).astype(np.int32),
        cells=next((part.cells for part in parts if part.readable), None),
        n_left_out=sifted.n_left_out,
        problems=problems,
        places=np.concatenate([part.places for part in parts]),
        by_intensity=ranked,
        n_off_panels=sum(part.n_off_panels for part in parts),
    )


def _intensities(parts: Sequence[RawFrames]) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    """Whether each frame has intensities (F,), and those of all spots (N,): -inf for nan, 0 where there is none.

    None where there is none at all.
    """
    own = [part.intensity if part.peaks is None else part.peaks.intensity for part in parts]
    known = np.repeat([each is not None for each in own], [len(part.indices) for part in parts])
    if not known.any():
        return known, None
    values = [
        np.zeros(len(part.spots)) if each is None else np.nan_to_num(_floating(each), nan=-np.inf)
        for part, each in zip(parts, own, strict=True)
    ]
    return known, np.concatenate(values)


def _floating(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers of any type as float32 or float64: of unsigned ones there is no negative, by which they are sorted."""
    return values.astype(np.float32 if values.dtype in (np.float32, np.float16) else np.float64, copy=False)


def _bad_spots(
    parts: Sequence[RawFrames], spots: NDArray[Any], offsets: NDArray[np.int64], usable: NDArray[np.bool_]
) -> list[str]:
    if usable.all():
        return []
    names = [(part.source, index) for part in parts for index in part.indices]
    lines = []
    for f in np.flatnonzero(~usable):
        with np.errstate(over="ignore", invalid="ignore"):
            own = spots[offsets[f] : offsets[f + 1]].astype(np.float32)
        row = np.flatnonzero(~(np.abs(own) < LARGEST_SPOT).all(axis=1))[0]
        source, index = names[f]
        lines.append(
            f"{source}, frame {index}: spot {row} is ({', '.join(f'{v:g}' for v in own[row])}); spots are finite and "
            f"below {LARGEST_SPOT:g}/angstrom, so the frame is left out"
        )
    return lines
