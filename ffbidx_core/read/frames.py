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
from ..model.records.batch import LARGEST_SPOT, SMALLEST_SPOT, usable_frames
from ..model.records.frame import FrameBlock, FrameStatus
from ..model.records.ragged import offsets_of

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


@dataclass(frozen=True)
class ResolutionLimits:
    """Spots with d_min <= 1/|s| <= d_max, in angstrom, are used; None is no limit."""

    d_min: float | None = None
    d_max: float | None = None

    def within(self, squared: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which spots (N,) are used, given their |s|^2 (N,), 1/angstrom^2."""
        inside = np.ones(len(squared), dtype=bool)
        if self.d_min is not None:
            inside &= squared <= self.d_min**-2
        if self.d_max is not None:
            inside &= squared >= self.d_max**-2
        return inside


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


def frame_block(parts: Sequence[RawFrames], limits: ResolutionLimits, by_intensity: bool = False) -> FrameBlock:
    """Frames of one or more files as one block, without padding, exact duplicates and spots outside the limits.

    A frame with a spot that is not finite or too far out is BAD_SPOTS and gets a line in `problems`.
    With `by_intensity` the spots of a frame are sorted by falling intensity, where their file has it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # Adding 0 makes -0 a 0, which has the same bits in all duplicates.
        spots = np.concatenate([part.spots.astype(np.float32) for part in parts]) + np.float32(0)
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = offsets_of(counts)
    readable = np.repeat([part.readable for part in parts], [len(part.indices) for part in parts])
    # One comparison for all spots is nearly always enough; it is false for nan.
    all_usable = len(spots) == 0 or bool(spots.max() < LARGEST_SPOT and spots.min() > -LARGEST_SPOT)
    usable = np.ones(len(counts), dtype=bool) if all_usable else usable_frames(spots, offsets)
    problems = list(itertools.chain.from_iterable(part.problems for part in parts))
    problems += _bad_spots(parts, spots, offsets, usable)

    frame = np.repeat(np.arange(len(counts)), counts)
    if not all_usable:
        spots[~usable[frame]] = 0
    squared = np.einsum("ij,ij->i", spots, spots, dtype=np.float64)
    real = squared >= SMALLEST_SPOT**2
    real &= first_occurrences(spots, frame)
    used = real & limits.within(squared)
    if not all_usable:
        used &= usable[frame]
    ranked = None
    if by_intensity:
        ranked, intensity = _intensities(parts)
        order = np.lexsort((-intensity, frame))
        spots, used = spots[order], used[order]
    if used.all():
        kept = counts
    else:
        kept, spots = np.bincount(frame[used], minlength=len(counts)), spots[used]
    cells = next((part.cells for part in parts if part.readable), None)
    return FrameBlock(
        sources=[part.source for part in parts for _ in part.ids],
        indices=np.concatenate([part.indices for part in parts]),
        ids=[name for part in parts for name in part.ids],
        spots=spots,
        offsets=offsets_of(kept),
        status=np.select(
            [~readable, ~usable], [FrameStatus.UNREADABLE, FrameStatus.BAD_SPOTS], FrameStatus.NOT_INDEXED
        ).astype(np.uint8),
        n_spots=np.where(usable, kept, counts).astype(np.int32),
        cells=cells,
        n_left_out=0 if real.all() else int((~real & usable[frame]).sum()),
        problems=problems,
        places=np.concatenate([part.places for part in parts]),
        by_intensity=ranked,
    )


def _intensities(parts: Sequence[RawFrames]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each frame has intensities (F,), and those of all spots (N,): -inf for nan, 0 where there is none."""
    known: list[NDArray[np.bool_]] = []
    values: list[NDArray[Any]] = []
    for part in parts:
        own = part.intensity if part.peaks is None else part.peaks.intensity
        known.append(np.full(len(part.indices), own is not None))
        values.append(np.zeros(len(part.spots)) if own is None else np.nan_to_num(own, nan=-np.inf))
    return np.concatenate(known), np.concatenate(values)


def first_occurrences(spots: NDArray[np.float32], frame: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which spots (N, 3) are not exact duplicates of an earlier one of the same frame, (N,)."""
    first = np.ones(len(spots), dtype=bool)
    # Equal spots have equal keys, and other spots hardly ever do: one sort shows that usual frames have no duplicates.
    bits = np.ascontiguousarray(spots).view(np.uint32).astype(np.uint64)
    key = bits @ _MIX + frame.astype(np.uint64) * _MIX_FRAME
    ordered = np.sort(key)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        suspects = np.flatnonzero(np.isin(key, repeated))
        _, firsts = np.unique(np.column_stack([frame[suspects], spots[suspects]]), axis=0, return_index=True)
        first[suspects] = False
        first[suspects[firsts]] = True
    return first


_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_MIX_FRAME = np.uint64(0xD6E8FEB86659FD93)


def _bad_spots(
    parts: Sequence[RawFrames], spots: NDArray[np.float32], offsets: NDArray[np.int64], usable: NDArray[np.bool_]
) -> list[str]:
    if usable.all():
        return []
    names = [(part.source, index) for part in parts for index in part.indices]
    lines = []
    for f in np.flatnonzero(~usable):
        own = spots[offsets[f] : offsets[f + 1]]
        row = np.flatnonzero(~(np.abs(own) < LARGEST_SPOT).all(axis=1))[0]
        source, index = names[f]
        lines.append(
            f"{source}, frame {index}: spot {row} is ({', '.join(f'{v:g}' for v in own[row])}); spots are finite and "
            f"below {LARGEST_SPOT:g}/angstrom, so the frame is left out"
        )
    return lines
