"""Frames as their files hold them, and the removal of spots that are not indexed."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.basis import ConventionalCells
from ..model.detector.panels import Geometry
from ..model.detector.peaks import DetectorPeaks
from ..model.records.batch import LARGEST_SPOT
from ..model.records.frame import FrameBlock, FrameStatus
from ..model.records.names import Names
from ..model.records.ragged import counts_joined, offsets_of
from .sift import ResolutionLimits, Sifted, sift_by_numpy

Sift = Callable[[NDArray[Any], NDArray[np.int64], NDArray[Any] | None, ResolutionLimits], Sifted]
"""A function like `sift.Sieve` of spots (N, 3), offsets (F + 1,), intensities (N,) or None, and limits."""
MOST_SPOTS = 1_000_000
"""Largest number of spots on one frame, and on several frames that are held in memory at once."""


@dataclass
class RawFrames:
    """F consecutive frames of one file with N spots in all, as the file holds them.

    Attributes
    ----------
    source
        The file, as the user named it.
    indices : (F,) int64
        Index of each frame in the file.
    ids : list of str, F
        Name of each frame in the file, or empty.
    spots : (N, 3) floating
        Spots in reciprocal space, 1/angstrom; they may be nan or inf.
    offsets : (F + 1,) int64
        Frame f owns the spots offsets[f]:offsets[f + 1].
    cells : (M, 3, 3) float64 or None
        Input cells that the file itself provides, rows a, b, c, angstrom; None if it provides none.
    problems : list of str
        One line for each problem or assumption.
    readable : bool
        False for the row that stands for a frame, a file, or the rest of a file, that cannot be read.
    peaks : DetectorPeaks or None
        Positions of the spots on the detector; None for a file without pixels.
    places : (F, 4) int64
        The `Place` after each frame.
    intensity : (N,) floating or None
        Intensity of each spot, for a file that has intensities but no `peaks`.
    off_panels : (F,) int64 or None
        Number of peaks of each frame that are no spots because they lie on no panel, or on several; None for a file
        without peaks.
    geometry : Geometry or None
        Geometry by which the pixels of the spots are to be understood; None for a file without pixels.
    """

    source: str
    indices: NDArray[np.int64]
    ids: list[str]
    spots: NDArray[Any]
    offsets: NDArray[np.int64]
    cells: ConventionalCells | None = None
    problems: list[str] = field(default_factory=list)
    readable: bool = True
    peaks: DetectorPeaks | None = None
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    intensity: NDArray[Any] | None = None
    off_panels: NDArray[np.int64] | None = None
    geometry: Geometry | None = None

    @property
    def last_checksum(self) -> int:
        """CRC-32 of the last frame's spots."""
        return zlib.crc32(self.spots[self.offsets[-2] : self.offsets[-1]].tobytes())

    @classmethod
    def unreadable(cls, source: str, problem: str, index: int = -1) -> RawFrames:
        """The row of a frame, with its index, that cannot be read; the index is -1 for a file or the rest of a file."""
        return cls(
            source, np.array([index]), [""], np.zeros((0, 3)), np.zeros(2, np.int64), problems=[problem], readable=False
        )


@dataclass
class Pause:
    """An item among frames that are followed as they arrive, which means that there is no new frame yet.

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

    The frames that are read do not depend on their division into parts.

    Parameters
    ----------
    parts
        Numbers of the frames in each part.
    read
        Function that reads the frames of a part.

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
    """Make one block of frames from one or more files, without padding, exact duplicates and spots outside the limits.

    A frame with a spot that is not finite, or too far from the origin, gets the status BAD_SPOTS and a line in
    `problems`.

    Parameters
    ----------
    parts
        Frames as read.
    limits
        Limits of resolution of the spots.
    by_intensity
        Whether to sort the spots of each frame by falling intensity, if its file has intensities.
    sift
        Function that selects the spots.
    """
    spots = parts[0].spots if len(parts) == 1 else np.concatenate([part.spots for part in parts])
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = offsets_of(counts)
    readable = np.repeat([part.readable for part in parts], [len(part.indices) for part in parts])
    ranked, intensity = _intensities(parts) if by_intensity else (None, None)
    sifted = sift(spots, offsets, intensity, limits)
    problems = list(itertools.chain.from_iterable(part.problems for part in parts))
    problems += _bad_spots(parts, spots, offsets, sifted.usable)
    status = np.full(len(counts), FrameStatus.NOT_INDEXED.value, np.uint8)
    status[~sifted.usable] = FrameStatus.BAD_SPOTS.value
    status[~readable] = FrameStatus.UNREADABLE.value
    return FrameBlock(
        sources=Names.joined([Names.repeated(part.source, len(part.indices)) for part in parts]),
        indices=np.concatenate([part.indices for part in parts]),
        ids=Names.joined([part.ids for part in parts]),
        spots=sifted.spots,
        offsets=offsets_of(sifted.kept),
        status=status,
        n_spots=np.where(sifted.usable, sifted.kept, counts).astype(np.int32),
        cells=next((part.cells for part in parts if part.readable), None),
        left_out=sifted.left_out,
        problems=problems,
        places=np.concatenate([part.places for part in parts]),
        by_intensity=ranked,
        off_panels=counts_joined([part.off_panels for part in parts], [len(part.indices) for part in parts]),
    )


def _intensities(parts: Sequence[RawFrames]) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    """Whether each frame has intensities (F,), and the intensities of all spots (N,), or None if no frame has any.

    An intensity is -inf in place of nan, and 0 for a spot on a frame without intensities.
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
    """Numbers of any type as float32 or float64; the sorting negates them, which unsigned numbers do not allow."""
    return values.astype(np.float32 if values.dtype in (np.float32, np.float16) else np.float64, copy=False)


def _bad_spots(
    parts: Sequence[RawFrames], spots: NDArray[Any], offsets: NDArray[np.int64], usable: NDArray[np.bool_]
) -> list[str]:
    """One line for each frame with a spot that is not finite or too far from the origin, unless it has one already."""
    if usable.all():
        return []
    noted = {problem.partition(": ")[0] for part in parts for problem in part.problems}
    names = [(part.source, index) for part in parts for index in part.indices]
    lines = []
    for f in np.flatnonzero(~usable):
        with np.errstate(over="ignore", invalid="ignore"):
            own = spots[offsets[f] : offsets[f + 1]].astype(np.float32)
        row = np.flatnonzero(~(np.abs(own) < LARGEST_SPOT).all(axis=1))[0]
        source, index = names[f]
        if f"{source}, frame {index}" in noted:
            continue
        pixels = " (are these pixels?)" if np.isfinite(own[row]).all() else ""
        lines.append(
            f"{source}, frame {index}: spot {row} is ({', '.join(f'{v:g}' for v in own[row])}); spots are finite and "
            f"below {LARGEST_SPOT:g}/angstrom{pixels}, so the frame is left out"
        )
    return lines
